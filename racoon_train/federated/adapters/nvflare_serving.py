"""The coordinator's half of FLARE: lay out, start server and submitter, watch, say how it ended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from racoon_data.documents import read_json
from racoon_data.errors import FederationError, JobMismatchError, QuorumLostError, SettingsError, SiteLostError
from racoon_data.events import Event, OnEvent
from racoon_data.files.atomic import write_json
from racoon_train.checkpoints import save_weights
from racoon_train.federated.adapters.flower_processes import Daemons
from racoon_train.federated.adapters.nvflare_kits import Kits
from racoon_train.federated.adapters.nvflare_processes import start_coordinator, start_server
from racoon_train.federated.heads import head_axes
from racoon_train.federated.preflight import Difference, refuse
from racoon_train.federated.rounds import last_failure, read_rounds
from racoon_train.job.job import Job, load_job
from racoon_train.networks import initial_weights

_POLL_S = 0.3
_SLACK_S = 180.0
_RESTARTS = 3
_ENDS = {each.code: each for each in (QuorumLostError, SiteLostError)}
_ENDINGS = ("server.json", "coordinator.json", "submissions.json", "regroup", "preflight.json")


def lay_out(job: Job, out: Path, aliases: Sequence[str], *, anew: bool, only_preflight: bool = False) -> None:
    """Write what server and coordinator work by.

    Args:
        job: The job.
        out: The federation's folder at the coordinator.
        aliases: Every site that is invited.
        anew: Forget the rounds of an earlier run; else go on after its last whole round.
        only_preflight: Stop after the pre-flight.

    Raises:
        SettingsError: The rounds there are of another job.
    """
    for name in _ENDINGS:
        (out / name).unlink(missing_ok=True)
    if anew:
        (out / "rounds.json").unlink(missing_ok=True)
        (out / "global.safetensors").unlink(missing_ok=True)
        shutil.rmtree(out / "rounds", ignore_errors=True)
    elif (out / "job.json").is_file() and load_job(out / "job.json").sha256 != job.sha256:
        raise SettingsError(
            "the rounds in this folder are of another job", ref=str(out.name), hint="use another folder"
        )
    write_json(out / "job.json", job.to_json())
    heads = head_axes(job) if job.rules.average_heads_per_class else {}
    plan = {"heads": heads, "only_preflight": only_preflight, "sites": len(aliases), "aliases": sorted(aliases)}
    write_json(out / "plan.json", plan)
    if anew or not (out / "initial.safetensors").is_file():
        save_weights(out / "initial.safetensors", initial_weights(job))


def start(running: Daemons, kits: Kits, out: Path) -> None:
    """Start the server and who submits the job."""
    start_server(running, kits.server, out)
    start_coordinator(running, kits.coordinator, out)


def watch(running: Daemons, kits: Kits, job: Job, out: Path, *, on_event: OnEvent) -> None:
    """Report rounds until the coordinator says how it ended; a server that died is started again.

    Raises:
        JobMismatchError: A pre-flight does not fit; the message has the difference.
        QuorumLostError: A round lost its quorum; the rounds before it are kept.
        SiteLostError: Too few sites joined in time.
        FederationError: It ended otherwise, or nothing moved for too long.
    """
    rules = job.rules
    patience_s = (rules.round_timeout_s + rules.join_timeout_s) * max(2, rules.round_attempts) + _SLACK_S
    seen, restarts, moved = len(read_rounds(out)), 0, time.monotonic()
    while not (out / "coordinator.json").is_file():
        if "coordinator" in running.dead():
            raise FederationError("the coordinator's process ended", hint=f"look at {running.logs / 'coordinator.log'}")
        if "server" in running.dead():
            restarts += 1
            if restarts > _RESTARTS:
                raise FederationError("FLARE's server ends again and again", hint=f"look at {running.logs}/server.log")
            on_event(Event("restart", "server", restarts, _RESTARTS))
            start_server(running, kits.server, out)
        if time.monotonic() - moved > patience_s:
            raise FederationError("the federation stands still", hint=f"look at {running.logs}")
        time.sleep(_POLL_S)
        seen, moved = _report(out, job, seen, moved, on_event)
    _report(out, job, seen, moved, on_event)
    _judge(out, running.logs)


def _judge(out: Path, logs: Path) -> None:
    ended = str(read_json(out / "coordinator.json")["ended"])
    if ended == "done":
        return
    preflight = out / "preflight.json"
    if ended == JobMismatchError.code and preflight.is_file():
        refuse(Difference.model_validate(each) for each in read_json(preflight)["differences"])
    named = ", ".join(f"{alias} ({code})" for alias, code in sorted(last_failure(out).items()))
    kind = _ENDS.get(ended, FederationError)
    raise kind(f"the federation ended early ({ended})", ref=named or None, hint=f"look at {logs}, then resume")


def _report(out: Path, job: Job, seen: int, moved: float, on_event: OnEvent) -> tuple[int, float]:
    rounds = read_rounds(out)
    for each in rounds[seen:]:
        lost = f", lost {', '.join(sorted(each.lost))}" if each.lost else ""
        on_event(Event("federate", f"{len(each.losses)} sites{lost}", each.number, job.training.rounds))
        moved = time.monotonic()
    return len(rounds), moved
