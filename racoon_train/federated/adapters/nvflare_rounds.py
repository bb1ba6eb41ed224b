"""FLARE's ScatterAndGather with deadlines: a lost, hung or raising site never ends or holds the run."""

from __future__ import annotations

import os
from pathlib import Path

from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.apis.signal import Signal
from nvflare.app_common.app_event_type import AppEventType
from nvflare.app_common.workflows.scatter_and_gather import ScatterAndGather

from racoon_data.errors import FederationError, SiteLostError
from racoon_data.files.atomic import write_json
from racoon_train.federated.adapters.nvflare_average import (
    SITES_VARIABLE,
    GuardedAverage,
    last_round,
    out_folder,
)
from racoon_train.federated.rounds import RoundLog
from racoon_train.job.job import load_job

REGROUP = "regroup"


class Rounds(ScatterAndGather):
    """Every site is asked in every round and has the job's time to answer; then the quorum decides.

    FLARE's own settings come from the job on the server's disk, never from the submitted
    configuration. The run starts after the last round that is whole on disk. After a round in which
    a site was silent, or when the coordinator left ``regroup`` because a site came late, the job ends
    to be submitted again with whoever is there: FLARE deals a job only to who is there when it starts,
    and a new start also replaces a trainer that hangs.
    """

    def __init__(self) -> None:
        out = out_folder()
        job = load_job(out / "job.json")
        self._out: Path = out
        self._all_rounds = job.training.rounds
        done = last_round(out)
        super().__init__(
            min_clients=max(1, int(os.environ[SITES_VARIABLE])),
            num_rounds=self._all_rounds - done,
            start_round=done,
            wait_time_after_min_received=0,
            persistor_id="persistor",
            train_timeout=max(1, round(job.rules.round_timeout_s)),
            ignore_result_error=True,
            task_check_period=0.2,
            snapshot_every_n_rounds=0,
        )
        self._log = RoundLog(out)
        self._silent: set[str] = set()
        self._regrouping = False

    @property
    def _average(self) -> GuardedAverage:
        average: GuardedAverage = self.aggregator
        return average

    def control_flow(self, abort_signal: Signal, fl_ctx: FLContext) -> None:
        """Run the rounds and leave ``server.json``: how they ended, as a code."""
        super().control_flow(abort_signal, fl_ctx)
        done = last_round(self._out)
        ended = "done" if done >= self._all_rounds else REGROUP if self._regrouping else FederationError.code
        write_json(self._out / "server.json", {"ended": ended, "round": done})

    def handle_event(self, event_type: str, fl_ctx: FLContext) -> None:
        """Keep the account of each round."""
        super().handle_event(event_type, fl_ctx)
        if event_type == AppEventType.ROUND_STARTED:
            self._average.begin_round()
        elif event_type == AppEventType.BEFORE_AGGREGATION:
            self._account()
        elif event_type == AppEventType.ROUND_DONE and (self._silent or (self._out / REGROUP).exists()):
            self._regrouping = True
            self._num_rounds = self._current_round + 1 - self._start_round

    def process_result_of_unknown_task(
        self, client: object, task_name: str, client_task_id: str, result: Shareable, fl_ctx: FLContext
    ) -> None:
        """Drop what comes after its round was closed; it was trained from another model."""
        self.log_warning(fl_ctx, "an update came after its round was closed and is left out")

    def _accept_train_result(
        self, client_name: str, result: Shareable, fl_ctx: FLContext, is_unknown_task: bool = False
    ) -> bool:
        accepted: bool = self._average.accept(result, fl_ctx)
        return accepted

    def _account(self) -> None:
        average = self._average
        asked = {client.name for client in self._engine.get_clients()}
        self._silent = asked - average.losses.keys() - average.lost.keys()
        lost = {**average.lost, **dict.fromkeys(self._silent, SiteLostError.code)}
        self._log.write(self._current_round + 1, losses=average.losses, lost=lost)
