"""Our DICOMweb client: queries, storage, secrets, TLS and patience, against our own service."""

import json
import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from racoon_data.cli.main import app
from racoon_data.errors import (
    PacsBusyError,
    PacsCappedError,
    PacsEndlessError,
    PacsProtocolError,
    PacsRefusedError,
    PacsTimeoutError,
    PacsUnreachableError,
    SettingsError,
)
from racoon_data.faults import FaultPlan
from racoon_data.outcomes import Status
from racoon_data.pacs.find import find as dimse_find
from racoon_data.pacs.node import WebSource
from racoon_data.pacs.peer import Manners, Tls, WebNode
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.pacs.serve_web import WebService
from racoon_data.pacs.web import qido
from racoon_data.pacs.web.qido import find
from racoon_data.pacs.web.session import Session
from racoon_data.pacs.web.stow import push
from racoon_data.refs import Query
from racoon_data.site.ledger import Ledger
from racoon_data.site.paths import create_site
from racoon_data.testing.contracts import SourceContract

HASTY = Manners(retries=1, backoff_s=0.05)


@pytest.fixture
def web(pacs):
    """The DICOMweb side of the embedded PACS."""
    with WebService(pacs) as running:
        yield running


QUERIES = [
    Query("PATIENT"),
    Query("PATIENT", {"PatientName": "Müller*"}),
    Query(),
    Query("STUDY", {"PatientID": "P?", "StudyDate": "20200101-20201231"}),
    Query("STUDY", {"ModalitiesInStudy": "CT\\MR"}),
    Query("STUDY", {"StudyInstanceUID": "1.2.826.0.1.1\\1.2.826.0.1.2\\1.2.3"}),
    Query("STUDY", {"AccessionNumber": "A2", "ReferringPhysicianName": ""}),
    Query("SERIES", {"StudyInstanceUID": "1.2.826.0.1.1", "Modality": "CT"}),
    Query("SERIES", {"Modality": "MR"}),
    Query("IMAGE", {"StudyInstanceUID": "1.2.826.0.1.1", "SeriesInstanceUID": "1.2.826.0.1.1.1"}),
    Query("IMAGE", {"Modality": "MR", "InstanceNumber": ""}),
    Query("STUDY", {"PatientName": "müller^*"}),
    Query("STUDY", {"PatientName": "Möller*"}),
    Query("STUDY", {"PatientID": "NOBODY"}),
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_qido_answers_what_c_find_answers(web, query):
    """Every level and kind of filter gives the same matches both ways."""
    over_http = sorted(find(web.node(), query), key=str)
    over_dicom = sorted(dimse_find(web.pacs.node(), query), key=str)

    assert over_http == over_dicom


def test_pages_are_followed_to_the_end(web, monkeypatch):
    """With pages of three, ten instances come in four pages and an empty one, each once."""
    monkeypatch.setattr(qido, "PAGE", 3)

    with Session(web.node()) as session:
        matches = list(qido.ask_once(session, Query("IMAGE", {"StudyInstanceUID": "1.2.826.0.1.1"})))

    assert len({match.ref for match in matches}) == len(matches) == 10
    assert web.served == 5


def test_a_service_that_cuts_pages_short_hides_nothing():
    """A page shorter than asked is not the end: what is behind it is asked for."""
    rows = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{number}"]}} for number in range(10)]

    def at_most_four(handler):
        offset = int(handler.path.rpartition("offset=")[2])
        return 200, {}, json.dumps(rows[offset : offset + 4]).encode()

    with a_server(at_most_four) as url:
        assert len(list(find(node_at(url), Query()))) == 10


def test_an_openly_capped_answer_is_an_error(web):
    """Status 413 does not pass as an answer."""
    web.pacs.faults = FaultPlan(cap_answers=0)

    with pytest.raises(PacsCappedError):
        list(find(web.node(), Query()))


def test_endless_pages_end(web):
    """A service that repeats itself without end is an error after two pages, not a hanging query."""
    web.pacs.faults = FaultPlan(endless_answers=True)

    with pytest.raises(PacsEndlessError, match="same page"):
        list(find(web.node(), Query()))

    assert web.served == 2


def test_pages_that_go_on_until_the_deadline_are_endless():
    """A service that always has another new page is left at our own deadline, with the code C-FIND has for it."""

    def always_more(handler):
        offset = int(handler.path.rpartition("offset=")[2])
        rows = [{"0020000D": {"vr": "UI", "Value": [f"1.2.{offset + number}"]}} for number in range(3)]
        return 200, {}, json.dumps(rows).encode()

    with a_server(always_more) as url, pytest.raises(PacsEndlessError, match=r"within 0\.2 s") as caught:
        list(find(node_at(url, deadline_s=0.2), Query()))

    assert "deadline_s" in caught.value.hint


@pytest.mark.parametrize("query", [Query("PLANET"), Query("STUDY", {"NoSuchKeyword": "1"})])
def test_a_query_that_makes_no_sense_is_a_settings_error(web, query):
    """Levels and keywords are checked before anybody is asked."""
    with pytest.raises(SettingsError):
        list(find(web.node(), query))
    assert web.served == 0


def test_a_busy_service_is_waited_for(web):
    """Two answers of 503 with Retry-After are borne; one too many is a busy error."""
    web.pacs.faults = FaultPlan(busy=2, retry_after_s=0.05)
    assert len(list(find(web.node(manners=Manners(retries=2)), Query()))) == 2

    web.pacs.faults = FaultPlan(busy=100, busy_status=429, retry_after_s=0)
    with pytest.raises(PacsBusyError, match="429"):
        list(find(web.node(manners=HASTY), Query()))


def test_secrets_get_us_in_and_stay_secret(pacs, monkeypatch, tmp_path, caplog):
    """A token from the environment or a file works, a wrong one is refused, and no message or value shows it."""
    (tmp_path / "token").write_text("open-sesame\n")
    monkeypatch.setenv("WRONG_TOKEN", "tell-no-one")
    with WebService(pacs, token="open-sesame") as web:
        assert len(list(find(web.node(bearer_file=tmp_path / "token"), Query()))) == 2
        with pytest.raises(PacsRefusedError, match="401") as caught:
            list(find(web.node(bearer_env="WRONG_TOKEN"), Query()))
        with pytest.raises(SettingsError, match="NO_TOKEN"):
            list(find(web.node(bearer_env="NO_TOKEN"), Query()))

    said = f"{caught.value!r} {caught.value} {caught.value.hint} {web.node(bearer_env='WRONG_TOKEN')!r} {caplog.text}"
    assert "tell-no-one" not in said
    assert "open-sesame" not in said


def test_basic_authentication_is_sent(monkeypatch):
    """User and password travel as RFC 7617 has them."""
    heard = []
    with a_server(lambda handler: (heard.append(handler.headers["Authorization"]), (204, {}, b""))[1]) as url:
        monkeypatch.setenv("PASSWORD", "geheim")
        list(find(node_at(url, user="anna", password_env="PASSWORD"), Query()))

    assert heard == ["Basic YW5uYTpnZWhlaW0="]


def test_nobody_there_is_said():
    """A closed port is unreachable, a silent one a timeout, another protocol no HTTP."""
    with pytest.raises(PacsUnreachableError):
        list(find(node_at("http://127.0.0.1:9/dicom-web"), Query()))
    with a_server(lambda handler: handler.rfile.read(1) and None) as url, pytest.raises(PacsTimeoutError):
        list(find(node_at(url, timeout_s=0.3), Query()))


@pytest.mark.parametrize("body", [b"<html>", b'{"a": 1}', b"[1, 2]", b"[" * 100000])
def test_an_answer_that_is_no_answer_is_named(body):
    """Something else than DICOM JSON is a protocol error."""
    with a_server(lambda handler: (200, {}, body)) as url, pytest.raises(PacsProtocolError):
        list(find(node_at(url), Query()))


def test_a_redirect_stays_in_the_house():
    """Within the host it is followed, with a limit; another host never sees the request or its secret."""
    away = {"Location": "http://evil.example.org/"}
    with a_server(lambda handler: (302, away, b"")) as url, pytest.raises(PacsRefusedError, match="evil"):
        list(find(node_at(url), Query()))
    around = {"Location": "/again"}
    with a_server(lambda handler: (302, around, b"")) as url, pytest.raises(PacsProtocolError, match="circles"):
        list(find(node_at(url), Query()))
    moved = {"Location": "/dicom-web/new"}
    with a_server(lambda handler: (204, {}, b"") if handler.path.endswith("new") else (302, moved, b"")) as url:
        assert list(find(node_at(url), Query())) == []


def test_stow_tells_each_outcome(tmp_path, archive):
    """Stored ones are done, a text file is skipped, other bytes under a known UID fail alone."""
    changed = dcmread(archive.ct.paths[0])
    changed.PatientComments = "other"
    changed.save_as(tmp_path / "changed.dcm")
    paths = [
        archive.ct.paths[0],
        tmp_path / "changed.dcm",
        archive.folder / "notes" / "readme.txt",
        archive.ct.paths[1],
    ]
    with EmbeddedPacs(tmp_path / "empty") as empty, WebService(empty) as web:
        outcomes = push(web.node(), paths)
        again = push(web.node(), archive.ct.paths)
        held = empty.index.size()

    assert [one.status for one in outcomes] == [Status.DONE, Status.FAILED, Status.SKIPPED, Status.DONE]
    assert "0x0111" in outcomes[1].message
    assert [one.status for one in again] == [Status.DONE] * 6
    assert held == (1, 6)


def test_stow_goes_on_where_it_stopped(tmp_path, archive):
    """What a service stored is in the ledger: it is not sent again, so the service may even be gone; new files are."""
    with EmbeddedPacs(tmp_path / "empty", faults=FaultPlan(full_after=2)) as empty, WebService(empty) as web:
        with Ledger(tmp_path / "sent.sqlite") as sent:
            first = push(web.node(), archive.ct.paths, ledger=sent)
            empty.faults = FaultPlan()
            second = push(web.node(), archive.ct.paths, ledger=sent)
        node = web.node()
    with Ledger(tmp_path / "sent.sqlite") as sent:
        third = push(node, archive.ct.paths, ledger=sent)
        with pytest.raises(PacsUnreachableError):
            push(node, archive.mr.paths, ledger=sent)

    assert [one.status for one in first].count(Status.DONE) == 2
    assert {one.status for one in (*second, *third)} == {Status.DONE}


def test_stow_to_a_full_disk_and_a_small_service(tmp_path, archive):
    """Out of resources is told per instance; a service that takes one file at a time gets one at a time."""
    with EmbeddedPacs(tmp_path / "empty", faults=FaultPlan(full_after=2)) as empty, WebService(empty) as web:
        outcomes = push(web.node(), archive.ct.paths)
    assert [one.status for one in outcomes] == [Status.DONE] * 2 + [Status.FAILED] * 4
    assert "0xA700" in outcomes[-1].message

    requests = []

    def small(handler):
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        requests.append(body.count(b"Content-Type: application/dicom"))
        return (413, {}, b"") if requests[-1] > 1 else (200, {}, b"{}")

    with a_server(small) as url:
        outcomes = push(node_at(url), archive.ct.paths[:4])
    assert requests == [4, 2, 1, 1, 2, 1, 1]
    assert {one.message for one in outcomes} == {"the service does not say that it stored it"}


def test_tls_with_a_client_certificate(tmp_path, archive):
    """With the authority and our certificate we get in; without either the reason is said."""
    files = certificates(tmp_path)
    with EmbeddedPacs(archive.folder) as pacs, WebService(pacs) as web:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files["server.pem"], files["server.key"])
        context.load_verify_locations(files["ca.pem"])
        context.verify_mode = ssl.CERT_REQUIRED
        web._server.socket = context.wrap_socket(web._server.socket, server_side=True)
        url = web.url.replace("http://127.0.0.1", "https://localhost")
        known = Tls(files["ca.pem"], files["client.pem"], files["client.key"])

        assert len(list(find(node_at(url, tls=known), Query()))) == 2
        with pytest.raises(PacsRefusedError, match="not trusted"):
            list(find(node_at(url), Query()))
        with pytest.raises(PacsRefusedError):
            list(find(node_at(url, tls=Tls(files["ca.pem"])), Query()))


