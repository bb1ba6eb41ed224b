"""FLARE's ScatterAndGather with deadlines: a lost, hung or raising site never ends or holds the run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from nvflare.apis.controller_spec import ClientTask, Task
from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather

from racoon_data.documents import read_json
from racoon_data.errors import JobMismatchError, QuorumLostError, SiteLostError
from racoon_data.files.atomic import write_json
from racoon_train.checkpoints import save_weights
from racoon_train.federated.adapters.flower_daemon import end_with_parent
from racoon_train.federated.adapters.nvflare_average import GuardedAverage, out_folder
from racoon_train.federated.adapters.nvflare_client import FINISH, PREFLIGHT, TRAIN
from racoon_train.federated.adapters.nvflare_replies import document_of, numbers_of
from racoon_train.federated.preflight import Difference, judged_together
from racoon_train.federated.rounds import RoundLog, last_round
from racoon_train.federated.transport import as_sent
from racoon_train.job.job import load_job
from racoon_train.networks import Weights

Reply = TypeVar("Reply")
REGROUP, DEALT = "regroup", "dealt.json"


class Rounds(ScatterAndGather):
    """Pre-flight, rounds, farewell: every site is asked and has the job's time; then the quorum decides.

    FLARE's own settings come from the job on the server's disk, never from the submitted
    configuration. The run starts after the last round that is whole on disk. After a round in which
    a site was silent, or when the coordinator left ``regroup`` because a site came late, the job ends
    to be submitted again with whoever is there: FLARE deals a job only to who is there when it starts,
    and a new start also replaces a trainer that hangs.
    """

    def __init__(self) -> None:
        end_with_parent(os.getppid())
        out = out_folder()
        self._out: Path = out
        self._job = load_job(out / "job.json")
        self._plan = read_json(out / "plan.json")
        self._log = RoundLog(out)
        self._silent: set[str] = set()
        self._ended = ""
        done = last_round(out)
        super().__init__(
            min_clients=max(1, int(self._plan["sites"])),
            num_rounds=self._job.training.rounds - done,
            start_round=done,
            wait_time_after_min_received=0,
            persistor_id="persistor",
            train_task_name=TRAIN,
            train_timeout=max(1, round(self._job.rules.round_timeout_s)),
            ignore_result_error=True,
            task_check_period=0.2,
            snapshot_every_n_rounds=0,
        )

    @property
    def _average(self) -> GuardedAverage:
        average: GuardedAverage = self.aggregator
        return average

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Run what there is to run and leave ``server.json``: how it ended, as a code."""
        write_json(self._out / DEALT, {"sites": sorted(client.name for client in self._engine.get_clients())})
        if self._fits(abort_signal, fl_ctx) and not self._plan["only_preflight"]:
            super().control_flow(abort_signal, fl_ctx)
            if last_round(self._out) >= self._job.training.rounds:
                self._finish(abort_signal, fl_ctx)
        write_json(self._out / "server.json", {"ended": self._ended or REGROUP, "round": last_round(self._out)})

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Keep the account of each round."""
        super().handle_event(event_type, fl_ctx)
        if event_type == AppEventType.BEFORE_AGGREGATION:
            self._account()
        elif event_type == AppEventType.ROUND_DONE and (self._silent or (self._out / REGROUP).exists()):
            self._num_rounds = self._current_round + 1 - self._start_round

    def process_result_of_unknown_task(
        self, client: object, task_name: str, client_task_id: str, result: Shareable, fl_ctx: FLContext
    ) -> None:
        """Drop what comes after its round was closed; it was trained from another model."""
        self.log_warning(fl_ctx, "an update came after its round was closed and is left out")

    def _accept_train_result(
        self, client_name: str, result: Shareable, fl_ctx: FLContext, is_unknown_task: bool = False
    ) -> bool:
        return self._average.accept(result, fl_ctx)

    def _account(self) -> None:
        average = self._average
        asked = {client.name for client in self._engine.get_clients()}
        self._silent = asked - average.losses.keys() - average.lost.keys()
        absent = set(self._plan["aliases"]) - average.losses.keys() - average.lost.keys()
        lost = {**average.lost, **dict.fromkeys(absent, SiteLostError.code)}
        failed = len(average.losses) < average.quorum
        self._ended = QuorumLostError.code if failed else ""
        self._log.write(self._current_round + 1, losses=average.losses, lost=lost, failed=failed)

    def _fits(self, abort_signal: Signal, fl_ctx: FLContext) -> bool:
        """Ask every site for its pre-flight; before the first round anything that does not fit ends the run."""
        task = _task(PREFLIGHT, {}, self._job.rules.join_timeout_s)
        replies = self._ask(task, document_of, fl_ctx, abort_signal)
        found = [one.model_copy(update={"alias": alias}) for alias, one in replies.items() if not isinstance(one, str)]
        differences = judged_together(found, self._job)
        differences += [
            Difference(alias=alias, what="pre-flight", job="answered", site=code)
            for alias, code in replies.items()
            if isinstance(code, str)
        ]
        refused = {each.alias: JobMismatchError.code for each in differences}
        self._average.refused = refused | {alias: one for alias, one in replies.items() if isinstance(one, str)}
        known = [one.to_json() for one in sorted(found, key=lambda each: each.alias)]
        told = [each.model_dump(mode="json") for each in differences]
        write_json(self._out / "preflight.json", {"sites": known, "differences": told})
        if differences and last_round(self._out) == 0:
            self._ended = JobMismatchError.code
        elif self._plan["only_preflight"]:
            self._ended = "done"
        return not self._ended

    def _finish(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Hand the final model to every site that is here, and keep how it does there."""
        weights = self._global_weights["weights"]
        save_weights(self._out / "global.safetensors", weights)
        task = _task(FINISH, as_sent(weights, self._job.rules), self._job.rules.round_timeout_s)
        replies = self._ask(task, numbers_of, fl_ctx, abort_signal)
        found = {alias: {"lost": one} if isinstance(one, str) else one for alias, one in sorted(replies.items())}
        write_json(self._out / "evaluation.json", found)
        self._ended = "done"

    def _ask(
        self, task: Task, read: Callable[[Shareable], Reply | str], fl_ctx: FLContext, abort_signal: Signal
    ) -> dict[str, Reply | str]:
        replies: dict[str, Reply | str] = {}

        def received(client_task: ClientTask, fl_ctx: FLContext) -> None:
            replies[client_task.client.name] = read(client_task.result)
            client_task.result = None

        task.result_received_cb = received
        everyone = max(1, len(self._engine.get_clients()))
        self.broadcast_and_wait(task, fl_ctx, min_responses=everyone, abort_signal=abort_signal)
        return replies


def _task(name: str, arrays: Weights, timeout_s: float) -> Task:
    content = DXO(DataKind.WEIGHTS, data=arrays) if arrays else DXO(DataKind.METRICS, data={"none": 0.0})
    return Task(name=name, data=content.to_shareable(), timeout=max(1, round(timeout_s)))
