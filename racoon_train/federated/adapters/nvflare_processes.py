"""FLARE's server, sites and coordinator as processes of ours: started straight from their kits, quiet, on a leash."""

from __future__ import annotations

from pathlib import Path

from racoon_train.federated.adapters.flower_processes import Daemons
from racoon_train.federated.adapters.nvflare_kits import PROJECT

PROGRAM = ("-u", "-m", "racoon_train.federated.adapters.nvflare_daemon")

# FLARE's own patience with a client that died: a minute and a half where our rounds need seconds.
_PATIENCE = {"NVFLARE_DEAD_CLIENT_GRACE_PERIOD": "5", "NVFLARE_DEAD_CLIENT_CHECK_LEAD_TIME": "5"}


def start_server(running: Daemons, kit: Path, out: Path) -> None:
    """Start FLARE's server from its kit; the federation's models and account go to ``out``."""
    running.start("server", ["server", *_options(kit, "fed_server.json")], _home(out))


def start_site(running: Daemons, kit: Path, paper: Path) -> None:
    """Start a site's client from its kit, bound to the site's paper."""
    options = [*_options(kit, "fed_client.json"), f"uid={kit.name}"]
    running.start(f"site-{kit.name}", ["site", *options], {**_PATIENCE, "RACOON_SITE_FILE": str(paper)})


def start_coordinator(running: Daemons, kit: Path, out: Path) -> None:
    """Start who submits the job."""
    running.start("coordinator", ["coordinator", "--kit", str(kit), "--out", str(out)], _home(out))


def _home(out: Path) -> dict[str, str]:
    return {**_PATIENCE, "RACOON_FEDERATION_OUT": str(out)}


def _options(kit: Path, settings: str) -> list[str]:
    return ["-m", str(kit), "-s", settings, "--set", "secure_train=true", f"org={PROJECT}", "config_folder=config"]
