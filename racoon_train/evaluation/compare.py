"""Every model of a study meets every test set: one seed's judgement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from racoon_data.errors import FederationError
from racoon_data.events import OnEvent, ignore
from racoon_data.refs import FileRef
from racoon_data.runner.run import run_items
from racoon_train import engine
from racoon_train.checkpoints import Model, load_model
from racoon_train.evaluation.judging import LOCAL_PREFIX, WITHOUT, Judged, TestSet, judge, trace
from racoon_train.evaluation.metrics import STANDARD, Yardstick
from racoon_train.federated.rounds import Round
from racoon_train.job.job import Job

Scores = Mapping[str, tuple[Judged, ...]]


@dataclass(frozen=True, slots=True)
class Judgement:
    """How the models of one seed fared.

    Attributes:
        job: What they were trained by.
        models: Trained models by name.
        test_sets: What they were judged on.
        scores: Judged cases by test set and model.
        curves: Mean Dice by arm, test set and round.
        rounds: The federation's rounds: losses and who was lost.
        seconds: CPU seconds by arm, where known.
    """

    job: Job
    models: Mapping[str, Model]
    test_sets: tuple[TestSet, ...]
    scores: Mapping[str, Scores]
    curves: tuple[Mapping[str, Any], ...] = ()
    rounds: tuple[Round, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Question:
    test_set: TestSet
    models: tuple[tuple[str, Path], ...]
    folders: tuple[tuple[str, Path], ...]
    yardstick: Yardstick


def compare(
    job: Job,
    test_sets: Sequence[TestSet],
    models: Mapping[str, Path],
    *,
    yardstick: Yardstick = STANDARD,
    workers: int = 1,
    on_event: OnEvent = ignore,
) -> Judgement:
    """Judge every model on every test set, the local models' ensembles and the weights of every round too.

    Args:
        job: The job they were trained by.
        test_sets: Sites' test splits and external datasets.
        models: Weights file by name: ``federated``, ``pooled``, ``local@ALIAS``, ``fine-tuned@ALIAS``, and
            ``federated-without@ALIAS``, which meets the test set of that site only.
        yardstick: Tolerances of the measures.
        workers: Processes at a time.
        on_event: Listener (kind ``compare``).

    Raises:
        FederationError: A test set could not be judged.
    """
    items = [(FileRef(each.name), _question(each, models, yardstick)) for each in test_sets]
    scores: dict[str, Scores] = {}
    curves: list[Mapping[str, Any]] = []
    results = run_items("compare", items, _answer, workers=workers, on_event=on_event)
    for each, result in zip(test_sets, results, strict=True):
        if result.value is None:
            raise FederationError(f"{result.outcome.ref}: {result.outcome.message}", hint=result.outcome.hint)
        scores[each.name] = result.value[0]
        curves.extend(result.value[1])
    opened = {name: load_model(path) for name, path in models.items()}
    return Judgement(job, opened, tuple(test_sets), scores, tuple(curves))


def _question(test_set: TestSet, models: Mapping[str, Path], yardstick: Yardstick) -> _Question:
    judged = tuple((name, path) for name, path in models.items() if _meets(name, test_set))
    return _Question(test_set, judged, _folders(test_set, models), yardstick)


def _meets(model: str, test_set: TestSet) -> bool:
    return WITHOUT not in model or model.endswith(WITHOUT + test_set.name)


def _folders(test_set: TestSet, models: Mapping[str, Path]) -> tuple[tuple[str, Path], ...]:
    arms = {"federated": models.get("federated")}
    if test_set.role == "site":
        arms |= {"local": models.get(LOCAL_PREFIX + test_set.name), "pooled": models.get("pooled")}
    return tuple((arm, path.parent) for arm, path in arms.items() if path is not None)


def _answer(question: _Question) -> tuple[dict[str, tuple[Judged, ...]], list[dict[str, Any]]]:
    engine.be_a_good_neighbour()
    models = {name: load_model(path) for name, path in question.models}
    return judge(question.test_set, models, question.yardstick), trace(question.test_set, dict(question.folders))
