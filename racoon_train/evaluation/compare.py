"""Was it worth it? Every model on every test set, per class, and what it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from racoon_data import schemas
from racoon_data.errors import FederationError
from racoon_data.events import OnEvent, ignore
from racoon_data.refs import FileRef
from racoon_data.runner.run import run_items
from racoon_train import engine
from racoon_train.checkpoints import load_model
from racoon_train.evaluation.judging import ENSEMBLE, LOCAL_PREFIX, TestSet, judge, trace
from racoon_train.evaluation.metrics import CaseScore, mean_dice, mean_of
from racoon_train.job.job import Job

POLICY = (
    "Dice per class and case in 3D, over the cases whose truth has the class; a missed lesion counts 0. Where the "
    "truth has none, there is no Dice: a prediction there is counted as a false alarm. A class that was not annotated "
    "in a dataset is n/a there. A model predicts only classes that were annotated where it was trained; the others "
    "count as missed."
)


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


_Answer = tuple[dict[str, tuple[CaseScore, ...]], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Question:
    test_set: TestSet
    models: tuple[tuple[str, Path], ...]
    folders: tuple[tuple[str, Path], ...]


def compare(
    job: Job,
    test_sets: Sequence[TestSet],
    models: Mapping[str, Path],
    *,
    curves: bool = True,
    workers: int = 1,
    on_event: OnEvent = ignore,
) -> Comparison:
    """Judge every model on every test set, and the local models' ensemble too.

    Args:
        job: The job they were trained by.
        test_sets: Sites' test splits and external datasets.
        models: Weights file by name: ``federated``, ``pooled``, ``local@ALIAS``.
        curves: Also judge the weights of every round, at the sites.
        workers: Processes at a time.
        on_event: Listener (kind ``compare``).

    Raises:
        FederationError: A test set could not be judged.
    """
    questions = [_Question(each, tuple(models.items()), _folders(each, models) if curves else ()) for each in test_sets]
    items = [(FileRef(question.test_set.name), question) for question in questions]
    answers = {}
    for result in run_items("compare", items, _answer, workers=workers, on_event=on_event):
        if result.value is None:
            raise FederationError(f"{result.outcome.ref}: {result.outcome.message}", hint=result.outcome.hint)
        answers[str(result.outcome.ref).removeprefix("file ")] = result.value
    document = _document(job, test_sets, models, {name: scores for name, (scores, _) in answers.items()})
    document["curves"] = [point for _, points in answers.values() for point in points]
    schemas.validate("comparison", document)
    return Comparison(document)


def _folders(test_set: TestSet, models: Mapping[str, Path]) -> tuple[tuple[str, Path], ...]:
    if test_set.role != "site":
        return ()
    arms = {"federated": models.get("federated"), "local": models.get(LOCAL_PREFIX + test_set.name)}
    return tuple((arm, path.parent) for arm, path in arms.items() if path is not None)


def _answer(question: _Question) -> _Answer:
    engine.be_a_good_neighbour()
    scores = judge(question.test_set, {name: load_model(path) for name, path in question.models})
    return scores, trace(question.test_set, dict(question.folders))


def _document(
    job: Job,
    test_sets: Sequence[TestSet],
    models: Mapping[str, Path],
    scores: Mapping[str, Mapping[str, Sequence[CaseScore]]],
) -> dict[str, Any]:
    names = sorted(scores[test_sets[0].name], key=lambda name: _ORDER.index(name.partition("@")[0]))
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
            "cases": sum(entry[name].dice is not None for entry in scores),
            "absent": sum(entry[name].is_false_alarm is not None for entry in scores),
            "false_alarms": sum(entry[name].is_false_alarm is True for entry in scores),
            "annotated": name in test_set.annotated,
        }
        for name, value in means.items()
    }
    return {"model": model, "dataset": test_set.name, "classes": classes, "mean": mean_of(means.values())}


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


_ORDER = ("local", ENSEMBLE, "federated", "pooled")
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
        rivals = [name for name in own if name in (LOCAL_PREFIX + each.name, ENSEMBLE, "pooled")]
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
    return mean_of(each.dice for each in entry.values())
