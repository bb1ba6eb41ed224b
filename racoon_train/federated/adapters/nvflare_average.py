"""FLARE's server-side parts, ours where the house has a rule: guards, safetensors, the next model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nvflare.apis.dxo import DXO, DataKind, MetaKey, from_shareable
from nvflare.apis.fl_constant import ReservedKey, ReturnCode
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_common.abstract.model import ModelLearnable, make_model_learnable
from nvflare.app_common.abstract.model_persistor import ModelPersistor
from nvflare.app_common.aggregators.intime_accumulate_model_aggregator import InTimeAccumulateWeightedAggregator
from nvflare.app_common.app_constant import AppConstants
from nvflare.app_common.shareablegenerators.full_model_shareable_generator import FullModelShareableGenerator

from racoon_data.errors import FederationError, PayloadError
from racoon_train.checkpoints import load_weights, save_weights
from racoon_train.federated.adapters.nvflare_client import LOST, METRICS
from racoon_train.federated.guards import check_update
from racoon_train.federated.rounds import round_file
from racoon_train.federated.update import Update, cast_like
from racoon_train.job.job import load_job
from racoon_train.networks import Weights

SERVER_VARIABLE = "RACOON_FEDERATION_OUT"
SITES_VARIABLE = "RACOON_FEDERATION_SITES"
_SITE_ERROR = "federation.site_error"


def out_folder() -> Path:
    """Give the folder of the federation on the server."""
    return Path(os.environ[SERVER_VARIABLE])


def last_round(out: Path) -> int:
    """Give the number of the last round whose model is whole on disk; 0 before the first."""
    return max((int(path.stem) for path in (out / "rounds").glob("[0-9]*.safetensors")), default=0)


class RoundStore(ModelPersistor):
    """The model of every round as safetensors; the last one is where a restarted server goes on."""

    def load_model(self, fl_ctx: FLContext) -> ModelLearnable:
        """Give the model to start from: that of the last whole round, or the initial one."""
        out, last = out_folder(), last_round(out_folder())
        path = round_file(out, last) if last else out / "initial.safetensors"
        return make_model_learnable(load_weights(path), {})

    def save_model(self, model: ModelLearnable, fl_ctx: FLContext) -> None:
        """Write the model of the round that just ended."""
        number = int(fl_ctx.get_prop(AppConstants.CURRENT_ROUND)) + 1
        save_weights(round_file(out_folder(), number), model["weights"])


class GuardedAverage(InTimeAccumulateWeightedAggregator):
    """FLARE's running average behind our guards: one sum in memory, however many sites take part.

    The sum is in float64: in float32 the model would depend on who answered first. A refused update
    is left out and its site named by alias: the name in its certificate.

    Attributes:
        losses: Mean training loss by alias of this round's good updates.
        lost: Error code by alias of this round's others.
    """

    def __init__(self) -> None:
        super().__init__(expected_data_kind=DataKind.WEIGHTS)
        self._job = load_job(out_folder() / "job.json")
        self._quorum = self._job.quorum_of(int(os.environ[SITES_VARIABLE]))
        self.losses: dict[str, float | None] = {}
        self.lost: dict[str, str] = {}

    def accept(self, shareable: Shareable, fl_ctx: FLContext) -> bool:
        """Add one site's update to the sum, or note why not."""
        alias = str(shareable.get_peer_prop(key=ReservedKey.IDENTITY_NAME, default="unknown site"))
        reference: Weights = fl_ctx.get_prop(AppConstants.GLOBAL_MODEL)["weights"]
        try:
            update = _update_of(shareable)
            if isinstance(update, str):
                self.lost[alias] = update
                return False
            check_update(update, reference, max_norm_ratio=self._job.rules.max_norm_ratio)
        except PayloadError as error:
            self.lost[alias] = error.code
            return False
        wide = {name: _wide(value) for name, value in update.weights.items()}
        summand = DXO(DataKind.WEIGHTS, data=wide, meta={MetaKey.NUM_STEPS_CURRENT_ROUND: update.examples})
        if not super().accept(summand.update_shareable(shareable), fl_ctx):
            self.lost[alias] = PayloadError.code
            return False
        self.losses[alias] = update.loss
        return True

    def aggregate(self, fl_ctx: FLContext) -> Shareable:
        """Divide the sum; integers are rounded back.

        Raises:
            FederationError: Fewer good updates than the quorum.
        """
        if len(self.losses) < self._quorum:
            raise FederationError("the round lost its quorum", hint="rounds.json names the sites")
        averaged = from_shareable(super().aggregate(fl_ctx)).data
        reference: Weights = fl_ctx.get_prop(AppConstants.GLOBAL_MODEL)["weights"]
        return DXO(DataKind.WEIGHTS, data=cast_like(averaged, reference), meta={}).to_shareable()

    def begin_round(self) -> None:
        """Forget the sites of the round before."""
        self.losses, self.lost = {}, {}


class NextModel(FullModelShareableGenerator):
    """How the average becomes the next model: as it is (FedAvg)."""


def _wide(value: Any) -> Any:
    return value.astype("float64") if value.dtype.kind == "f" else value


def _update_of(shareable: Shareable) -> Update | str:
    """Give the update of a reply, or the code its site sent instead."""
    code = shareable.get_return_code()
    if code and code != ReturnCode.OK:
        return _SITE_ERROR
    try:
        dxo = from_shareable(shareable)
    except (ValueError, TypeError, KeyError) as error:
        raise PayloadError("the reply holds no update", hint="install the same racoon version") from error
    meta: dict[str, Any] = dxo.meta or {}
    if dxo.data_kind == DataKind.METRICS:
        return known_code(meta.get(LOST))
    return _checked(dxo.data, meta)


def _checked(data: Any, meta: dict[str, Any]) -> Update:
    import numpy as np

    if not isinstance(data, dict) or not all(isinstance(value, np.ndarray) for value in data.values()):
        raise PayloadError("the update holds no arrays", hint="install the same racoon version")
    try:
        metrics = {str(name): float(value) for name, value in meta[METRICS].items()}
        examples = int(meta[MetaKey.NUM_STEPS_CURRENT_ROUND])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise PayloadError("the update lacks examples or metrics", hint="install the same racoon version") from error
    return Update(data, examples, metrics)


def known_code(code: object) -> str:
    """Give a site's error code if it looks like one; nothing else of it is written down."""
    text = str(code)
    plain = text.replace(".", "").replace("_", "")
    return text if len(text) < 60 and plain.isascii() and plain.isalpha() and text.islower() else _SITE_ERROR
