"""Convergence: the model after every round, judged on the sites' own test cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from racoon_data.events import OnEvent, ignore
from racoon_data.refs import FileRef
from racoon_data.runner.run import run_items
from racoon_train import engine
from racoon_train.checkpoints import Model, load_model
from racoon_train.evaluation.compare import TestSet, judge
from racoon_train.federated.rounds import round_file


@dataclass(frozen=True, slots=True)
class _Trace:
    test_set: TestSet
    arms: tuple[tuple[str, Path], ...]


def curves(
    test_sets: Sequence[TestSet],
    arms: Mapping[str, Mapping[str, Path]],
    *,
    workers: int = 1,
    on_event: OnEvent = ignore,
) -> list[dict[str, Any]]:
    """Judge the weights of every round.

    Args:
        test_sets: The sites' test splits.
        arms: For each arm, the folder of its rounds by test set name.
        workers: Processes at a time.
        on_event: Listener (kind ``curves``).

    Returns:
        Points ``{"arm", "dataset", "round", "dice"}``; a test set that cannot be judged has none.
    """
    traces = [
        _Trace(each, tuple((arm, folders[each.name]) for arm, folders in arms.items() if each.name in folders))
        for each in test_sets
    ]
    items = [(FileRef(trace.test_set.name), trace) for trace in traces]
    results = run_items("curves", items, _points, workers=workers, on_event=on_event)
    return [point for result in results for point in result.value or []]


def _points(trace: _Trace) -> list[dict[str, Any]]:
    engine.be_a_good_neighbour()
    found = []
    for arm, folder in trace.arms:
        final = load_model(folder / "model.safetensors")
        for round_ in range(1, final.job.training.rounds + 1):
            weights = round_file(folder, round_)
            if weights.is_file():
                dice = _mean(trace.test_set, Model(weights, final.job, final.kind, final.learned))
                found.append({"arm": arm, "dataset": trace.test_set.name, "round": round_, "dice": dice})
    return found


def _mean(test_set: TestSet, model: Model) -> float | None:
    scores = judge(test_set, {"it": model})["it"]
    counted = [value for entry in scores for value in entry.values() if value is not None]
    return fmean(counted) if counted else None
