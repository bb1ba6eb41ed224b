"""The coordinator's half of FLARE: lay out, start server and submitter, watch, say how it ended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from racoon_data.documents import read_json
from racoon_data.errors import (
    ExpiredCertificateError,
    FederationError,
    JobMismatchError,
    QuorumLostError,
    SettingsError,
    SiteLostError,
)
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_train.checkpoints import load_weights, save_weights
from racoon_train.federated.adapters.certificates import valid_until
from racoon_train.federated.adapters.flower_processes import Daemons, daemons
from racoon_train.federated.adapters.nvflare_kits import Kits, close_server, kits_in, provision
from racoon_train.federated.adapters.nvflare_member import pack_kit
from racoon_train.federated.adapters.nvflare_processes import PROGRAM, start_coordinator, start_server
from racoon_train.federated.heads import head_axes
from racoon_train.federated.preflight import Difference, Preflight, refuse
from racoon_train.federated.rounds import finish, last_failure, read_rounds
from racoon_train.job.job import Job, load_job
from racoon_train.networks import initial_weights

_POLL_S = 0.3
_SLACK_S = 180.0
_RESTARTS = 3
_ENDS = {each.code: each for each in (QuorumLostError, SiteLostError)}
_ENDINGS = ("server.json", "coordinator.json", "submissions.json", "regroup", "preflight.json")


def invite(out: Path, aliases: Sequence[str], *, host: str, port: int) -> dict[str, tuple[Path, str]]:
    """Make a kit file for every site that may take part; called again, it adds sites under the same authority.

    Args:
        out: The federation's folder at the coordinator.
        aliases: All sites, those invited before too.
        host: Name or address that sites dial; it stands in the server's certificate.
        port: The one port that must be reachable.

    Returns:
        Kit file and fingerprint of the authority by alias.

    Raises:
        FederationError: FLARE refused.
    """
    kits = provision(out / "nvflare", sorted(aliases), host=host, port=port)
    close_server(kits.server)
    files = {alias: out / "invitations" / f"{alias}.kit.json" for alias in kits.sites}
    return {alias: (file, pack_kit(kits.sites[alias], file)) for alias, file in files.items()}


def serve(
    job: Job,
    out: Path,
    aliases: Sequence[str],
    *,
    anew: bool = False,
    only_preflight: bool = False,
    on_event: OnEvent = ignore,
) -> Path | None:
    """Run the coordinator's half until every round is done, for sites on machines of their own.

    Args:
        job: The job every site approved.
        out: The federation's folder, with the kits that ``invite`` made.
        aliases: The sites that take part.
        anew: Forget the rounds of an earlier run; else go on after its last whole round.
        only_preflight: Stop after the pre-flight, whose documents are in ``preflight.json``.
        on_event: Listener for rounds.

    Returns:
        The global model, or ``None`` after a pre-flight alone.

    Raises:
        JobMismatchError: A pre-flight does not fit; the message has the difference.
        QuorumLostError: A round lost its quorum; the rounds before it are kept.
        FederationError: It ended otherwise.
    """
    kits = kits_in(out / "nvflare", sorted(aliases))
    require_valid(kits.server / "startup" / "server.crt")
    lay_out(job, out, aliases, anew=anew, only_preflight=only_preflight)
    with daemons(out / "nvflare", out / "logs", PROGRAM) as running:
        start(running, kits, out)
        watch(running, kits, job, out, on_event=on_event)
    if only_preflight:
        return None
    known = [Preflight.model_validate(each) for each in read_json(out / "preflight.json")["sites"]]
    return finish(out, load_weights(out / "global.safetensors"), job, known)


def require_valid(certificate: Path) -> None:
    """Refuse a certificate that is over.

    Raises:
        ExpiredCertificateError: See above.
    """
    if (end := valid_until(certificate)) <= datetime.now(UTC):
        raise ExpiredCertificateError(
            f"the server's certificate ended on {end:%Y-%m-%d}", hint="invite every site again into a new folder"
        )


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
