"""Was it worth it? Every model on every test set, per class, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from racoon_data import schemas
from racoon_data.errors import DatasetError, FederationError
from racoon_data.events import OnEvent, ignore
from racoon_data.outcomes import Status
from racoon_data.refs import FileRef
from racoon_data.runner.run import run_items
from racoon_train import engine
from racoon_train.baselines.ensemble import mean_softmax
from racoon_train.checkpoints import Model, load_model
from racoon_train.data.cache import CachedCase, build_cache, open_cache
from racoon_train.data.dataset import open_dataset
from racoon_train.evaluation.metrics import CaseScore, mean_dice, merge_unlearned, score
from racoon_train.federated.contract import check_fit
from racoon_train.federated.job import Job

POLICY = (
    "Dice per class and case in 3D. A class absent from truth and prediction alike is not counted; a missed or an "
    "invented lesion counts 0. A class that was not annotated in a dataset is n/a there. A model predicts only "
    "classes that were annotated where it was trained; the others count as missed."
)
ENSEMBLE = "ensemble"


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome (``schemas/comparison``).

    Attributes:
        document: JSON-ready account.
    """

    document: dict[str, Any]

    def dice(self, model: str, dataset: str, label: str | None = None) -> float | None:
        """Give one cell: the mean over classes, or one class; ``None`` where not counted.

        Raises:
            KeyError: There is no such cell.
        """
        for cell in self.document["cells"]:
            if (cell["model"], cell["dataset"]) == (model, dataset):
                value = cell["mean"] if label is None else cell["classes"][label]["dice"]
                return None if value is None else float(value)
        raise KeyError((model, dataset))


@dataclass(frozen=True, slots=True)
class _Question:
    test_set: TestSet
    models: tuple[tuple[str, Path], ...]
    ensemble_of: tuple[str, ...]


def compare(
    job: Job,
    test_sets: Sequence[TestSet],
    models: Mapping[str, Path],
    *,
    ensemble_of: Sequence[str] = (),
    workers: int = 1,
    on_event: OnEvent = ignore,
) -> Comparison:
    """Judge every model on every test set.

    Args:
        job: The job they were trained by.
        test_sets: Sites' test splits and external datasets.
        models: Weights file by name; a local model is named ``local@ALIAS``.
        ensemble_of: Names of the models whose mean softmax is the ensemble; none for no ensemble.
        workers: Processes at a time.
        on_event: Listener (kind ``compare``).

    Raises:
        FederationError: A test set could not be judged.
    """
    named = tuple(models.items())
    items = [(FileRef(each.name), _Question(each, named, tuple(ensemble_of))) for each in test_sets]
    results = list(run_items("compare", items, _answer, workers=workers, on_event=on_event))
    for result in results:
        if result.outcome.status is not Status.DONE:
            raise FederationError(f"{result.outcome.ref}: {result.outcome.message}", hint=result.outcome.hint)
    scores = {each.name: result.value or {} for each, result in zip(test_sets, results, strict=True)}
    document = _document(job, test_sets, models, scores)
    schemas.validate("comparison", document)
    return Comparison(document)


def judge(
    test_set: TestSet, models: Mapping[str, Model], *, ensemble_of: Sequence[str] = ()
) -> dict[str, tuple[CaseScore, ...]]:
    """Score models, and their ensemble, on one test set: case scores by model name."""
    networks = {name: model.network().to(engine.device()) for name, model in models.items()}
    found: dict[str, list[CaseScore]] = {}
    for case in test_set.cases():
        softmax = {name: engine.predict(networks[name], case.image, model.job) for name, model in models.items()}
        verdicts = {name: merge_unlearned(softmax[name], model.learned_numbers) for name, model in models.items()}
        if ensemble_of:
            verdicts[ENSEMBLE] = mean_softmax([(softmax[name], models[name].learned_numbers) for name in ensemble_of])
        for name, verdict in verdicts.items():
            predicted = verdict.argmax(axis=0).astype(np.uint8)
            job = models[next(iter(models))].job
            found.setdefault(name, []).append(score(predicted, case, job, annotated=test_set.annotated))
    return {name: tuple(scores) for name, scores in found.items()}


