"""Flower ServerApp: Flower's own FedAvg, with our guards before it and an account of every round."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from racoon_data.errors import FederationError, PayloadError, SiteLostError
from racoon_data.files.atomic import write_json
from racoon_train.checkpoints import load_weights, save_weights
from racoon_train.federated.contract import scrubbed
from racoon_train.federated.guards import check_update
from racoon_train.federated.rounds import RoundLog, round_file
from racoon_train.federated.update import Update, cast_like
from racoon_train.job.job import Job, load_job
from racoon_train.networks import Weights

SERVER_VARIABLE = "RACOON_FEDERATION_OUT"
SITES_VARIABLE = "RACOON_FEDERATION_SITES"
_POLL_S = 0.25

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run every round and leave ``server.json``: how it ended, as a code."""
    logging.basicConfig(level=logging.WARNING)
    out = Path(os.environ[SERVER_VARIABLE])
    answer = scrubbed(lambda: _serve(grid, out, sites=int(os.environ[SITES_VARIABLE])))
    write_json(out / "server.json", {"ended": answer or "done"})


def _serve(grid: Grid, out: Path, *, sites: int) -> str:
    job = load_job(out / "job.json")
    quorum = job.quorum_of(sites)
    _wait_for_sites(grid, sites, quorum=quorum, timeout_s=job.rules.join_timeout_s)
    initial = load_weights(out / "initial.safetensors")  # made by the coordinator: no torch is needed here
    strategy = GuardedFedAvg(job, initial, out, quorum=quorum)
    result = strategy.start(
        grid=PromptGrid(grid),
        initial_arrays=to_record(initial),
        num_rounds=job.training.rounds,
        timeout=job.rules.round_timeout_s,
    )
    save_weights(out / "global.safetensors", cast_like(from_record(result.arrays), initial))
    return ""


def _wait_for_sites(grid: Grid, sites: int, *, quorum: int, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while (here := len(list(grid.get_node_ids()))) < sites:
        if time.monotonic() > deadline:
            if here >= quorum:
                return
            raise SiteLostError(f"{here} of {sites} sites joined in time", hint="look at the logs of the sites")
        time.sleep(_POLL_S)


def to_record(weights: Weights) -> ArrayRecord:
    """Turn named arrays into Flower's record (raw npy bytes)."""
    return ArrayRecord({name: Array(value) for name, value in weights.items()})


def from_record(record: Any) -> Weights:
    """Turn Flower's record back into named arrays."""
    return {name: array.numpy() for name, array in record.items()}


class PromptGrid(Grid):
    """Flower's grid, asked for replies four times a second instead of every three seconds."""

    def __init__(self, grid: Grid) -> None:
        self._grid = grid

    def set_run(self, run: Any) -> None:
        """Pass on."""
        self._grid.set_run(run)

    @property
    def run(self) -> Any:
        """Pass on."""
        return self._grid.run

    def create_message(self, *args: Any, **options: Any) -> Message:
        """Pass on."""
        return self._grid.create_message(*args, **options)

    def get_node_ids(self) -> Iterable[int]:
        """Pass on."""
        return list(self._grid.get_node_ids())

    def get_nodes(self) -> Any:
        """Pass on."""
        return self._grid.get_nodes()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Pass on."""
        return list(self._grid.push_messages(messages))

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Pass on."""
        return list(self._grid.pull_messages(message_ids))

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Send, then collect replies until all are here or the time is over."""
        waiting = set(self._grid.push_messages(messages))
        deadline = time.monotonic() + (timeout if timeout is not None else float("inf"))
        replies: list[Message] = []
        while waiting and time.monotonic() < deadline:
            arrived = list(self._grid.pull_messages(waiting))
            replies.extend(arrived)
            waiting -= {message.metadata.reply_to_message_id for message in arrived}
            time.sleep(_POLL_S if waiting else 0)
        return replies


class GuardedFedAvg(FedAvg):
    """Flower's FedAvg behind our guards.

    A reply that is an error, or does not pass the guards, is left out of the average and its site
    is named by alias in ``rounds.json``. Replies are averaged in order of alias, so the result
    does not depend on who was faster.
    """

    def __init__(self, job: Job, initial: Weights, out: Path, *, quorum: int) -> None:
        super().__init__(fraction_evaluate=0.0, min_train_nodes=quorum, min_available_nodes=quorum)
        self._job = job
        self._current = initial
        self._out = out
        self._quorum = quorum
        self._log = RoundLog(out)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Check, average and write the round.

        Raises:
            FederationError: Fewer good updates than the quorum.
        """
        good, losses, lost = self._sorted_out(replies)
        self._log.write(server_round, losses=losses, lost=lost)
        if len(good) < self._quorum:
            raise FederationError(f"round {server_round} lost its quorum", hint="rounds.json names the sites")
        arrays, metrics = super().aggregate_train(server_round, [good[alias] for alias in sorted(good)])
        self._current = cast_like(from_record(arrays), self._current)
        save_weights(round_file(self._out, server_round), self._current)
        return to_record(self._current), metrics

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask every connected site; wait a bounded time for the quorum.

        Raises:
            SiteLostError: The quorum did not come back in time.
        """
        _wait_for_sites(grid, self._quorum, quorum=self._quorum, timeout_s=self._job.rules.join_timeout_s)
        return list(super().configure_train(server_round, arrays, config, grid))

    def _sorted_out(
        self, replies: Iterable[Message]
    ) -> tuple[dict[str, Message], dict[str, float | None], dict[str, str]]:
        good: dict[str, Message] = {}
        losses: dict[str, float | None] = {}
        lost: dict[str, str] = {}
        for reply in replies:
            if reply.has_error():
                alias, code = _alias_and_code(str(reply.error.reason))
                lost[alias] = code
                continue
            alias = str(reply.content["site"]["alias"])
            try:
                update = _update_of(reply)
                check_update(update, self._current, max_norm_ratio=self._job.rules.max_norm_ratio)
            except PayloadError as error:
                lost[alias] = error.code
                continue
            good[alias], losses[alias] = reply, update.loss
        return good, losses, lost


def _alias_and_code(reason: str) -> tuple[str, str]:
    alias, _, code = reason.partition(":")
    known = bool(code) and len(reason) < 120 and "\n" not in reason
    return (alias, code) if known else ("unknown site", SiteLostError.code)


def _update_of(reply: Message) -> Update:
    metrics: Mapping[str, Any] = reply.content["metrics"]
    numbers = {name: float(value) for name, value in metrics.items() if name != "num-examples"}
    return Update(from_record(reply.content["arrays"]), int(metrics["num-examples"]), numbers)
