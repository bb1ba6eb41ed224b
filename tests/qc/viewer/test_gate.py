"""Only this machine, with the token, from the viewer's own page, is answered."""

import hashlib
import http.client
import json
from importlib.resources import files

import pytest

from racoon_data.qc.viewer.server import Viewer
from racoon_data.qc.viewer.shelf import Shelf
from tests.dataset.makers import a_case, a_dataset


@pytest.fixture
def viewer(tmp_path):
    """A viewer over one case, in a site."""
    a_dataset(tmp_path / "thorax", [a_case(1)])
    with Viewer(Shelf({"thorax": tmp_path / "thorax"}, tmp_path / "ledger.sqlite", "R1")) as viewer:
        yield viewer


def _ask(viewer, path, *, method="GET", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", viewer.gate.port, timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def test_it_listens_on_loopback_alone(viewer):
    """The socket is bound to 127.0.0.1, so no other machine reaches it."""
    assert viewer._server.server_address[0] == "127.0.0.1"
    assert viewer.gate.url.startswith(f"http://127.0.0.1:{viewer.gate.port}/")


@pytest.mark.parametrize("path", ["/", "/api/datasets", "/wrong-token/", "/wrong-token/api/datasets", "//", "/%2e%2e/"])
def test_without_the_token_nothing_is_answered(viewer, path):
    """A missing or wrong token is refused, and the answer tells nothing of the data."""
    answer, content = _ask(viewer, path)

    assert answer.status == 403
    assert b"thorax" not in content


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_another_page_is_refused_even_with_the_token(viewer, headers):
    """A page of another origin may not ask, whatever it knows."""
    answer, _ = _ask(viewer, f"/{viewer.gate.token}/api/datasets", **headers)

    assert answer.status == 403


def test_another_host_name_is_refused(viewer):
    """A name that was made to point at this machine (DNS rebinding) is not answered."""
    answer, _ = _ask(viewer, f"/{viewer.gate.token}/api/datasets", Host="evil.example")

    assert answer.status == 421


def test_with_the_token_the_datasets_are_listed(viewer):
    """The right address is answered, under a policy that forbids everything from elsewhere."""
    answer, content = _ask(viewer, f"/{viewer.gate.token}/api/datasets")

    assert json.loads(content) == [{"name": "thorax", "cases": 1, "trouble": ""}]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


@pytest.mark.parametrize(
    "path",
    [
        "api/datasets/thorax/case-001/image-9.nii.gz",
        "api/datasets/thorax/case-001/..%2fracoon.json",
        "api/datasets/thorax/..%2f..%2fetc/image-0.nii.gz",
        "api/datasets/other",
        "../racoon.json",
        "static/index.html",
    ],
)
def test_only_files_of_the_manifest_are_served(viewer, path):
    """An address cannot name a file; it names a case and a kind."""
    assert _ask(viewer, f"/{viewer.gate.token}/{path}")[0].status == 404


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"verdict=accepted", "application/x-www-form-urlencoded", 415),
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"verdict": "burn"}', "application/json", 409),
        (b'{"verdict": "open", "comment": "' + b"x" * 3000 + b'"}', "application/json", 409),
        (b'"' + b"x" * 20000 + b'"', "application/json", 413),
    ],
)
def test_a_false_review_is_refused(viewer, body, content_type, status):
    """What is no review is not kept."""
    path = f"/{viewer.gate.token}/api/datasets/thorax/case-001/review"

    assert _ask(viewer, path, method="POST", body=body, Content_Type=content_type)[0].status == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_else_can_be_done(viewer, method):
    """The viewer reads and reviews; it has no other method."""
    assert _ask(viewer, f"/{viewer.gate.token}/api/datasets", method=method)[0].status == 501


def test_niivue_is_the_one_that_was_built():
    """The vendored script has the checksum its build wrote, and only reaches for what we hand it."""
    folder = files("racoon_data.qc.viewer") / "niivue"
    script = (folder / "niivue.js").read_bytes()

    assert (folder / "niivue.js.sha256").read_text().split()[0] == hashlib.sha256(script).hexdigest()
