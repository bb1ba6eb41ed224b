"""A job in FLARE's form: configuration alone, whose classes every participant has installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from racoon_data.files.atomic import write_json
from racoon_train.federated.adapters.nvflare_kits import SERVER_CLASSES, SITE_CLASSES
from racoon_train.job.job import Job

_TASKS = ("preflight", "train", "finish")


def write_job(folder: Path, job: Job, *, quorum: int) -> Path:
    """Write the job that the coordinator submits; it carries the job's hash and no line of code.

    Args:
        folder: Parent folder.
        job: The job; sites hold an approved copy, so only its hash travels.
        quorum: Fewest sites to start with.

    Returns:
        The job's folder.
    """
    root = folder / job.name
    meta = {"name": job.name, "resource_spec": {}, "min_clients": quorum, "deploy_map": {"app": ["@ALL"]}}
    write_json(root / "meta.json", meta)
    write_json(root / "app" / "config" / "config_fed_server.json", _server())
    write_json(root / "app" / "config" / "config_fed_client.json", _site(job))
    return root


def _server() -> dict[str, Any]:
    rounds, average, store, following = SERVER_CLASSES
    names = {"aggregator": average, "persistor": store, "shareable_generator": following}
    return {
        "format_version": 2,
        "task_data_filters": [],
        "task_result_filters": [],
        "components": [{"id": name, "path": path, "args": {}} for name, path in names.items()],
        "workflows": [{"id": "rounds", "path": rounds, "args": {}}],
    }


def _site(job: Job) -> dict[str, Any]:
    executor = {"path": SITE_CLASSES[0], "args": {"job_sha256": job.sha256}}
    return {
        "format_version": 2,
        "executors": [{"tasks": list(_TASKS), "executor": executor}],
        "task_data_filters": [],
        "task_result_filters": [],
        "components": [],
    }
