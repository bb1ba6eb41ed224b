"""FLARE's server-side parts where the house has a rule: guards, strategy by name, safetensors on disk."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from nvflare.apis.dxo import DXO, DataKind, from_shareable
from nvflare.apis.fl_constant import ReservedKey
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.aggregator import Aggregator
from nvflare.app_common.abstract.model import ModelLearnable, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.abstract.shareable_generator import ShareableGenerator
from nvflare.app_common.app_constant import AppConstants

from racoon_data.documents import read_json
from racoon_data.errors import PayloadError, QuorumLostError
from racoon_train.checkpoints import load_weights, save_weights
from racoon_train.federated.adapters.nvflare_replies import update_of
from racoon_train.federated.adapters.nvflare_strategies import ControlledMean, combiner_of_flare
from racoon_train.federated.guards import check_update, check_weights
from racoon_train.federated.rounds import last_round, round_file, state_file
from racoon_train.federated.scaffold import joined, parted
from racoon_train.federated.transport import as_sent, as_used
from racoon_train.federated.update import Update
from racoon_train.job.job import load_job
from racoon_train.networks import Weights

SERVER_VARIABLE = "RACOON_FEDERATION_OUT"


def out_folder() -> Path:
    """Give the folder of the federation on the server."""
    return Path(os.environ[SERVER_VARIABLE])


class RoundStore(ModelPersistor):
    """The model of every round as safetensors; the last one is where a restarted server goes on."""

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        """Give the model to start from: that of the last whole round, or the initial one."""
        out, last = out_folder(), last_round(out_folder())
        path = round_file(out, last) if last else out / "initial.safetensors"
        return make_model_learnable(load_weights(path), {})

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        """Write the model of the round that just ended."""
        save_weights(round_file(out_folder(), _round(fl_ctx)), model["weights"])


class GuardedAverage(Aggregator):
    """The job's strategy behind our guards: a good update is taken in when it comes, and is gone.

    A refused update is left out and its site named by alias: the name in its certificate.

    Attributes:
        losses: Mean training loss by alias of this round's good updates; ``None`` where it is private.
        lost: Error code by alias of this round's others.
        refused: Error code by alias of the sites whose pre-flight does not fit.
    """

    def __init__(self) -> None:
        super().__init__()
        out = out_folder()
        plan = read_json(out / "plan.json")
        self._job = load_job(out / "job.json")
        self._combiner = combiner_of_flare(self._job, plan["heads"], sites=plan["sites"])
        self.quorum = self._job.quorum_of(plan["sites"])
        self.losses: dict[str, float | None] = {}
        self.lost: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        remembered = state_file(out, last_round(out))
        if remembered.is_file():
            self._combiner.restore(load_weights(remembered))

    def parcel(self, weights: Weights, round_: int) -> Weights:
        """Begin a round and give what goes out to the sites.

        Args:
            weights: The model so far.
            round_: Number of the round, from 1.
        """
        self.losses, self.lost = {}, dict(self.refused)
        self._start, self._sent = weights, as_sent(weights, self._job.rules)
        self._combiner.start(round_, {name: weights[name] for name in self._sent})
        if isinstance(self._combiner, ControlledMean):
            return joined(self._sent, self._combiner.control())
        return self._sent

    def accept(self, shareable: Shareable, fl_ctx: FLContext) -> bool:
        """Take one site's update in, or note why not."""
        alias = str(shareable.get_peer_prop(key=ReservedKey.IDENTITY_NAME, default="unknown site"))
        if alias in self.losses or alias in self.refused:
            return False
        try:
            update = update_of(shareable)
            if isinstance(update, str):
                self.lost[alias] = update
                return False
            self._check(update)
        except PayloadError as error:
            self.lost[alias] = error.code
            return False
        self._combiner.add(alias, update)
        self.losses[alias] = update.loss
        return True

    def aggregate(self, fl_ctx: FLContext) -> Shareable:
        """Give the next model.

        Raises:
            QuorumLostError: Fewer good updates than the quorum.
        """
        if len(self.losses) < self.quorum:
            raise QuorumLostError("the round lost its quorum", hint="rounds.json names the sites")
        weights = as_used(self._combiner.result(), self._start)
        if state := self._combiner.state():
            save_weights(state_file(out_folder(), _round(fl_ctx)), state)
        return DXO(DataKind.WEIGHTS, data=weights, meta={}).to_shareable()

    def reset(self, fl_ctx: FLContext) -> None:
        """Nothing is left over: a round begins with ``parcel``."""

    def _check(self, update: Update) -> None:
        limit = self._job.rules.max_norm_ratio
        if isinstance(self._combiner, ControlledMean):
            weights, moves = parted(update.weights)
            check_weights(moves, self._combiner.control(), max_norm_ratio=limit)
            update = replace(update, weights=weights)
        check_update(update, self._sent, max_norm_ratio=limit)


class NextModel(ShareableGenerator):
    """What travels of a model, and what comes back of it."""

    def learnable_to_shareable(self, model_learnable: ModelLearnable, fl_ctx: FLContext) -> Shareable:
        """Give what goes out to the sites in this round."""
        average: GuardedAverage = fl_ctx.get_engine().get_component(AppConstants.DEFAULT_AGGREGATOR_ID)
        arrays = average.parcel(model_learnable["weights"], _round(fl_ctx))
        return DXO(DataKind.WEIGHTS, data=arrays, meta={}).to_shareable()

    def shareable_to_learnable(self, shareable: Shareable, fl_ctx: FLContext) -> ModelLearnable:
        """Take the next model."""
        return make_model_learnable(from_shareable(shareable).data, {})


def _round(fl_ctx: FLContext) -> int:
    return int(fl_ctx.get_prop(AppConstants.CURRENT_ROUND)) + 1
