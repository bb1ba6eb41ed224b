"""The account of a study (``schemas/comparison``): cells, places, statistics and every seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from racoon_data import schemas
from racoon_train.evaluation.cells import cell_of, mean_cells
from racoon_train.evaluation.compare import Judgement
from racoon_train.evaluation.contests import contests, duels
from racoon_train.evaluation.judging import WITHOUT
from racoon_train.evaluation.metrics import POLICY, STANDARD, Yardstick
from racoon_train.evaluation.places import ARMS, arm_of, summary
from racoon_train.evaluation.statistics import STANDARD_TESTS, StatisticSettings
from racoon_train.versions import versions


@dataclass(frozen=True, slots=True)
class Comparison:
    """The outcome (``schemas/comparison``).

    Attributes:
        document: JSON-ready account.
    """

    document: dict[str, Any]

    def dice(self, model: str, dataset: str, label: str | None = None) -> float | None:
        """Give one cell, the mean over seeds: over classes, or of one class; ``None`` where not counted.

        Raises:
            KeyError: There is no such cell.
        """
        for cell in self.document["cells"]:
            if (cell["model"], cell["dataset"]) == (model, dataset):
                value = cell["mean"] if label is None else cell["classes"][label]["dice"]
                return None if value is None else float(value)
        raise KeyError((model, dataset))


def account_of(
    judgements: Sequence[Judgement],
    *,
    yardstick: Yardstick = STANDARD,
    settings: StatisticSettings = STANDARD_TESTS,
) -> Comparison:
    """Write the account of one seed or several of the same study.

    Args:
        judgements: One per seed, with the same test sets and models.
        yardstick: What they were judged with.
        settings: Statistics.

    Raises:
        SchemaError: The account does not validate.
    """
    first = judgements[0]
    cells = [_cells(each) for each in judgements]
    mean = mean_cells(cells)
    document = {
        "schema_version": "1.0",
        "job": _job(judgements),
        "policy": POLICY,
        "yardstick": asdict(yardstick),
        "classes": list(first.job.class_names),
        "datasets": [_dataset(first, place) for place in range(len(first.test_sets))],
        "models": _models(first),
        "cells": [cell for cell in mean if WITHOUT not in cell["model"]],
        "rotation": [cell for cell in mean if WITHOUT in cell["model"]],
        "summary": _summary(mean, first),
        "duels": duels(judgements),
        "statistics": {
            "unit": "patient",
            **asdict(settings),
            "contests": contests(judgements, settings),
        },
        "runs": [_run(each, own) for each, own in zip(judgements, cells, strict=True)],
        "losing_cases": [],
        "software": versions(),
    }
    schemas.validate("comparison", document)
    return Comparison(document)


def _job(judgements: Sequence[Judgement]) -> dict[str, Any]:
    job = judgements[0].job
    seeds = [each.job.seed for each in judgements]
    schedule = {"rounds": job.training.rounds, "local_steps": job.training.local_steps}
    return {"name": job.name, "sha256": [each.job.sha256 for each in judgements], "seeds": seeds, **schedule}


def _cells(judgement: Judgement) -> list[dict[str, Any]]:
    order = {arm: place for place, arm in enumerate(ARMS)}
    cells = []
    for test_set in judgement.test_sets:
        for name, judged in judgement.scores[test_set.name].items():
            cells.append(cell_of(name, test_set.name, judged, test_set.annotated))
    return sorted(cells, key=lambda cell: order.get(arm_of(cell["model"]), len(ARMS)))


def _dataset(judgement: Judgement, place: int) -> dict[str, Any]:
    test_set = judgement.test_sets[place]
    judged = next(iter(judgement.scores[test_set.name].values()))
    return {
        "name": test_set.name,
        "role": test_set.role,
        "sha256": test_set.sha256,
        "cases": len(judged),
        "patients": len({each.patient for each in judged}),
        "annotated": list(test_set.annotated),
    }


def _models(judgement: Judgement) -> list[dict[str, Any]]:
    names = dict.fromkeys(cell["model"] for cell in _cells(judgement) if WITHOUT not in cell["model"])
    entries = []
    for name in names:
        model = judgement.models.get(name)
        learned, datasets = (list(model.learned), dict(model.datasets)) if model else ([], {})
        kind = model.kind if model else "ensemble"
        entries.append({"name": name, "kind": kind, "learned": learned, "datasets": datasets})
    return entries


def _summary(cells: Sequence[Mapping[str, Any]], judgement: Judgement) -> list[dict[str, Any]]:
    rows = summary([cell for cell in cells if WITHOUT not in cell["model"]], judgement.test_sets)
    turns = [each for each in judgement.test_sets if f"federated{WITHOUT}{each.name}" in judgement.scores[each.name]]
    for row in rows:
        row["rotation"] = _rotation(cells, row["arm"], [each.name for each in turns])
    return rows


def _rotation(cells: Sequence[Mapping[str, Any]], arm: str, turns: Sequence[str]) -> float | None:
    """Average an arm over the sites, each judged by models that never saw its data."""
    means = []
    for name in turns:
        here = [cell for cell in cells if cell["dataset"] == name and cell["mean"] is not None]
        if arm == "local":
            values = [
                cell["mean"] for cell in here if arm_of(cell["model"]) == arm and cell["model"] != f"local@{name}"
            ]
        else:
            values = [cell["mean"] for cell in here if cell["model"] == f"{arm}{WITHOUT}{name}"]
        means.extend([float(np.mean(values))] if values else [])
    return float(np.mean(means)) if means else None


def _run(judgement: Judgement, cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "seed": judgement.job.seed,
        "job_sha256": judgement.job.sha256,
        "summary": _summary(cells, judgement),
        "cells": [{"model": cell["model"], "dataset": cell["dataset"], "mean": cell["mean"]} for cell in cells],
        "curves": [dict(point) for point in judgement.curves],
        "rounds": [{"round": r.number, "losses": dict(r.losses), "lost": dict(r.lost)} for r in judgement.rounds],
        "cpu_s": {arm: round(seconds, 1) for arm, seconds in judgement.seconds.items()},
    }
