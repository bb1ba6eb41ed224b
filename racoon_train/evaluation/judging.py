"""Models put to the test: one test set, every model, and the ensembles of the local ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.errors import DatasetError
from racoon_data.files.manifest import load_manifest
from racoon_data.files.nifti import read_nifti_grid
from racoon_train import engine
from racoon_train.baselines.ensemble import majority_vote, mean_softmax
from racoon_train.checkpoints import Model, load_model
from racoon_train.data.cache import CachedCase, build_cache, open_cache
from racoon_train.data.dataset import open_dataset
from racoon_train.evaluation.metrics import (
    STANDARD,
    CaseScore,
    Yardstick,
    mean_dice,
    mean_of,
    merge_unlearned,
    score,
    score_cases,
)
from racoon_train.evaluation.surfaces import Spacing
from racoon_train.federated.contract import check_fit
from racoon_train.federated.rounds import round_file

ENSEMBLE = "ensemble"
VOTE, WEIGHTED = "ensemble-vote", "ensemble-weighted"
ENSEMBLES = (ENSEMBLE, VOTE, WEIGHTED)
LOCAL_PREFIX, TUNED_PREFIX = "local@", "fine-tuned@"
WITHOUT = "-without@"


@dataclass(frozen=True, slots=True)
class TestSet:
    """Cases to be judged on.

    Attributes:
        name: Site alias or name of an external dataset.
        role: ``site`` (its test split) or ``external`` (all its cases; no model saw them).
        sha256: Dataset hash, which names the cache.
        cache: Folder of decoded cases.
        annotated: Class names annotated there.
        root: The dataset's folder, which knows patients and spacings.
    """

    __test__ = False

    name: str
    role: str
    sha256: str
    cache: Path
    annotated: tuple[str, ...]
    root: Path

    def cases(self) -> tuple[CachedCase, ...]:
        """Load the cases.

        Raises:
            DatasetError: There is no case to judge on.
        """
        cases = open_cache(self.sha256, self.cache).load("test" if self.role == "site" else "all")
        if not cases:
            raise DatasetError("there is no test case", ref=self.name, hint="raise the test fraction or add cases")
        return cases

    def patients(self) -> dict[str, str]:
        """Give each case's patient: the unit of every statistic."""
        return {case.case_id: case.patient for case in load_manifest(self.root).cases}

    def spacings_mm(self) -> dict[str, Spacing]:
        """Give each labelled case's distances of voxels along k, j, i."""
        found = {}
        for case in load_manifest(self.root).cases:
            if case.label:
                i, j, k = read_nifti_grid(self.root / case.label).spacing_mm
                found[case.case_id] = (k, j, i)
        return found


@dataclass(frozen=True, slots=True)
class Judged:
    """How a model fared in one case.

    Attributes:
        case_id: The case.
        patient: Its patient, a pseudonym.
        scores: Its score by class.
    """

    case_id: str
    patient: str
    scores: CaseScore

    @property
    def dice(self) -> float | None:
        """Mean Dice over the classes that count; ``None`` where none does."""
        return mean_of(each.dice for each in self.scores.values())


def judge(
    test_set: TestSet, models: Mapping[str, Model], yardstick: Yardstick = STANDARD
) -> dict[str, tuple[Judged, ...]]:
    """Score models on one test set; two or more local models are also heard as ensembles.

    Args:
        test_set: Cases with truth.
        models: Model by name; a local one is named ``local@ALIAS``.
        yardstick: Tolerances.

    Returns:
        Judged cases by model name, ensembles last. Where a ``federated-without@ALIAS`` of this test set is
        among the models, so is the ensemble of the local models but its own, ``ensemble-without@ALIAS``.
    """
    networks = {name: model.network().to(engine.device()) for name, model in models.items()}
    job = next(iter(models.values())).job
    patients, spacings = test_set.patients(), test_set.spacings_mm()
    found: dict[str, list[Judged]] = {}
    for case in test_set.cases():
        spacing = spacings[case.case_id]
        for name, verdict in verdicts(case, models, networks, home=test_set.name):
            scores = score(_winners(verdict), case, job, spacing_mm=spacing, yardstick=yardstick)
            found.setdefault(name, []).append(Judged(case.case_id, patients[case.case_id], scores))
    return {name: tuple(judged) for name, judged in found.items()}


