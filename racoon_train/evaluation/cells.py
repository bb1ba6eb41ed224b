"""Judged cases to cells of the matrix: one model on one test set, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from racoon_train.evaluation.judging import Judged
from racoon_train.evaluation.metrics import ClassScore, mean_of

_MEANS = ("dice", "surface_dice", "hausdorff95_mm", "volume_error_ml", "volume_abs_error_ml")


def cell_of(model: str, dataset: str, judged: Sequence[Judged], annotated: Sequence[str]) -> dict[str, Any]:
    """Condense a model's cases on a test set.

    Args:
        model: Model name.
        dataset: Test set name.
        judged: Its cases.
        annotated: Classes annotated there.
    """
    names = judged[0].scores
    classes = {
        name: {**class_of([each.scores[name] for each in judged]), "annotated": name in annotated} for name in names
    }
    mean = mean_of(entry["dice"] for entry in classes.values())
    return {"model": model, "dataset": dataset, "classes": classes, "mean": mean}


def class_of(scores: Sequence[ClassScore]) -> dict[str, Any]:
    """Condense one class: means over the cases that count, the median of Hausdorff 95, and sums of counts."""
    distances = [each.hausdorff95_mm for each in scores if each.hausdorff95_mm is not None]
    errors = [each.volume_error_ml for each in scores if each.volume_error_ml is not None]
    lesions = [each.lesions for each in scores if each.lesions is not None]
    return {
        "dice": mean_of(each.dice for each in scores),
        "surface_dice": mean_of(each.surface_dice for each in scores),
        "hausdorff95_mm": median(distances) if distances else None,
        "volume_error_ml": fmean(errors) if errors else None,
        "volume_abs_error_ml": fmean(map(abs, errors)) if errors else None,
        "lesions": sum(each.there for each in lesions),
        "lesions_found": sum(each.found for each in lesions),
        "false_lesions": sum(each.false for each in lesions),
        "cases": sum(each.dice is not None for each in scores),
        "missed": sum(each.is_missed is True for each in scores),
        "absent": sum(each.is_false_alarm is not None for each in scores),
        "false_alarms": sum(each.is_false_alarm is True for each in scores),
    }


def mean_cells(runs: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Average the cells of several seeds: means of values, sums of counts; the same cells in every seed."""
    return [_mean_cell(cells) for cells in zip(*runs, strict=True)]


def _mean_cell(cells: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = cells[0]
    classes = {name: _mean_class([cell["classes"][name] for cell in cells]) for name in first["classes"]}
    mean = mean_of(cell["mean"] for cell in cells)
    return {"model": first["model"], "dataset": first["dataset"], "classes": classes, "mean": mean}


def _mean_class(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key, value in entries[0].items():
        if key in _MEANS:
            merged[key] = mean_of(entry[key] for entry in entries)
        else:
            merged[key] = value if isinstance(value, bool) else sum(entry[key] for entry in entries)
    return merged
