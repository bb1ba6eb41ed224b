"""NVIDIA FLARE as aggregator: server, one client per site and coordinator, separate processes over mutual TLS."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from racoon_data.documents import read_json
from racoon_data.errors import FederationError, MissingExtraError
from racoon_data.events import Event, OnEvent
from racoon_data.files.atomic import write_json
from racoon_train.checkpoints import load_weights, save_weights
from racoon_train.federated.adapters.flower_processes import Daemons, daemons, free_ports
from racoon_train.federated.adapters.nvflare_kits import close_server, close_site, provision
from racoon_train.federated.adapters.nvflare_processes import start_coordinator, start_server, start_site
from racoon_train.federated.contract import SiteClient, join
from racoon_train.federated.rounds import finish, read_rounds, round_file
from racoon_train.job.job import Job, job_from
from racoon_train.networks import initial_weights

_POLL_S = 0.3
_SLACK_S = 120.0


class NvflareAggregator:
    """Runs FLARE's real processes from provisioned kits, and ends them however the run ends."""

    def run(self, job: Mapping[str, Any], *, datasets: Mapping[str, Path], out: Path, on_event: OnEvent) -> Path:
        """Train together; see ``racoon_data.ports.Aggregator``.

        Raises:
            FederationError: FLARE did not start, a round lost its quorum, or nothing moved for too long.
            MissingExtraError: NVIDIA FLARE is not installed.
        """
        require_nvflare()
        parsed = job_from(job)
        out = out.resolve()
        clear(out)
        sites = [join(alias, root, parsed, out, on_event=on_event) for alias, root in sorted(datasets.items())]
        write_json(out / "job.json", parsed.to_json())
        save_weights(out / "initial.safetensors", initial_weights(parsed))
        with daemons(out / "nvflare", out / "logs") as running:
            _start(running, sites, out)
            watch(running, parsed, out, on_event=on_event)
        return finish(out, load_weights(round_file(out, parsed.training.rounds)), parsed, sites)


def require_nvflare() -> None:
    """Raise ``MissingExtraError`` where NVIDIA FLARE is not installed."""
    from importlib.util import find_spec

    if find_spec("nvflare") is None:
        raise MissingExtraError("NVIDIA FLARE is not installed", hint="pip install 'racoon[nvflare]'")


def clear(out: Path) -> None:
    """Forget an earlier run in this folder: its rounds, its account, its kits."""
    import shutil

    for name in ("rounds.json", "server.json", "coordinator.json", "regroup"):
        (out / name).unlink(missing_ok=True)
    for folder in ("rounds", "nvflare"):
        shutil.rmtree(out / folder, ignore_errors=True)


def _start(running: Daemons, sites: Sequence[SiteClient], out: Path) -> None:
    [port] = free_ports(1)
    kits = provision(out / "nvflare", [site.alias for site in sites], host="localhost", port=port)
    close_server(kits.server)
    start_server(running, kits.server, out, sites=len(sites))
    for site in sites:
        kit, paper = kits.sites[site.alias], out / "sites" / f"{site.alias}.json"
        close_site(kit)
        site.begin()
        site.save(paper)
        start_site(running, kit, paper)
    start_coordinator(running, kits.coordinator, out, sites=len(sites))


def watch(running: Daemons, job: Job, out: Path, *, on_event: OnEvent) -> None:
    """Report rounds until the coordinator says how it ended.

    Raises:
        FederationError: It ended early, or nothing moved for too long.
    """
    patience_s = job.rules.round_timeout_s + job.rules.join_timeout_s + _SLACK_S
    seen, moved = 0, time.monotonic()
    while not (out / "coordinator.json").is_file():
        if "coordinator" in running.dead():
            raise FederationError("the coordinator's process ended", hint=f"look at {running.logs / 'coordinator.log'}")
        if time.monotonic() - moved > patience_s:
            raise FederationError("the federation stands still", hint=f"look at {running.logs}")
        time.sleep(_POLL_S)
        seen, moved = _report(out, job, seen, moved, on_event)
    _report(out, job, seen, moved, on_event)
    ended = read_json(out / "coordinator.json")["ended"]
    if ended != "done":
        raise FederationError(f"the federation ended early ({ended})", ref=_lost(out), hint=f"look at {running.logs}")


def _report(out: Path, job: Job, seen: int, moved: float, on_event: OnEvent) -> tuple[int, float]:
    rounds = read_rounds(out)
    for each in rounds[seen:]:
        lost = f", lost {', '.join(sorted(each.lost))}" if each.lost else ""
        on_event(Event("federate", f"{len(each.losses)} sites{lost}", each.number, job.training.rounds))
        moved = time.monotonic()
    return len(rounds), moved


def _lost(out: Path) -> str | None:
    rounds = read_rounds(out)
    named = ", ".join(f"{alias} ({code})" for alias, code in sorted(rounds[-1].lost.items())) if rounds else ""
    return named or None