def verdicts(
    case: CachedCase, models: Mapping[str, Model], networks: Mapping[str, Any], *, home: str
) -> Iterator[tuple[str, engine.Probabilities]]:
    """Predict one case with every model and every ensemble of the local ones.

    Args:
        case: The case.
        models: Model by name.
        networks: Their networks.
        home: Test set the case belongs to.

    Yields:
        Name and scores ``[classes, k, j, i]``, whose largest is the prediction.
    """
    softmax = {name: engine.predict(networks[name], case.image, model.job) for name, model in models.items()}
    for name, model in models.items():
        yield name, merge_unlearned(softmax[name], model.learned_numbers)
    local = [name for name in models if name.startswith(LOCAL_PREFIX)]
    members = [(softmax[name], models[name].learned_numbers) for name in local]
    if len(local) > 1:
        yield ENSEMBLE, mean_softmax(members)
        yield VOTE, majority_vote(members)
        yield WEIGHTED, mean_softmax(members, [_examples(models[name]) for name in local])
    others = [member for name, member in zip(local, members, strict=True) if name != LOCAL_PREFIX + home]
    if "federated" + WITHOUT + home in models and others:
        yield ENSEMBLE + WITHOUT + home, mean_softmax(others)


def _winners(verdict: engine.Probabilities) -> npt.NDArray[np.uint8]:
    winners: npt.NDArray[np.uint8] = verdict.argmax(axis=0).astype(np.uint8)
    return winners


def _examples(model: Model) -> float:
    return float(sum(count for _, count in model.examples)) or 1.0


def trace(test_set: TestSet, folders: Mapping[str, Path]) -> list[dict[str, Any]]:
    """Judge the weights after every round: how an arm converged on this test set.

    Args:
        test_set: Cases with truth.
        folders: Folder with model and rounds by arm.

    Returns:
        Points ``{"arm", "dataset", "round", "dice"}``, the mean over classes.
    """
    points = []
    cases = test_set.cases() if folders else ()
    for arm, folder in folders.items():
        final = load_model(folder / "model.safetensors")
        for round_ in range(1, final.job.training.rounds + 1):
            weights = round_file(folder, round_)
            if weights.is_file():
                dice = _overlap(Model(weights, final.job, final.kind, final.learned), cases)
                points.append({"arm": arm, "dataset": test_set.name, "round": round_, "dice": dice})
    return points


def _overlap(model: Model, cases: Sequence[CachedCase]) -> float | None:
    means = mean_dice(score_cases(model.network().to(engine.device()), cases, model.job, learned=model.learned_numbers))
    return mean_of(means.values())


def judge_dataset(
    model: Path, root: Path, *, split: str, cache: Path, yardstick: Yardstick = STANDARD
) -> tuple[Judged, ...]:
    """Score one model on one dataset folder.

    Args:
        model: Weights file with its card beside it.
        root: Dataset folder; it is verified first.
        split: ``test`` or ``all``.
        cache: Folder for decoded cases.
        yardstick: Tolerances.

    Raises:
        DatasetError: The dataset cannot be used or the split is empty.
        JobMismatchError: The dataset speaks another label language than the model.
    """
    opened, dataset = load_model(model), open_dataset(root)
    check_fit(dataset, opened.job)
    build_cache(dataset, cache)
    annotated = tuple(name for name in opened.job.class_names if name in dataset.annotated)
    role = "external" if split == "all" else "site"
    test_set = TestSet(dataset.name, role, dataset.sha256, cache, annotated, root)
    return judge(test_set, {"it": opened}, yardstick)["it"]
