"""FLARE start kits: provisioned with their own authority, then closed to code, shells and log streams."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon_data.errors import FederationError
from racoon_data.files.atomic import write_json, write_text

PROJECT = "racoon"
COORDINATOR = "coordinator@racoon.local"
_VALID_DAYS = 360
_PROVISION_S = 120.0
_HERE = "racoon_train.federated.adapters"

# What a job's configuration may name; everything else is refused before it is built.
SERVER_CLASSES = (
    f"{_HERE}.nvflare_rounds.Rounds",
    f"{_HERE}.nvflare_average.GuardedAverage",
    f"{_HERE}.nvflare_average.RoundStore",
    f"{_HERE}.nvflare_average.NextModel",
)
SITE_CLASSES = (f"{_HERE}.nvflare_site.SiteExecutor",)

# One log, that of the process we start; FLARE's own five files a participant would be copies of it.
_LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"plain": {"format": "%(asctime)s %(name)s %(levelname)s %(message)s"}},
    "handlers": {"log": {"class": "logging.StreamHandler", "formatter": "plain", "stream": "ext://sys.stdout"}},
    "root": {"level": "INFO", "handlers": ["log"]},
}

_NOTHING = {"byoc": "none", "server-predeployed-flwr": "none", "shell_commands": "none"}
_SERVER_RIGHTS = {
    "lead": {"submit_job": "any", "manage_job": "any", "view": "any", "operate": "any", "download_job": "any"}
    | _NOTHING
}
_SITE_RIGHTS = {"lead": {"submit_job": "any", "manage_job": "any", "view": "none", "operate": "none"} | _NOTHING}


@dataclass(frozen=True, slots=True)
class Kits:
    """Start kits by folder: each participant gets its own and no other.

    Attributes:
        server: The server's kit.
        coordinator: The kit of who submits the job.
        sites: The kit of each site by alias.
    """

    server: Path
    coordinator: Path
    sites: Mapping[str, Path]


def provision(folder: Path, aliases: Sequence[str], *, host: str, port: int) -> Kits:
    """Make an authority and a signed kit for everyone by ``nvflare provision``.

    The authority's key stays in ``folder/racoon/state``; a later call in the same folder adds sites under it.

    Args:
        folder: Where the kits go.
        aliases: Sites that may take part; FLARE lets no other in.
        host: Name or address under which sites reach the server; it stands in its certificate.
        port: The one port that sites dial.

    Raises:
        FederationError: FLARE refused.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)  # FLARE keeps the authority's private key in a file that everyone may read
    project = folder / "project.json"
    write_text(project, json.dumps(_project(aliases, host=host, port=port), indent=2))
    command = [sys.executable, "-m", "nvflare.cli", "provision", "-p", str(project), "-w", str(folder), "--force"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROVISION_S, check=False)
    (folder / "provision.log").write_bytes(done.stdout + done.stderr)
    if done.returncode != 0:
        raise FederationError("FLARE made no start kits", hint=f"look at {folder / 'provision.log'}")
    return kits_in(folder, aliases)


def kits_in(folder: Path, aliases: Sequence[str]) -> Kits:
    """Find the kits that ``provision`` made last.

    Raises:
        FederationError: There are none, or none for one of the sites.
    """
    made = sorted((folder / PROJECT).glob("prod_*"))
    servers = sorted(made[-1].glob("*/startup/fed_server.json")) if made else []
    sites = {alias: made[-1] / alias for alias in aliases} if made else {}
    missing = [alias for alias, kit in sites.items() if not (kit / "startup" / "fed_client.json").is_file()]
    if not servers or missing:
        raise FederationError(
            "start kits are missing", ref=", ".join(missing) or None, hint=f"invite the sites; {folder}/provision.log"
        )
    return Kits(servers[-1].parent.parent, made[-1] / COORDINATOR, sites)


