"""The coordinator's half of Flower: the SuperLink, the members' keys, the signed run, and watching it to its end."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from racoon_data.documents import read_json
from racoon_data.errors import (
    ExpiredCertificateError,
    FederationError,
    JobMismatchError,
    QuorumLostError,
    SiteLostError,
)
from racoon_data.events import Event, OnEvent
from racoon_data.files.atomic import write_json, write_text
from racoon_train.checkpoints import load_weights, save_weights
from racoon_train.federated.adapters.certificates import Certificates, valid_until
from racoon_train.federated.adapters.flower_bundle import write_bundle
from racoon_train.federated.adapters.flower_daemon import BUNDLE_VARIABLE
from racoon_train.federated.adapters.flower_processes import Daemons, wait_for_port
from racoon_train.federated.adapters.flower_strategies import strategy_of
from racoon_train.federated.heads import head_axes
from racoon_train.federated.preflight import Difference, refuse
from racoon_train.federated.rounds import last_failure, read_rounds
from racoon_train.job.job import Job
from racoon_train.networks import initial_weights

START_S = 60.0
_POLL_S = 0.3
_SLACK_S = 60.0
_ENDS = {each.code: each for each in (QuorumLostError, SiteLostError)}

_CONNECTION = """\
[superlink]
default = "federation"

[superlink.federation]
address = "{host}:{port}"
root-certificates = {authority}
"""


@dataclass(frozen=True, slots=True)
class Coordinator:
    """Where a federation is coordinated.

    Attributes:
        job: The job.
        out: Folder of the federation: rounds, logs, the final model.
        members: Public key (PEM) by alias: nobody else is let in.
        certificates: Of the server.
        publisher: Private key that signs the bundle.
        port: Port to listen on.
        host: Address to listen on.
    """

    job: Job
    out: Path
    members: Mapping[str, str]
    certificates: Certificates
    publisher: Path
    port: int
    host: str = "127.0.0.1"
    only_preflight: bool = field(default=False)

    def start(self, running: Daemons, *, anew: bool) -> None:
        """Start the SuperLink, register the members and submit the run.

        Args:
            running: Takes the daemons.
            anew: Forget the rounds of an earlier run; else go on after its last whole round.

        Raises:
            ExpiredCertificateError: The server's certificate is over.
            JobMismatchError: Flower has no strategy of this name.
            FederationError: Flower did not start or did not take the job.
        """
        require_valid(self.certificates)
        strategy_of(self.job)
        self._lay_out(anew=anew)
        local = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        link = {"host": local, "port": self.port, "authority": json.dumps(str(self.certificates.authority))}
        write_text(running.home / "config.toml", _CONNECTION.format(**link))
        signed = self.out / "flower" / "signed.json"
        variables = {"RACOON_FEDERATION_OUT": str(self.out), BUNDLE_VARIABLE: str(signed)}
        running.start("superlink", self._superlink(), variables)
        if anew or not (self.out / "initial.safetensors").is_file():
            save_weights(self.out / "initial.safetensors", initial_weights(self.job))
        heads = head_axes(self.job) if self.job.rules.average_heads_per_class else {}
        write_json(self.out / "plan.json", {"heads": heads, "only_preflight": self.only_preflight})
        wait_for_port(self.port, timeout_s=START_S, running=running, host=local)
        plan = {
            "out": str(self.out),
            "members": dict(self.members),
            "bundle": str(write_bundle(self.out / "flower" / "bundle", self.job.sha256)),
            "publisher": str(self.publisher),
            "signed": str(signed),
        }
        write_json(self.out / "flower" / "submit.json", plan)
        module = "racoon_train.federated.adapters.flower_submit"
        running.call(module, str(self.out / "flower" / "submit.json"), timeout_s=START_S)

    def _lay_out(self, *, anew: bool) -> None:
        for name in ("server.json", "preflight.json", *(("rounds.json", "global.safetensors") if anew else ())):
            (self.out / name).unlink(missing_ok=True)
        (self.out / "waiting").mkdir(parents=True, exist_ok=True)
        write_json(self.out / "job.json", self.job.to_json())

    def _superlink(self) -> list[str]:
        files = self.certificates
        return [
            "superlink",
            *("--host", self.host, "--port", str(self.port)),
            *("--ssl-ca-certfile", str(files.authority)),
            *("--ssl-certfile", str(files.certificate)),
            *("--ssl-keyfile", str(files.key)),
            "--enable-supernode-auth",
            "--disable-runtime-dependency-installation",
        ]

    def watch(self, running: Daemons, *, on_event: OnEvent) -> None:
        """Wait for the end and report rounds as they finish.

        Raises:
            JobMismatchError: A pre-flight does not fit; the message has the difference.
            QuorumLostError: A round lost its quorum; the rounds before it are kept.
            FederationError: It ended otherwise, or nothing moved for too long.
        """
        rules = self.job.rules
        patience_s = rules.round_timeout_s * rules.round_attempts + rules.join_timeout_s + _SLACK_S
        seen, moved = len(read_rounds(self.out)), time.monotonic()
        while not (self.out / "server.json").is_file():
            if dead := running.dead():
                raise FederationError(f"Flower's {dead[0]} ended", hint=f"look at {running.logs / dead[0]}.log")
            if time.monotonic() - moved > patience_s:
                raise FederationError("the federation stands still", hint=f"look at {running.logs}")
            time.sleep(_POLL_S)
            seen, moved = self._report(seen, moved, on_event)
        self._report(seen, moved, on_event)
        self._judge(str(read_json(self.out / "server.json")["ended"]), running.logs)

    def _report(self, seen: int, moved: float, on_event: OnEvent) -> tuple[int, float]:
        rounds = read_rounds(self.out)
        for each in rounds[seen:]:
            lost = f", lost {', '.join(sorted(each.lost))}" if each.lost else ""
            on_event(Event("federate", f"{len(each.losses)} sites{lost}", each.number, self.job.training.rounds))
            moved = time.monotonic()
        return len(rounds), moved

    def _judge(self, ended: str, logs: Path) -> None:
        if ended == "done":
            return
        preflight = self.out / "preflight.json"
        if ended == JobMismatchError.code and preflight.is_file():
            refuse(Difference.model_validate(each) for each in read_json(preflight)["differences"])
        named = ", ".join(f"{alias} ({code})" for alias, code in sorted(last_failure(self.out).items()))
        kind = _ENDS.get(ended, FederationError)
        raise kind(f"the federation ended early ({ended})", ref=named or None, hint=f"look at {logs}, then resume")

    def model(self) -> dict[str, object]:
        """Give what the final card needs: the weights, and what pre-flight told of each site."""
        found = read_json(self.out / "preflight.json")["sites"]
        return {"weights": load_weights(self.out / "global.safetensors"), "sites": found}


def require_valid(certificates: Certificates) -> None:
    """Refuse a certificate that is over.

    Raises:
        ExpiredCertificateError: See above.
    """
    from datetime import UTC, datetime

    if (end := valid_until(certificates.certificate)) <= datetime.now(UTC):
        raise ExpiredCertificateError(
            f"the server's certificate ended on {end:%Y-%m-%d}", hint="make a new invitation and send it to every site"
        )
