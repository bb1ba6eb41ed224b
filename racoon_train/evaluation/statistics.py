"""Is a difference more than chance? Paired bootstrap, Wilcoxon and Holm; the unit is the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class StatisticSettings:
    """How differences are tested; written into every account.

    Attributes:
        resamples: Bootstrap resamples.
        confidence: Of the interval.
        seed: Seed of the resampling.
    """

    resamples: int = 10_000
    confidence: float = 0.95
    seed: int = 0


STANDARD_TESTS = StatisticSettings()


def bootstrap_interval(strata: Sequence[Values], settings: StatisticSettings = STANDARD_TESTS) -> tuple[float, float]:
    """Give a percentile bootstrap interval of the mean of paired differences.

    Patients are drawn with replacement inside their site, so every resample has as many of each
    site as the study (Efron and Tibshirani 1993, chapter 13).

    Args:
        strata: Differences, one array per site, one value per patient.
        settings: Resamples, confidence and seed.
    """
    rng = np.random.default_rng(settings.seed)
    total = sum(len(each) for each in strata)
    sums = np.zeros(settings.resamples)
    for each in strata:
        drawn = rng.integers(len(each), size=(settings.resamples, len(each)))
        sums += each[drawn].sum(axis=1)
    tail = 100.0 * (1.0 - settings.confidence) / 2.0
    low, high = np.percentile(sums / total, [tail, 100.0 - tail])
    return float(low), float(high)


def wilcoxon_p(differences: Values) -> float:
    """Give the two-sided p of Wilcoxon's signed-rank test; patients without a difference say nothing.

    Exact up to 50 patients without ties, else by the normal approximation (``scipy.stats.wilcoxon``).

    Returns:
        1.0 where no difference is left.
    """
    from scipy.stats import wilcoxon

    left = differences[differences != 0]
    if not len(left):
        return 1.0
    has_ties = len(np.unique(np.abs(left))) < len(left)
    method = "approx" if len(left) > 50 or has_ties else "exact"
    return float(wilcoxon(left, method=method).pvalue)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values of one family for their number (Holm 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return tuple(adjusted)
