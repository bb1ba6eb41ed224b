"""NVIDIA FLARE's real processes train over mutual TLS on loopback, take no code, and are gone afterwards."""

import json

import numpy as np
import psutil
import pytest

from racoon_data.events import ignore
from racoon_data.ports import Aggregator
from racoon_train.checkpoints import load_weights
from racoon_train.federated.adapters.in_process import InProcessAggregator
from racoon_train.federated.rounds import read_rounds
from tests.train.makers import a_dataset, a_job

pytest.importorskip("nvflare")


def strangers(out):
    """Addresses beyond loopback that a process of the run listens on or talks to."""
    found = set()
    for process in psutil.process_iter(["cmdline"]):
        if str(out) in " ".join(process.info["cmdline"] or []):
            for each in process.net_connections("inet"):
                found |= {end.ip for end in (each.laddr, each.raddr) if end}
    return {address for address in found if address not in ("127.0.0.1", "::1", "::ffff:127.0.0.1")}


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_flare_gives_what_the_reference_gives(two_sites, tmp_path):
    """Two rounds on FLARE equal the in-process average; a broken third site is named by alias and nothing leaks.

    The third site's dataset changes after it joined, so its client refuses every round; with a
    quorum of two the run goes on, no text of the refusal beyond its code reaches the server, and
    no process talks to anything but loopback.
    """
    from racoon_train.federated.adapters.nvflare import NvflareAggregator

    broken = a_dataset(tmp_path / "c", site="c")
    out = tmp_path / "flare"
    seen = set()

    def watch(event):
        if (event.kind, event.ref) == ("cache", "case c-3"):
            manifest = json.loads((broken / "racoon.json").read_text())
            (broken / "racoon.json").write_text(json.dumps({**manifest, "dataset_sha256": "0" * 64}))
        if event.kind == "federate":
            seen.update(strangers(out))

    job = a_job(quorum=2)
    model = NvflareAggregator().run(job.to_json(), datasets={**two_sites, "site-c": broken}, out=out, on_event=watch)
    reference = InProcessAggregator().run(
        job.to_json(), datasets=two_sites, out=tmp_path / "reference", on_event=ignore
    )

    ours, theirs = load_weights(model), load_weights(reference)
    assert all(np.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)
    assert [dict(each.lost) for each in read_rounds(out)] == [{"site-c": "dataset.error"}] * 2
    assert "changed since" in (out / "logs" / "site-site-c.log").read_text()
    assert "changed since" not in (out / "logs" / "server.log").read_text()
    assert seen == set()
    assert [p.pid for p in psutil.process_iter(["cmdline"]) if str(out) in " ".join(p.info["cmdline"] or [])] == []


def test_flare_fulfils_the_port():
    """The adapter is what the plug-in group promises, under its name."""
    from racoon_data import plugins

    assert isinstance(plugins.load(plugins.AGGREGATORS, "nvflare")(), Aggregator)
