"""Early stop: training ends when a fold it does not learn from has not become better for some rounds."""

from __future__ import annotations

from pathlib import Path

from racoon_data.documents import read_json
from racoon_data.errors import DatasetError
from racoon_data.files.atomic import write_json
from racoon_train import engine
from racoon_train.data.loaders import batches
from racoon_train.federated.contract import SiteClient
from racoon_train.networks import Weights, network_of, set_weights

_BATCHES = 16


class Validation:
    """The loss on the validation fold after each round, on the same patches every time (``validation.json``)."""

    def __init__(self, site: SiteClient, out: Path, *, done: int) -> None:
        """Take up what was judged up to round ``done``.

        Raises:
            DatasetError: The job names a validation fold and the dataset has no case in it.
        """
        self._site = site
        self._path = out / "validation.json"
        known = read_json(self._path)["losses"][:done] if done and self._path.is_file() else []
        self._losses: list[float] = list(known)
        self._cases = site.cases("validation") if self.is_on else ()
        if self.is_on and not self._cases:
            raise DatasetError("the validation fold holds no case", ref=site.alias, hint="split the dataset into folds")

    @property
    def is_on(self) -> bool:
        """Tell whether the job keeps a fold back."""
        return self._site.job.training.validation_fold is not None

    @property
    def best(self) -> int:
        """The round with the lowest loss, counted from 1; 0 where none was judged."""
        return self._losses.index(min(self._losses)) + 1 if self._losses else 0

    @property
    def is_over(self) -> bool:
        """Tell whether the last ``patience`` rounds were no better than the best."""
        patience = self._site.job.training.patience
        return bool(patience and self._losses and len(self._losses) - self.best >= patience)

    def judge(self, weights: Weights) -> None:
        """Judge the weights of the next round; nothing happens where no fold is kept back."""
        if not self.is_on:
            return
        job = self._site.job
        network = network_of(job)
        set_weights(network, weights)
        stream = batches(self._cases, job, site="validation", round_=0)
        self._losses.append(engine.mean_loss(network.to(engine.device()), stream, count=_BATCHES))
        write_json(self._path, {"losses": self._losses, "best_round": self.best})
