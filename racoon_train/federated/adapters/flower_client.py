"""Flower ClientApp: one message, one answer of the site contract; runs where the data lies."""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from racoon_data.errors import NotApprovedError
from racoon_data.files.atomic import write_json
from racoon_train.federated.contract import SiteClient, open_site_client, scrubbed
from racoon_train.federated.exchange import receive_model, take_part
from racoon_train.federated.preflight import look_at
from racoon_train.federated.update import Update
from racoon_train.networks import Weights

SITE_VARIABLE = "RACOON_SITE_FILE"
_RAISED = 2  # Flower's ErrorCode.CLIENT_APP_RAISED_EXCEPTION

app = ClientApp()


@app.query()
def query(message: Message, context: Context) -> Message:
    """Answer the pre-flight: no patient data, as ``schemas/federation-preflight`` lists."""
    paper = _begin()
    answer = scrubbed(lambda: _look(paper, context))
    if isinstance(answer, str):
        return _failed(paper, answer, message)
    return Message(RecordDict({"preflight": ConfigRecord({"document": answer[0]})}), reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train one round; what fails leaves the site as a code and nothing else."""
    paper = _begin()
    answer = scrubbed(lambda: _train(paper, message, context))
    if isinstance(answer, str):
        return _failed(paper, answer, message)
    metrics = MetricRecord({"num-examples": answer.examples, **answer.metrics})
    classes = MetricRecord(dict(answer.class_examples))
    arrays = ArrayRecord({name: Array(value) for name, value in answer.weights.items()})
    return Message(RecordDict({"arrays": arrays, "metrics": metrics, "classes": classes}), reply_to=message)


@app.train("finish")
def finish(message: Message, context: Context) -> Message:
    """Take the final model in and tell how it does on the test cases here."""
    paper = _begin()
    answer = scrubbed(lambda: _finish(paper, message, context))
    if isinstance(answer, str):
        return _failed(paper, answer, message)
    return Message(RecordDict({"metrics": MetricRecord(answer)}), reply_to=message)


def _begin() -> Path:
    logging.basicConfig(level=logging.WARNING)
    return Path(os.environ[SITE_VARIABLE])


def _approved(paper: Path, context: Context) -> SiteClient:
    site = open_site_client(paper)
    if context.run_config.get("job-sha256") != site.job.sha256:
        raise NotApprovedError("the federation runs another job than this site approved", hint="approve the new job")
    site.require_unchanged()
    watchdog = threading.Timer(site.job.rules.round_timeout_s, os._exit, [1])  # a round that hangs ends this process
    watchdog.daemon = True
    watchdog.start()
    return site


def _look(paper: Path, context: Context) -> tuple[str]:
    site = _approved(paper, context)
    return (look_at(site.alias, site.dataset, site.job, home=site.state).model_dump_json(),)


def _train(paper: Path, message: Message, context: Context) -> Update:
    site = _approved(paper, context)
    config: Any = message.content["config"]
    return take_part(site, _weights(message), int(config["server-round"]))


def _finish(paper: Path, message: Message, context: Context) -> dict[str, float]:
    from racoon_train.checkpoints import load_weights

    site = _approved(paper, context)
    model = receive_model(site, _weights(message))
    metrics = dict(site.evaluate(load_weights(model)))
    write_json(site.state / "finished.json", {"model": model.name, "metrics": metrics})
    return metrics


def _weights(message: Message) -> Weights:
    arrays: Any = message.content["arrays"]
    return {name: array.numpy() for name, array in arrays.items()}


def _failed(paper: Path, code: str, message: Message) -> Message:
    return Message(Error(code=_RAISED, reason=f"{paper.stem}:{code}"), reply_to=message)
