"""Where an arm is judged: at home, at other sites, on left-out data, and what each patient's value is there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

import numpy as np

from racoon_train.evaluation.compare import Judgement
from racoon_train.evaluation.judging import ENSEMBLES, LOCAL_PREFIX, WITHOUT, Judged, TestSet
from racoon_train.evaluation.metrics import mean_of
from racoon_train.evaluation.statistics import Values

ARMS = ("local", *ENSEMBLES, "federated", "fine-tuned", "pooled")
PLACES = ("own", "external", "rotation")
PatientValues = dict[tuple[str, str], float]


def arm_of(model: str) -> str:
    """Give the arm of a model: ``local@a`` is of the arm ``local``."""
    return model.partition("@")[0]


def models_at(arm: str, test_set: TestSet, names: Sequence[str], *, place: str) -> tuple[str, ...]:
    """Name the models that stand for an arm on a test set.

    At a site an arm with a model of its own for every site is that site's model; on left-out data
    it is all of them, whose values are averaged: what the average hospital would have. In the
    rotation no model has seen the site's data.

    Args:
        arm: The arm.
        test_set: The test set.
        names: Models that were judged on it.
        place: ``own``, ``external`` or ``rotation``.
    """
    if (test_set.role == "external") != (place == "external"):
        return ()
    if place == "rotation":
        has_turn = "federated" + WITHOUT + test_set.name in names
        if arm == "local" and has_turn:
            return tuple(n for n in names if arm_of(n) == "local" and n != LOCAL_PREFIX + test_set.name)
        return tuple(name for name in names if name == arm + WITHOUT + test_set.name)
    if place == "external":
        return tuple(name for name in names if arm_of(name) == arm)
    return tuple(name for name in names if name in (arm, f"{arm}@{test_set.name}"))


def patient_values(judgement: Judgement, arm: str, *, place: str, label: str | None = None) -> PatientValues:
    """Give each patient's Dice under an arm: the mean over cases, and over classes unless one is named.

    Args:
        judgement: One seed.
        arm: The arm.
        place: ``own``, ``external`` or ``rotation``.
        label: One class, or the mean of those that count.

    Returns:
        Value by test set and patient; patients for whom nothing counts are left out.
    """
    found: PatientValues = {}
    for test_set in judgement.test_sets:
        scores = judgement.scores[test_set.name]
        names = models_at(arm, test_set, tuple(scores), place=place)
        by_patient: dict[str, list[float]] = {}
        for judged in (each for name in names for each in scores[name]):
            value = _value(judged, label)
            if value is not None:
                by_patient.setdefault(judged.patient, []).append(value)
        found |= {(test_set.name, patient): fmean(values) for patient, values in by_patient.items()}
    return found


def _value(judged: Judged, label: str | None) -> float | None:
    return judged.dice if label is None else judged.scores[label].dice


def over_seeds(values: Sequence[Mapping[tuple[str, str], float]]) -> PatientValues:
    """Average each patient over seeds: repeated training of one study gives no new patients."""
    return {key: fmean(each[key] for each in values if key in each) for key in (values[0] if values else {})}


def strata(values: Mapping[tuple[str, str], float]) -> list[Values]:
    """Sort patients' values by test set."""
    names = dict.fromkeys(name for name, _ in values)
    return [np.array([value for (own, _), value in values.items() if own == name]) for name in names]


def summary(cells: Sequence[Mapping[str, Any]], test_sets: Sequence[TestSet]) -> list[dict[str, Any]]:
    """Condense the matrix: each arm at home, at the other sites and on external data.

    The home of a local or fine-tuned model is its own site; an ensemble, a federated or a pooled
    model is at home at every site, so it has no elsewhere.
    """
    roles = {each.name: each.role for each in test_sets}
    places: dict[str, dict[str, list[float]]] = {}
    for cell in cells:
        arm, _, home = str(cell["model"]).partition("@")
        is_home = roles[cell["dataset"]] == "site" and home in ("", cell["dataset"])
        place = "external" if roles[cell["dataset"]] == "external" else "own" if is_home else "elsewhere"
        if cell["mean"] is not None:
            places.setdefault(arm, {}).setdefault(place, []).append(cell["mean"])
    return [{"arm": arm, **{p: mean_of(found.get(p, ())) for p in _SUMMARY}} for arm, found in places.items()]


_SUMMARY = ("own", "elsewhere", "external")
