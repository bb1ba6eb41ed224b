"""The site's side of FLARE's Client API: receive a task, answer by the site contract, send."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nvflare.client as flare
from nvflare.apis.dxo import MetaKey
from nvflare.app_common.abstract.fl_model import ParamsType

from racoon_data.errors import NotApprovedError
from racoon_data.files.atomic import write_json
from racoon_train.checkpoints import load_weights
from racoon_train.federated.contract import SiteClient, open_site_client, scrubbed
from racoon_train.federated.exchange import receive_model, take_part
from racoon_train.federated.preflight import look_at
from racoon_train.federated.scaffold import Drift, joined, parted
from racoon_train.federated.update import Update
from racoon_train.job.rules import Scaffold

SITE_VARIABLE = "RACOON_SITE_FILE"
PREFLIGHT, TRAIN, FINISH = TASKS = ("preflight", "train", "finish")
LOST, METRICS, CLASSES, DOCUMENT = "racoon_lost", "racoon_metrics", "racoon_classes", "racoon_document"
_NOTHING = {"none": 0.0}
_SHA256 = re.compile(r"[0-9a-f]{64}")


def main(job_sha256: str) -> None:
    """Serve tasks until FLARE ends the job.

    Args:
        job_sha256: Hash of the job the federation runs; a site that approved another one does nothing.
    """
    logging.basicConfig(level=logging.WARNING)
    paper = Path(os.environ[SITE_VARIABLE])
    flare.init()
    while flare.is_running():
        model = flare.receive()
        if model is None:
            break
        flare.send(answered(paper, str(flare.get_task_name()), model, job_sha256))


def answered(paper: Path, task: str, model: Any, job_sha256: str) -> Any:
    """Do a task; what fails leaves the site as a code and nothing else."""
    answer = scrubbed(lambda: _do(approved(paper, job_sha256, flare.get_site_name()), task, model))
    if isinstance(answer, str):
        return flare.FLModel(metrics=_NOTHING, meta={LOST: answer})
    if isinstance(answer, Mapping):
        return flare.FLModel(metrics=_NOTHING, meta=dict(answer))
    meta = {
        MetaKey.NUM_STEPS_CURRENT_ROUND: answer.examples,
        METRICS: dict(answer.metrics),
        CLASSES: dict(answer.class_examples),
    }
    return flare.FLModel(params=answer.weights, params_type=ParamsType.FULL, meta=meta)


def approved(paper: Path, job_sha256: str, kit: str) -> SiteClient:
    """Be the site of a paper; refuse a job it did not approve, or a start kit made for another site.

    Raises:
        NotApprovedError: One of both.
        ChangedDatasetError: The dataset changed since approval.
    """
    site = open_site_client(paper)
    if not _SHA256.fullmatch(job_sha256) or job_sha256 != site.job.sha256:
        raise NotApprovedError("the federation runs another job than this site approved", hint="approve the new job")
    if kit != site.alias:
        raise NotApprovedError("the start kit belongs to another site", hint="ask the coordinator for your own kit")
    site.require_unchanged()
    return site


def _do(site: SiteClient, task: str, model: Any) -> Update | Mapping[str, Any]:
    if task == PREFLIGHT:
        found = look_at(site.alias, site.dataset, site.job, home=site.state)
        return {DOCUMENT: found.model_dump_json()}
    if task == FINISH:
        return {METRICS: _finish(site, model)}
    watchdog = threading.Timer(site.job.rules.round_timeout_s, os._exit, [1])  # a round that hangs ends this process
    watchdog.daemon = True
    watchdog.start()
    try:
        return _train(site, dict(model.params), int(model.current_round) + 1)
    finally:
        watchdog.cancel()


def _train(site: SiteClient, parcel: dict[str, Any], round_: int) -> Update:
    if not isinstance(site.job.rules.strategy, Scaffold):
        return take_part(site, parcel, round_)
    weights, everyone = parted(parcel)
    drift = Drift(site.state, everyone, round_)
    update = take_part(site, weights, round_, correct=lambda start: drift.correct)
    return replace(update, weights=joined(update.weights, drift.finish()))


def _finish(site: SiteClient, model: Any) -> dict[str, float]:
    path = receive_model(site, dict(model.params))
    metrics = dict(site.evaluate(load_weights(path)))
    write_json(site.state / "finished.json", {"model": path.name, "metrics": metrics})
    return metrics


if __name__ == "__main__":
    main(sys.argv[1])
