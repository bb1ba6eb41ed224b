"""The site's side of FLARE's Client API: receive a model, train one round of the site contract, send."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

import nvflare.client as flare
from nvflare.apis.dxo import MetaKey
from nvflare.app_common.abstract.fl_model import ParamsType

from racoon_data.errors import JobMismatchError
from racoon_train.federated.contract import SiteClient, open_site_client, scrubbed
from racoon_train.federated.update import Update

SITE_VARIABLE = "RACOON_SITE_FILE"
LOST = "racoon_lost"
METRICS = "racoon_metrics"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def main(job_sha256: str) -> None:
    """Serve rounds until FLARE ends the job.

    Args:
        job_sha256: Hash of the job the federation runs; a site that approved another one trains nothing.
    """
    logging.basicConfig(level=logging.WARNING)
    paper = Path(os.environ[SITE_VARIABLE])
    flare.init()
    while flare.is_running():
        model = flare.receive()
        if model is None:
            break
        answer = scrubbed(lambda received=model: _train(paper, received, job_sha256))  # type: ignore[misc]
        flare.send(_reply(answer))


def _train(paper: Path, model: Any, job_sha256: str) -> Update:
    site = open_site_client(paper)
    check_binding(site, job_sha256, flare.get_site_name())
    return site.train(dict(model.params), int(model.current_round) + 1)


def check_binding(site: SiteClient, job_sha256: str, kit: str) -> None:
    """Refuse a job this site did not approve, or a start kit made for another site.

    Raises:
        JobMismatchError: One of both.
    """
    if not _SHA256.fullmatch(job_sha256) or job_sha256 != site.job.sha256:
        raise JobMismatchError("the federation runs another job than this site approved", hint="approve the new job")
    if kit != site.alias:
        raise JobMismatchError("the start kit belongs to another site", hint="ask the coordinator for your own kit")


def _reply(answer: Update | str) -> Any:
    if isinstance(answer, str):
        return flare.FLModel(metrics={LOST: 1.0}, meta={LOST: answer})
    meta = {MetaKey.NUM_STEPS_CURRENT_ROUND: answer.examples, METRICS: dict(answer.metrics)}
    return flare.FLModel(params=answer.weights, params_type=ParamsType.FULL, meta=meta)


if __name__ == "__main__":
    main(sys.argv[1])
