"""Flower as aggregator: SuperLink, one SuperNode per site, all separate processes over TLS on loopback."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from racoon_data.documents import parse_json, read_json
from racoon_data.errors import FederationError, MissingExtraError
from racoon_data.events import Event, OnEvent
from racoon_data.files.atomic import write_json, write_text
from racoon_train.checkpoints import load_weights, save_weights
from racoon_train.federated.adapters.certificates import Certificates, make_certificates
from racoon_train.federated.adapters.flower_processes import Daemons, daemons, free_ports, wait_for_port
from racoon_train.federated.contract import SiteClient, join
from racoon_train.federated.rounds import finish, read_rounds
from racoon_train.job.job import Job, job_from
from racoon_train.networks import initial_weights

_START_S = 60.0
_POLL_S = 0.3
_SLACK_S = 60.0

# No code travels: the bundle names entry points that every site has installed beforehand.
_BUNDLE = """\
[project]
name = "racoon-federation"
version = "1.0.0"
description = "Names the installed entry points of racoon"
license = "Apache-2.0"
dependencies = ["flwr>=1.41,<1.42"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.flwr.app]
publisher = "racoon"

[tool.flwr.app.components]
serverapp = "racoon_train.federated.adapters.flower_server:app"
clientapp = "racoon_train.federated.adapters.flower_client:app"

[tool.flwr.app.config]
job-sha256 = "{sha256}"
"""

_CONNECTION = """\
[superlink]
default = "federation"

[superlink.federation]
address = "127.0.0.1:{port}"
root-certificates = {authority}
"""


class FlowerAggregator:
    """Runs Flower's real daemons, and ends them however the run ends."""

    def run(self, job: Mapping[str, Any], *, datasets: Mapping[str, Path], out: Path, on_event: OnEvent) -> Path:
        """Train together; see ``racoon_data.ports.Aggregator``.

        Raises:
            FederationError: Flower did not start, a round lost its quorum, or nothing moved for too long.
            MissingExtraError: Flower is not installed.
        """
        _require_flower()
        parsed = job_from(job)
        out = out.resolve()
        _clear(out)
        sites = [join(alias, root, parsed, out, on_event=on_event) for alias, root in sorted(datasets.items())]
        write_json(out / "job.json", parsed.to_json())
        with daemons(out / "flower", out / "logs") as running:
            _start(running, sites, out)
            _submit(running, parsed, out)
            _watch(running, parsed, out, on_event=on_event)
        return finish(out, load_weights(out / "global.safetensors"), parsed, sites)


def _require_flower() -> None:
    from importlib.util import find_spec

    if find_spec("flwr") is None:
        raise MissingExtraError("Flower is not installed", hint="pip install 'racoon[flower]'")


def _clear(out: Path) -> None:
    for name in ("rounds.json", "server.json", "global.safetensors"):
        (out / name).unlink(missing_ok=True)


def _start(running: Daemons, sites: Sequence[SiteClient], out: Path) -> None:
    port, *node_ports = free_ports(1 + len(sites))
    certificates = make_certificates(out / "flower" / "certificates")
    write_text(
        out / "flower" / "config.toml",
        _CONNECTION.format(port=port, authority=json.dumps(str(certificates.authority))),
    )
    running.start("superlink", _superlink(port, certificates), _server_variables(out, len(sites)))
    save_weights(out / "initial.safetensors", initial_weights(sites[0].job))
    wait_for_port(port, timeout_s=_START_S, running=running)
    for site, node_port in zip(sites, node_ports, strict=True):
        paper = out / "sites" / f"{site.alias}.json"
        site.begin()
        site.save(paper)
        running.start(f"site-{site.alias}", _supernode(port, node_port, certificates), {"RACOON_SITE_FILE": str(paper)})


def _server_variables(out: Path, sites: int) -> dict[str, str]:
    return {"RACOON_FEDERATION_OUT": str(out), "RACOON_FEDERATION_SITES": str(sites)}


def _superlink(port: int, certificates: Certificates) -> list[str]:
    return [
        "flower-superlink",
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--ssl-ca-certfile", str(certificates.authority)),
        *("--ssl-certfile", str(certificates.certificate)),
        *("--ssl-keyfile", str(certificates.key)),
        "--disable-runtime-dependency-installation",
    ]


def _supernode(port: int, own_port: int, certificates: Certificates) -> list[str]:
    return [
        "flower-supernode",
        *("--superlink", f"127.0.0.1:{port}"),
        *("--root-certificates", str(certificates.authority)),
        *("--host", "127.0.0.1", "--port", str(own_port)),
    ]


def _submit(running: Daemons, job: Job, out: Path) -> None:
    bundle = out / "flower" / "bundle"
    write_text(bundle / "pyproject.toml", _BUNDLE.format(sha256=job.sha256))
    answer = running.call(["flwr", "run", str(bundle), "federation", "--format", "json"], timeout_s=_START_S)
    try:
        taken = bool(parse_json(answer).get("success"))
    except ValueError:
        taken = False
    if not taken:
        raise FederationError("Flower did not take the job", hint=f"look at {running.logs / 'submit.log'}")


def _watch(running: Daemons, job: Job, out: Path, *, on_event: OnEvent) -> None:
    patience_s = job.rules.round_timeout_s + job.rules.join_timeout_s + _SLACK_S
    seen, moved = 0, time.monotonic()
    while not (out / "server.json").is_file():
        if "superlink" in running.dead():
            raise FederationError("Flower's SuperLink ended", hint=f"look at {running.logs / 'superlink.log'}")
        if time.monotonic() - moved > patience_s:
            raise FederationError("the federation stands still", hint=f"look at {running.logs}")
        time.sleep(_POLL_S)
        seen, moved = _report(out, job, seen, moved, on_event)
    _report(out, job, seen, moved, on_event)
    ended = read_json(out / "server.json")["ended"]
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