def certificates(folder):
    """An authority, a server's and a client's certificate."""
    ca = ["-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]
    openssl("req", *ca, "-subj", "/CN=ca", "-keyout", folder / "ca.key", "-out", folder / "ca.pem")
    for name in ("server", "client"):
        key, request = folder / f"{name}.key", folder / f"{name}.csr"
        kind = ["-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        openssl("req", *kind, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
        signed = ["-CA", folder / "ca.pem", "-CAkey", folder / "ca.key", "-CAcreateserial", "-days", "2"]
        openssl("x509", "-req", "-in", request, *signed, "-extfile", folder / "names", "-out", folder / f"{name}.pem")
    return {path.name: path for path in folder.iterdir()}


def openssl(*arguments):
    """Run openssl."""
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)


def node_at(url, **options):
    """A node for any base URL."""
    return WebNode("there", url, url, url, **{"manners": HASTY, "timeout_s": 5.0, **options})


class a_server:  # noqa: N801 - reads like the makers
    """A small HTTP server that answers by a function, until the block ends."""

    def __init__(self, answer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                """Stay quiet."""

            def do_GET(self):
                answered = answer(self)
                if answered is None:
                    return
                status, headers, body = answered
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self):
                self.do_GET()

        self._server = HTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_address[1]}/dicom-web"

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def test_a_kept_connection_serves_again(web):
    """Queries over one session share a connection as long as the service keeps it."""
    with Session(web.node()) as session:
        first = list(qido.ask_once(session, Query()))
        second = list(qido.ask_once(session, Query()))
        assert len(session._connections) == 1

    assert first == second


def test_the_commands_know_a_web_node(web, archive, tmp_path):
    """Echo, find and push take a node of a [web] table by its name."""
    site = create_site(tmp_path / "site", f'[site]\nname = "test"\n[web.archive]\nurl = "{web.url}"\n')

    def run(*arguments):
        return CliRunner().invoke(app, ["pacs", *map(str, arguments), "--site", str(site.root), "--json"])

    echoed = run("echo", "archive")
    found = run("find", "archive", "--filter", "PatientID=P2")
    pushed = run("push", "archive", archive.mr.paths[0])

    assert json.loads(echoed.stdout)["node"]["qido_url"] == web.url
    assert [json.loads(line)["StudyInstanceUID"] for line in found.stdout.splitlines()] == ["1.2.826.0.1.2"]
    assert (pushed.exit_code, json.loads(pushed.stdout)[0]["status"]) == (0, "done")


class TestWebSource(SourceContract):
    """A DICOMweb service keeps what every source keeps."""

    @contextmanager
    def source_over(self, folder):
        """Serve the folder and ask it over HTTP."""
        with EmbeddedPacs(folder) as pacs, WebService(pacs) as web:
            yield WebSource(web.node())