def _answer(question: _Question) -> dict[str, tuple[CaseScore, ...]]:
    engine.be_a_good_neighbour()
    models = {name: load_model(path) for name, path in question.models}
    return judge(question.test_set, models, ensemble_of=question.ensemble_of)


def _document(
    job: Job,
    test_sets: Sequence[TestSet],
    models: Mapping[str, Path],
    scores: Mapping[str, Mapping[str, Sequence[CaseScore]]],
) -> dict[str, Any]:
    names = list(scores[test_sets[0].name])
    cells = [_cell(model, each, scores[each.name][model]) for model in names for each in test_sets]
    return {
        "schema_version": "1.0",
        "job": {"name": job.name, "sha256": job.sha256, "seed": job.seed, **_schedule(job)},
        "policy": POLICY,
        "classes": list(job.class_names),
        "datasets": [
            {"name": t.name, "role": t.role, "cases": len(scores[t.name][names[0]]), "annotated": list(t.annotated)}
            for t in test_sets
        ],
        "models": [_model_entry(name, models) for name in names],
        "cells": cells,
        "summary": summary(cells, test_sets),
        "duels": _duels(test_sets, scores),
        "curves": [],
        "rounds": [],
    }


def _schedule(job: Job) -> dict[str, int]:
    return {"rounds": job.training.rounds, "local_steps": job.training.local_steps}


def _model_entry(name: str, models: Mapping[str, Path]) -> dict[str, Any]:
    if name not in models:
        return {"name": name, "kind": ENSEMBLE, "learned": [], "datasets": {}}
    model = load_model(models[name])
    return {"name": name, "kind": model.kind, "learned": list(model.learned), "datasets": dict(model.datasets)}


def _cell(model: str, test_set: TestSet, scores: Sequence[CaseScore]) -> dict[str, Any]:
    means = mean_dice(scores)
    classes = {
        name: {
            "dice": value,
            "cases": sum(1 for entry in scores if entry[name] is not None),
            "annotated": name in test_set.annotated,
        }
        for name, value in means.items()
    }
    counted = [value for value in means.values() if value is not None]
    return {"model": model, "dataset": test_set.name, "classes": classes, "mean": fmean(counted) if counted else None}


def summary(cells: Sequence[Mapping[str, Any]], test_sets: Sequence[TestSet]) -> list[dict[str, Any]]:
    """Condense the matrix: each kind of training at home, at the other sites and on external data.

    A local model's home is its own site; an ensemble, a federated or a pooled model is at home at
    every site, so it has no elsewhere.
    """
    roles = {each.name: each.role for each in test_sets}
    places: dict[str, dict[str, list[float]]] = {}
    for cell in cells:
        kind, _, home = str(cell["model"]).partition("@")
        is_home = roles[cell["dataset"]] == "site" and home in ("", cell["dataset"])
        place = "external" if roles[cell["dataset"]] == "external" else "own" if is_home else "elsewhere"
        if cell["mean"] is not None:
            places.setdefault(kind, {}).setdefault(place, []).append(cell["mean"])
    return [
        {"arm": kind, **{place: fmean(found[place]) if place in found else None for place in _PLACES}}
        for kind, found in places.items()
    ]


_PLACES = ("own", "elsewhere", "external")


def _duels(
    test_sets: Sequence[TestSet], scores: Mapping[str, Mapping[str, Sequence[CaseScore]]]
) -> list[dict[str, Any]]:
    """Count, per test set and rival, the cases where the federated model is better and worse."""
    duels = []
    for each in test_sets:
        own = scores[each.name]
        if "federated" not in own:
            continue
        rivals = [name for name in own if name in (f"local@{each.name}", ENSEMBLE, "pooled")]
        for rival in rivals:
            gaps = [
                mine - theirs
                for a, b in zip(own["federated"], own[rival], strict=True)
                if (mine := _case_mean(a)) is not None and (theirs := _case_mean(b)) is not None
            ]
            counts = {"better": sum(gap > 0 for gap in gaps), "worse": sum(gap < 0 for gap in gaps)}
            duels.append({"dataset": each.name, "rival": rival, **counts, "equal": len(gaps) - sum(counts.values())})
    return duels


def _case_mean(entry: CaseScore) -> float | None:
    counted = [value for value in entry.values() if value is not None]
    return fmean(counted) if counted else None


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
