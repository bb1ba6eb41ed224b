"""NVIDIA FLARE's real processes train over mutual TLS on loopback, take no code, and are gone afterwards."""

import json

import numpy as np
import psutil
import pytest

from racoon_data.errors import JobMismatchError
from racoon_data.events import ignore
from racoon_data.ports import Aggregator
from racoon_train.checkpoints import load_weights
from racoon_train.federated.adapters.in_process import InProcessAggregator
from racoon_train.federated.adapters.nvflare import NvflareAggregator
from racoon_train.federated.contract import join
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


def processes_of(out):
    """Processes whose command names a folder."""
    return [p.pid for p in psutil.process_iter(["cmdline"]) if str(out) in " ".join(p.info["cmdline"] or [])]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_flare_gives_what_the_reference_gives(two_sites, tmp_path):
    """Two rounds on FLARE equal the in-process average; a broken third site is named by alias and nothing leaks.

    The third site's cache is gone after it joined, so it fails every round; with a quorum of two the
    run goes on, no text of the failure beyond its code reaches the server, every whole site gets the
    final model, and no process talks to anything but loopback.
    """
    broken = a_dataset(tmp_path / "0", site="0")
    out = tmp_path / "flare"
    seen = set()

    def watch(event):
        if (event.kind, event.ref) == ("verify", "case a-0"):
            for index in (out / "cache").rglob("*.index.npz"):
                index.unlink()
        if event.kind == "federate":
            seen.update(strangers(out))

    job = a_job(quorum=2)
    model = NvflareAggregator().run(job.to_json(), datasets={"site-0": broken, **two_sites}, out=out, on_event=watch)
    reference = InProcessAggregator().run(
        job.to_json(), datasets=two_sites, out=tmp_path / "reference", on_event=ignore
    )

    ours, theirs = load_weights(model), load_weights(reference)
    assert all(np.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)
    assert [dict(each.lost) for each in read_rounds(out)] == [{"site-0": "dataset.damaged"}] * 2
    metrics = json.loads((out / "evaluation.json").read_text())
    site = join("site-a", two_sites["site-a"], job, tmp_path / "reference")
    assert metrics["site-a"] == pytest.approx(dict(site.evaluate(theirs)), abs=1e-4)
    assert "Traceback" in (out / "logs" / "site-site-0.log").read_text()
    assert "Traceback" not in (out / "logs" / "server.log").read_text()
    assert seen == set()
    assert processes_of(out) == []


@pytest.mark.parametrize("strategy", [{"name": "krum"}, {"name": "fedtrimmedavg"}])
def test_a_strategy_flare_does_not_have_is_refused_before_anything_starts(strategy, two_sites, tmp_path):
    """The refusal names the strategy, and no file was written."""
    document = a_job().to_json()
    document["rules"]["strategy"] = strategy

    with pytest.raises(JobMismatchError, match=strategy["name"]):
        NvflareAggregator().run(document, datasets=two_sites, out=tmp_path / "out", on_event=ignore)

    assert not (tmp_path / "out").exists()


def test_flare_fulfils_the_port():
    """The adapter is what the plug-in group promises, under its name."""
    from racoon_data import plugins

    assert isinstance(plugins.load(plugins.AGGREGATORS, "nvflare")(), Aggregator)
