"""Models put to the test: one test set, every model, and the ensemble of the local ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from racoon_data.errors import DatasetError
from racoon_train import engine
from racoon_train.baselines.ensemble import mean_softmax
from racoon_train.checkpoints import Model, load_model
from racoon_train.data.cache import CachedCase, build_cache, open_cache
from racoon_train.data.dataset import open_dataset
from racoon_train.evaluation.metrics import CaseScore, mean_dice, mean_of, merge_unlearned, score
from racoon_train.federated.contract import check_fit
from racoon_train.federated.rounds import round_file

ENSEMBLE = "ensemble"
LOCAL_PREFIX = "local@"


@dataclass(frozen=True, slots=True)
class TestSet:
    """Cases to be judged on.

    Attributes:
        name: Site alias or name of an external dataset.
        role: ``site`` (its test split) or ``external`` (all its cases; no model saw them).
        sha256: Dataset hash, which names the cache.
        cache: Folder of decoded cases.
        annotated: Class names annotated there.
        site: For tests on its own data: the alias.
    """

    __test__ = False

    name: str
    role: str
    sha256: str
    cache: Path
    annotated: tuple[str, ...]

    def cases(self) -> tuple[CachedCase, ...]:
        """Load the cases.

        Raises:
            DatasetError: There is no case to judge on.
        """
        cases = open_cache(self.sha256, self.cache).load("test" if self.role == "site" else "all")
        if not cases:
            raise DatasetError("there is no test case", ref=self.name, hint="raise the test fraction or add cases")
        return cases


def judge(test_set: TestSet, models: Mapping[str, Model]) -> dict[str, tuple[CaseScore, ...]]:
    """Score models on one test set; two or more local models are also heard as an ensemble.

    Args:
        test_set: Cases with truth.
        models: Model by name; a local one is named ``local@ALIAS``.

    Returns:
        Case scores by model name, the ensemble last.
    """
    networks = {name: model.network().to(engine.device()) for name, model in models.items()}
    members = [name for name in models if name.startswith(LOCAL_PREFIX)]
    found: dict[str, list[CaseScore]] = {}
    for case in test_set.cases():
        softmax = {name: engine.predict(networks[name], case.image, model.job) for name, model in models.items()}
        verdicts = {name: merge_unlearned(softmax[name], model.learned_numbers) for name, model in models.items()}
        if len(members) > 1:
            verdicts[ENSEMBLE] = mean_softmax([(softmax[name], models[name].learned_numbers) for name in members])
        job = next(iter(models.values())).job
        for name, verdict in verdicts.items():
            predicted = verdict.argmax(axis=0).astype(np.uint8)
            found.setdefault(name, []).append(score(predicted, case, job))
    return {name: tuple(scores) for name, scores in found.items()}


def trace(test_set: TestSet, folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Judge the weights after every round: how an arm converged on this test set.

    Args:
        test_set: Cases with truth.
        folders: Folder with model and rounds by arm.

    Returns:
        Points ``{"arm", "dataset", "round", "dice"}``, the mean over classes.
    """
    points = []
    for arm, folder in folders.items():
        final = load_model(folder / "model.safetensors")
        for round_ in range(1, final.job.training.rounds + 1):
            weights = round_file(folder, round_)
            if weights.is_file():
                model = Model(weights, final.job, final.kind, final.learned)
                dice = mean_of(mean_dice(judge(test_set, {arm: model})[arm]).values())
                points.append({"arm": arm, "dataset": test_set.name, "round": round_, "dice": dice})
    return points


def judge_dataset(model: Path, root: Path, *, split: str, cache: Path) -> dict[str, float | None]:
    """Score one model on one dataset folder: mean Dice by class.

    Args:
        model: Weights file with its card beside it.
        root: Dataset folder; it is verified first.
        split: ``test`` or ``all``.
        cache: Folder for decoded cases.

    Raises:
        DatasetError: The dataset cannot be used or the split is empty.
        JobMismatchError: The dataset speaks another label language than the model.
    """
    opened, dataset = load_model(model), open_dataset(root)
    check_fit(dataset, opened.job)
    build_cache(dataset, cache)
    annotated = tuple(name for name in opened.job.class_names if name in dataset.annotated)
    role = "external" if split == "all" else "site"
    test_set = TestSet(dataset.name, role, dataset.sha256, cache, annotated)
    return mean_dice(judge(test_set, {"it": opened})["it"])
