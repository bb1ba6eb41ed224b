"""Flower ClientApp: one message, one round of the site contract; runs where the data lies."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from racoon_data.errors import JobMismatchError
from racoon_train.federated.contract import open_site_client, scrubbed
from racoon_train.federated.update import Update

SITE_VARIABLE = "RACOON_SITE_FILE"
_RAISED = 2  # Flower's ErrorCode.CLIENT_APP_RAISED_EXCEPTION

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train one round; what fails leaves the site as a code and nothing else."""
    logging.basicConfig(level=logging.WARNING)
    paper = Path(os.environ[SITE_VARIABLE])
    answer = scrubbed(lambda: _train(paper, message, context))
    if isinstance(answer, str):
        return Message(Error(code=_RAISED, reason=f"{paper.stem}:{answer}"), reply_to=message)
    metrics = MetricRecord({"num-examples": answer.examples, **answer.metrics})
    arrays = ArrayRecord({name: Array(value) for name, value in answer.weights.items()})
    site = ConfigRecord({"alias": paper.stem})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics, "site": site}), reply_to=message)


def _train(paper: Path, message: Message, context: Context) -> Update:
    site = open_site_client(paper)
    if context.run_config.get("job-sha256") != site.job.sha256:
        raise JobMismatchError("the federation runs another job than this site approved", hint="approve the new job")
    config: Any = message.content["config"]
    arrays: Any = message.content["arrays"]
    weights = {name: array.numpy() for name, array in arrays.items()}
    return site.train(weights, int(config["server-round"]))
