"""Who stands apart: outliers by median and MAD, with a rule that keeps quiet where cases are few."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 12
# Largest robust z among n normal values: 1 dataset in 1,000 exceeds 9.7 at n = 12, 7.0 at 20, 5.3 at 100, 4.9 at
# 1,000 (20,000 simulated datasets each); the limit lies above all of them.
_BASE, _FEW = 6.0, 60.0
_TO_SIGMA = 1.4826


@dataclass(frozen=True, slots=True)
class Outlier:
    """One value that stands apart.

    Attributes:
        key: Whose it is.
        value: The value.
        median: Median of all.
        low: Values below stand apart, too.
        high: Values above do.
        count: How many values there are.
    """

    key: str
    value: float
    median: float
    low: float
    high: float
    count: int


def limit(count: int) -> float:
    """Give how many robust standard deviations from the median are allowed among so many values."""
    return _BASE + _FEW / count


def outliers(values: Mapping[str, float], *, floor: float, is_log: bool = False) -> Iterator[Outlier]:
    """Find values that stand apart from the others.

    A value stands apart where it is further from the median than ``limit(n)`` times 1.4826 MAD, or times the floor
    where that is larger. Among fewer than twelve values nothing does.

    Args:
        values: Value by name.
        floor: Smallest spread taken seriously, so that near-equal values make no outliers; of the logarithm where
            ``is_log``.
        is_log: Compare logarithms, for sizes; values that are not positive are left out.
    """
    kept = {key: value for key, value in values.items() if math.isfinite(value) and (value > 0 or not is_log)}
    if len(kept) < LEAST:
        return
    scaled = np.array(list(kept.values()), dtype=np.float64)
    scaled = np.log(scaled) if is_log else scaled
    median = float(np.median(scaled))
    reach = limit(len(kept)) * max(_TO_SIGMA * float(np.median(np.abs(scaled - median))), floor)
    back = math.exp if is_log else float
    for (key, value), at in zip(kept.items(), scaled, strict=True):
        if abs(at - median) > reach:
            yield Outlier(key, value, back(median), back(median - reach), back(median + reach), len(kept))


def dominance(ours: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Compare two groups by ranks.

    Returns:
        Cliff's delta (-1: all of ours are smaller, 1: all are larger) and the Mann-Whitney z.
    """
    first, second = np.sort(np.asarray(ours)), np.sort(np.asarray(others))
    below = np.searchsorted(second, first, side="left").sum()
    above = len(first) * len(second) - np.searchsorted(second, first, side="right").sum()
    pairs = len(first) * len(second)
    delta = float(below - above) / pairs
    return delta, delta * math.sqrt(3 * pairs / (len(first) + len(second) + 1))
