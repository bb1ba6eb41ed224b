"""FLARE's server, sites and coordinator as processes of ours: started straight from their kits, quiet, on a leash."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from racoon_train.federated.adapters.flower_processes import Daemons
from racoon_train.federated.adapters.leash import PARENT_VARIABLE
from racoon_train.federated.adapters.nvflare_kits import PROJECT

_DAEMON = [sys.executable, "-u", "-m", "racoon_train.federated.adapters.nvflare_daemon"]

# FLARE's own patience with a client that died: a minute and a half where our rounds need seconds.
_PATIENCE = {"NVFLARE_DEAD_CLIENT_GRACE_PERIOD": "5", "NVFLARE_DEAD_CLIENT_CHECK_LEAD_TIME": "5"}


def start_server(running: Daemons, kit: Path, out: Path, *, sites: int) -> None:
    """Start FLARE's server from its kit; the federation's models and account go to ``out``."""
    _start(running, "server", _options(kit, "fed_server.json"), server_variables(out, sites))


def start_site(running: Daemons, kit: Path, paper: Path) -> None:
    """Start a site's client from its kit, bound to the site's paper."""
    options = [*_options(kit, "fed_client.json"), f"uid={kit.name}"]
    _start(running, "site", options, {"RACOON_SITE_FILE": str(paper)}, name=f"site-{kit.name}")


def start_coordinator(running: Daemons, kit: Path, out: Path, *, sites: int) -> None:
    """Start who submits the job."""
    options = ["--kit", str(kit), "--out", str(out), "--sites", str(sites)]
    _start(running, "coordinator", options, server_variables(out, sites))


def server_variables(out: Path, sites: int) -> Mapping[str, str]:
    """Give what the server's classes read: where the federation lies, and how many sites were invited."""
    return {"RACOON_FEDERATION_OUT": str(out), "RACOON_FEDERATION_SITES": str(sites)}


def _start(running: Daemons, which: str, options: list[str], extra: Mapping[str, str], *, name: str = "") -> None:
    leash = {PARENT_VARIABLE: str(os.getpid())}
    running.start(name or which, [*_DAEMON, which, *options], {**_PATIENCE, **leash, **extra})


def _options(kit: Path, settings: str) -> list[str]:
    return ["-m", str(kit), "-s", settings, "--set", "secure_train=true", f"org={PROJECT}", "config_folder=config"]
