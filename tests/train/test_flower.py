"""Flower's real daemons train two sites over TLS on loopback, and are gone afterwards."""

import json

import numpy as np
import psutil
import pytest

from racoon_data.events import ignore
from racoon_train.checkpoints import load_weights
from racoon_train.federated.adapters.in_process import InProcessAggregator
from racoon_train.federated.rounds import read_rounds
from tests.train.makers import a_dataset, a_job

pytest.importorskip("flwr")


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_flower_gives_what_the_reference_gives(two_sites, tmp_path):
    """Two rounds on SuperLink and SuperNodes equal the in-process average; a broken third site is named by alias.

    The third site's dataset changes after it joined, so its client refuses every round; with a
    quorum of two the run goes on, and no text of the refusal beyond its code reaches the server.
    """
    from racoon_train.federated.adapters.flower import FlowerAggregator

    broken = a_dataset(tmp_path / "c", site="c")

    def tamper(event):
        if (event.kind, event.ref) == ("cache", "case c-3"):
            manifest = json.loads((broken / "racoon.json").read_text())
            (broken / "racoon.json").write_text(json.dumps({**manifest, "dataset_sha256": "0" * 64}))

    job = a_job(quorum=2)
    out = tmp_path / "flower"
    model = FlowerAggregator().run(job.to_json(), datasets={**two_sites, "site-c": broken}, out=out, on_event=tamper)
    reference = InProcessAggregator().run(
        job.to_json(), datasets=two_sites, out=tmp_path / "reference", on_event=ignore
    )

    ours, theirs = load_weights(model), load_weights(reference)
    assert all(np.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)
    assert [dict(each.lost) for each in read_rounds(out)] == [{"site-c": "dataset.error"}] * 2
    assert "changed since" in (out / "logs" / "site-site-c.log").read_text()
    assert "changed since" not in (out / "logs" / "superlink.log").read_text()
    assert [p.pid for p in psutil.process_iter(["cmdline"]) if str(out) in " ".join(p.info["cmdline"] or [])] == []


def test_a_server_that_cannot_start_is_a_clear_error(two_sites, tmp_path, monkeypatch):
    """The refusal points at the log, and nothing keeps running."""
    from racoon_data.errors import FederationError
    from racoon_train.federated.adapters import flower

    monkeypatch.setattr(flower, "_superlink", lambda port, certificates: ["flower-superlink", "--no-such-option"])

    with pytest.raises(FederationError) as caught:
        flower.FlowerAggregator().run(a_job().to_json(), datasets=two_sites, out=tmp_path, on_event=ignore)

    assert "superlink.log" in caught.value.hint
