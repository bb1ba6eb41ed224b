"""FLARE's server, sites and coordinator as processes of ours: started straight from their kits, quiet, leashed."""

from __future__ import annotations

import sys
from pathlib import Path

from racoon_train.federated.adapters.flower_processes import Daemons
from racoon_train.federated.adapters.nvflare_kits import PROJECT

_FLARE = "nvflare.private.fed.app"
_HERE = "racoon_train.federated.adapters"


def start_server(running: Daemons, kit: Path, out: Path, *, sites: int) -> None:
    """Start FLARE's server from its kit; the federation's models and account go to ``out``."""
    extra = {"RACOON_FEDERATION_OUT": str(out), "RACOON_FEDERATION_SITES": str(sites)}
    running.start("server", _daemon(kit, "server.server_train", "fed_server.json"), extra)


def start_site(running: Daemons, kit: Path, paper: Path) -> None:
    """Start a site's client from its kit, bound to the site's paper."""
    command = [*_daemon(kit, "client.client_train", "fed_client.json"), f"uid={kit.name}"]
    running.start(f"site-{kit.name}", command, {"RACOON_SITE_FILE": str(paper)})


def start_coordinator(running: Daemons, kit: Path, out: Path, *, sites: int) -> None:
    """Start who submits the job."""
    extra = {"RACOON_FEDERATION_OUT": str(out), "RACOON_FEDERATION_SITES": str(sites)}
    options = ["--kit", str(kit), "--out", str(out), "--sites", str(sites)]
    running.start("coordinator", [*_python(f"{_HERE}.nvflare_coordinator"), *options], extra)


def _daemon(kit: Path, module: str, settings: str) -> list[str]:
    options = ["secure_train=true", f"org={PROJECT}", "config_folder=config"]
    return [*_python(f"{_FLARE}.{module}"), "-m", str(kit), "-s", settings, "--set", *options]


def _python(module: str) -> list[str]:
    return [sys.executable, "-u", "-m", module]
