"""NVIDIA FLARE as aggregator: server, one client per site and coordinator, separate processes over mutual TLS."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from racoon_data.errors import MissingExtraError
from racoon_data.events import OnEvent
from racoon_train.checkpoints import load_weights
from racoon_train.federated.adapters.flower_processes import Daemons, daemons, free_ports
from racoon_train.federated.adapters.nvflare_kits import Kits, close_server, close_site, provision
from racoon_train.federated.adapters.nvflare_processes import PROGRAM, start_site
from racoon_train.federated.adapters.nvflare_serving import lay_out, start, watch
from racoon_train.federated.contract import SiteClient, join
from racoon_train.federated.preflight import refuse_doubles
from racoon_train.federated.rounds import finish
from racoon_train.job.job import Job, job_from


class NvflareAggregator:
    """Runs FLARE's real processes from kits made for this run, and ends them however the run ends."""

    def run(self, job: Mapping[str, Any], *, datasets: Mapping[str, Path], out: Path, on_event: OnEvent) -> Path:
        """Train together; see ``racoon_data.ports.Aggregator``.

        Raises:
            FederationError: FLARE did not start, a round lost its quorum, or nothing moved for too long.
            JobMismatchError: A dataset does not fit the job, is the same under two aliases, or the strategy is unknown.
            MissingExtraError: NVIDIA FLARE is not installed.
        """
        parsed = job_from(job)
        require_nvflare(parsed)
        out = out.resolve()
        sites = [join(alias, root, parsed, out, on_event=on_event) for alias, root in sorted(datasets.items())]
        refuse_doubles({site.alias: site.dataset_sha256 for site in sites})
        lay_out(parsed, out, [site.alias for site in sites], anew=True)
        shutil.rmtree(out / "nvflare", ignore_errors=True)
        with daemons(out / "nvflare", out / "logs", PROGRAM) as running:
            kits = _start(running, sites, out)
            watch(running, kits, parsed, out, on_event=on_event)
        return finish(out, load_weights(out / "global.safetensors"), parsed, sites)


def require_nvflare(job: Job) -> None:
    """Refuse where NVIDIA FLARE is not installed, or has no strategy of the job's name.

    Raises:
        MissingExtraError: The first.
        JobMismatchError: The second.
    """
    from importlib.util import find_spec

    if find_spec("nvflare") is None:
        raise MissingExtraError("NVIDIA FLARE is not installed", hint="in racoon's folder: pip install '.[nvflare]'")
    from racoon_train.federated.adapters.nvflare_strategies import require_strategy

    require_strategy(job)


def _start(running: Daemons, sites: Sequence[SiteClient], out: Path) -> Kits:
    [port] = free_ports(1)
    kits = provision(out / "nvflare", [site.alias for site in sites], host="localhost", port=port)
    close_server(kits.server)
    start(running, kits, out)
    for site in sites:
        kit, paper = kits.sites[site.alias], out / "sites" / f"{site.alias}.json"
        close_site(kit)
        site.begin()
        site.save(paper)
        start_site(running, kit, paper)
    return kits