def close_server(kit: Path) -> None:
    """Write the server's policy: our classes only, no custom code, no shell, its state inside the kit."""
    storage = "nvflare.app_common.storages.filesystem_storage.FilesystemStorage"
    snapshots = {"path": storage, "args": {"root_dir": str(kit / "snapshots"), "uri_root": "/"}}
    persistor = "nvflare.app_common.state_persistors.storage_state_persistor.StorageStatePersistor"
    jobs = {"uri_root": str(kit / "jobs"), "job_store_id": "job_store"}
    scheduler = {"max_jobs": 4, "min_schedule_interval": 1.0, "max_schedule_interval": 5.0}
    resources = {
        **_policy(SERVER_CLASSES),
        "servers": [{"admin_storage": "transfer", "max_num_clients": 1000, "heart_beat_timeout": 30}],
        "snapshot_persistor": {"path": persistor, "args": {"uri_root": "/", "storage": snapshots}},
        "components": [
            _component(
                "job_scheduler", "nvflare.app_common.job_schedulers.job_scheduler.DefaultJobScheduler", scheduler
            ),
            _component("job_manager", "nvflare.apis.impl.job_def_manager.SimpleJobDefManager", jobs),
            _component("job_store", storage),
            _component("process_launcher", f"{_LAUNCHER}.server_process_launcher.ServerProcessJobLauncher"),
        ],
    }
    _close(kit, resources, _SERVER_RIGHTS)


def close_site(kit: Path) -> None:
    """Write a site's own policy: one class, no custom code, no shell, no view of its logs, no remote stop."""
    manager = {"num_of_gpus": 0, "mem_per_gpu_in_GiB": 0, "expiration_period": 300}
    resources = {
        **_policy(SITE_CLASSES),
        "allow_log_streaming": False,
        "client": {"retry_timeout": 30, "compression": "Gzip"},
        "components": [
            _component(
                "resource_manager",
                "nvflare.app_common.resource_managers.gpu_resource_manager.GPUResourceManager",
                manager,
            ),
            _component(
                "resource_consumer",
                "nvflare.app_common.resource_consumers.gpu_resource_consumer.GPUResourceConsumer",
            ),
            _component("process_launcher", f"{_LAUNCHER}.client_process_launcher.ClientProcessJobLauncher"),
        ],
    }
    _close(kit, resources, _SITE_RIGHTS)


_LAUNCHER = "nvflare.app_common.job_launcher"


def _project(aliases: Sequence[str], *, host: str, port: int) -> dict[str, Any]:
    people = [
        {"name": host, "type": "server", "org": PROJECT, "fed_learn_port": port, "admin_port": port},
        *({"name": alias, "type": "client", "org": PROJECT} for alias in aliases),
        {"name": COORDINATOR, "type": "admin", "org": PROJECT, "role": "lead"},
    ]
    impl = "nvflare.lighter.impl"
    builders = [
        {"path": f"{impl}.workspace.WorkspaceBuilder"},
        {"path": f"{impl}.static_file.StaticFileBuilder", "args": {"config_folder": "config", "scheme": "grpc"}},
        {"path": f"{impl}.cert.CertBuilder", "args": {"root_valid_days": _VALID_DAYS}},
        {"path": f"{impl}.signature.SignatureBuilder"},
    ]
    return {"api_version": 3, "name": PROJECT, "participants": people, "builders": builders}


def _policy(classes: Sequence[str]) -> dict[str, Any]:
    return {"format_version": 2, "class_list_enforcement_mode": "enforce", "class_allow_list": list(classes)}


def _component(name: str, path: str, args: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"id": name, "path": path, "args": dict(args or {})}


def _close(kit: Path, resources: Mapping[str, Any], rights: Mapping[str, Any]) -> None:
    write_json(kit / "local" / "log_config.json", _LOGGING)
    write_json(kit / "local" / "resources.json", dict(resources))
    write_json(kit / "local" / "authorization.json", {"format_version": "1.0", "permissions": dict(rights)})
