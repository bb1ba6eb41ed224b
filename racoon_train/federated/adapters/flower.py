"""Flower as aggregator: SuperLink, one SuperNode per site, all separate processes over TLS on loopback."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from racoon_data.errors import MissingExtraError
from racoon_data.events import OnEvent
from racoon_train.checkpoints import load_weights
from racoon_train.federated.adapters.certificates import make_certificates, node_key, publisher_key
from racoon_train.federated.adapters.flower_processes import Daemons, daemons, free_ports
from racoon_train.federated.contract import SiteClient, join
from racoon_train.federated.preflight import refuse_doubles
from racoon_train.federated.rounds import finish
from racoon_train.job.job import Job, job_from


class FlowerAggregator:
    """Runs Flower's real daemons, with keys for this run, and ends them however the run ends."""

    def run(self, job: Mapping[str, Any], *, datasets: Mapping[str, Path], out: Path, on_event: OnEvent) -> Path:
        """Train together; see ``racoon_data.ports.Aggregator``.

        Raises:
            FederationError: Flower did not start, a round lost its quorum, or nothing moved for too long.
            JobMismatchError: A dataset does not fit the job, or is the same under two aliases.
            MissingExtraError: Flower is not installed.
        """
        require_flower()
        parsed = job_from(job)
        out = out.resolve()
        sites = [join(alias, root, parsed, out, on_event=on_event) for alias, root in sorted(datasets.items())]
        refuse_doubles({site.alias: site.dataset_sha256 for site in sites})
        with daemons(out / "flower", out / "logs") as running:
            _run(running, parsed, sites, out, on_event)
        return finish(out, load_weights(out / "global.safetensors"), parsed, sites)


def _run(running: Daemons, job: Job, sites: Sequence[SiteClient], out: Path, on_event: OnEvent) -> None:
    from racoon_train.federated.adapters.flower_coordinator import Coordinator
    from racoon_train.federated.adapters.flower_member import Member

    port = free_ports(1)[0]
    address = f"127.0.0.1:{port}"
    certificates = make_certificates(out / "flower" / "certificates")
    keys = {site.alias: out / "sites" / f"{site.alias}.key" for site in sites}
    signer = out / "flower" / "publisher.key"
    publisher = publisher_key(signer)
    members = {alias: node_key(path) for alias, path in keys.items()}
    coordinator = Coordinator(job, out, members, certificates, signer, port)
    coordinator.start(running, anew=True)
    for site in sites:
        site.begin()
        paper = out / "sites" / f"{site.alias}.json"
        site.save(paper)
        Member(site.alias, paper, address, certificates.authority, keys[site.alias], publisher).start(running)
    coordinator.watch(running, on_event=on_event)


def require_flower() -> None:
    """Refuse where Flower is not installed.

    Raises:
        MissingExtraError: See above.
    """
    from importlib.util import find_spec

    if find_spec("flwr") is None:
        raise MissingExtraError("Flower is not installed", hint="in racoon's folder: pip install '.[flower]'")
