"""Flower for real: SuperLink, one SuperNode a site, TLS, keys, a signed bundle; separate processes that all end."""

import json

import numpy as np
import psutil
import pytest

from racoon_data.errors import JobMismatchError
from racoon_data.events import ignore
from racoon_train.checkpoints import load_weights
from racoon_train.federated.adapters.flower import FlowerAggregator
from racoon_train.federated.adapters.flower_bundle import sign_bundle, write_trusted
from racoon_train.federated.adapters.flower_daemon import may_pass
from racoon_train.federated.adapters.in_process import InProcessAggregator
from racoon_train.federated.rounds import read_rounds
from tests.train.makers import a_dataset, a_job


def test_flower_trains_what_the_reference_gives(two_sites, tmp_path):
    """Rounds on SuperLink and SuperNodes equal the in-process average; a site that breaks is named by alias.

    The second site's dataset changes after round 2, so its client refuses from then on; with a quorum of
    one the run goes on, and no text of the refusal beyond its code reaches the server.
    """
    breaks = a_dataset(tmp_path / "b", site="b")

    def tamper(event):
        if event.kind == "federate" and event.done == 2:
            manifest = json.loads((breaks / "racoon.json").read_text())
            (breaks / "racoon.json").write_text(json.dumps({**manifest, "dataset_sha256": "0" * 64}))

    job, out = a_job(rounds=4, quorum=1), tmp_path / "flower"
    whole = {"site-a": two_sites["site-a"], "site-b": a_dataset(tmp_path / "again", site="b")}
    InProcessAggregator().run(job.to_json(), datasets=whole, out=tmp_path / "reference", on_event=ignore)
    datasets = {"site-a": two_sites["site-a"], "site-b": breaks}
    FlowerAggregator().run(job.to_json(), datasets=datasets, out=out, on_event=tamper)

    for file in ("0001.safetensors", "0002.safetensors"):  # the second goes on with the optimizers of the first
        ours, theirs = (load_weights(where / "rounds" / file) for where in (out, tmp_path / "reference"))
        assert all(np.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)
    assert dict(read_rounds(out)[-1].lost) == {"site-b": "federation.dataset_changed"}
    assert set(json.loads((out / "evaluation.json").read_text())["site-a"]) == {"dice.lesion", "dice.fluid"}
    assert "changed since" in (out / "logs" / "site-site-b.log").read_text()
    assert "changed since" not in (out / "logs" / "superlink.log").read_text()
    assert [p.pid for p in psutil.process_iter(["cmdline"]) if str(out) in " ".join(p.info["cmdline"] or [])] == []


def test_a_site_that_does_not_fit_stops_the_run_before_round_0(two_sites, tmp_path):
    """The pre-flight's difference reaches the coordinator, and nobody trained."""
    document = a_job().to_json()
    document["requirements"]["spacing_mm"] = [[0.5, 2.0], [0.5, 2.0], [0.5, 2.0]]

    with pytest.raises(JobMismatchError, match="site-a: spacing along k"):
        FlowerAggregator().run(document, datasets=two_sites, out=tmp_path, on_event=ignore)

    assert read_rounds(tmp_path) == ()


def test_a_server_that_cannot_start_is_a_clear_error(two_sites, tmp_path, monkeypatch):
    """The refusal points at the log, and nothing keeps running."""
    from racoon_data.errors import FederationError
    from racoon_train.federated.adapters.flower_coordinator import Coordinator

    monkeypatch.setattr(Coordinator, "_superlink", lambda self: ["superlink", "--no-such-option"])

    with pytest.raises(FederationError) as caught:
        FlowerAggregator().run(a_job().to_json(), datasets=two_sites, out=tmp_path, on_event=ignore)

    assert "superlink.log" in caught.value.hint


@pytest.mark.parametrize(
    ("path", "client", "passes"),
    [
        ("/v1/fleet/pull-messages", "10.0.0.7", True),
        ("/v1/control/start-run", "10.0.0.7", False),
        ("/v1/control/register-node", "10.0.0.7", False),
        ("/v1/runtime/pull-messages", "10.0.0.7", False),
        ("/docs", "10.0.0.7", False),
        ("/v1/fleet/../control/start-run", "10.0.0.7", True),
        ("/v1/control/start-run", "127.0.0.1", True),
        ("/v1/control/start-run", "10.0.0.1", True),
    ],
)
def test_strangers_reach_the_fleet_alone(path, client, passes):
    """Another machine may ask for its own work; what submits code or registers keys is for the coordinator's own.

    A path with dots is passed on as it stands: it names no route.
    """
    assert may_pass({"type": "http", "path": path, "client": (client, 5), "server": ("10.0.0.1", 443)}) is passes


def test_a_signature_is_one_that_flower_accepts(tmp_path):
    """Flower's own check takes our signature with the right key and refuses another's, and changed content."""
    from flwr.supercore.fab import Fab
    from flwr.supernode.start_client_internal import _verify_fab

    from racoon_train.federated.adapters.certificates import publisher_key

    publisher, other = publisher_key(tmp_path / "a.key"), publisher_key(tmp_path / "b.key")
    sign_bundle(b"bundle", tmp_path / "a.key", tmp_path / "signed.json")
    signed = json.loads((tmp_path / "signed.json").read_text())

    def trusts(public, content):
        write_trusted(tmp_path / "trusted.yaml", public)
        trusted = json.loads((tmp_path / "trusted.yaml").read_text())
        return _verify_fab(Fab(signed["sha256"], content, signed["verifications"]), trusted)

    assert trusts(publisher, b"bundle")
    assert not trusts(other, b"bundle")
    assert not trusts(publisher, b"other code")
    assert (tmp_path / "a.key").stat().st_mode & 0o077 == 0
