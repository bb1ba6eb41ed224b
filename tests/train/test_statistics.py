"""Intervals, tests and corrections against known values and brute force."""

from itertools import product

import numpy as np
import pytest

from racoon_train.baselines.ensemble import majority_vote, mean_softmax
from racoon_train.evaluation.statistics import StatisticSettings, bootstrap_interval, holm, wilcoxon_p


def test_holm_on_a_known_family():
    """0.01, 0.04, 0.03, 0.005 of four become 0.03, 0.06, 0.06, 0.02 (R: p.adjust(..., "holm"))."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    assert holm([]) == ()


def test_wilcoxon_counts_every_sign():
    """For nine patients the p-value is the share of all 512 sign patterns at least as extreme."""
    gaps = np.array([0.05, -0.02, 0.11, 0.3, -0.07, 0.21, 0.13, 0.01, 0.4])
    ranks = np.abs(gaps).argsort().argsort() + 1
    middle = ranks.sum() / 2
    seen = abs(ranks[gaps > 0].sum() - middle)
    patterns = [abs((ranks * signs).sum() - middle) >= seen for signs in product((0, 1), repeat=len(gaps))]

    assert wilcoxon_p(gaps) == pytest.approx(np.mean(patterns))


def test_patients_without_a_difference_say_nothing():
    """Zeros change no p-value, and zeros alone give 1."""
    gaps = np.array([0.1, 0.2, -0.05, 0.4, 0.3])

    assert wilcoxon_p(np.append(gaps, [0.0, 0.0])) == wilcoxon_p(gaps)
    assert wilcoxon_p(np.zeros(4)) == 1.0


def test_ties_and_many_patients_have_a_value():
    """Equal differences and more than fifty patients go by the normal approximation."""
    rng = np.random.default_rng(1)

    assert 0 < wilcoxon_p(np.array([0.1, 0.1, -0.1, 0.2, 0.2])) <= 1
    assert wilcoxon_p(rng.normal(0.5, 0.5, 80)) < 0.001


def test_the_interval_is_that_of_the_mean():
    """For 200 normal differences the bootstrap agrees with mean +- 1.96 standard errors, and repeats to the bit."""
    gaps = np.random.default_rng(2).normal(0.03, 0.1, 200)
    error = gaps.std(ddof=1) / np.sqrt(len(gaps))

    low, high = bootstrap_interval([gaps])

    assert low == pytest.approx(gaps.mean() - 1.96 * error, abs=0.002)
    assert high == pytest.approx(gaps.mean() + 1.96 * error, abs=0.002)
    assert bootstrap_interval([gaps]) == (low, high)


def test_sites_are_resampled_apart():
    """Two sites without spread inside them give an interval without width, however far apart they are."""
    low, high = bootstrap_interval([np.full(5, 0.1), np.full(15, 0.5)], StatisticSettings(resamples=200))

    assert (low, high) == pytest.approx((0.4, 0.4))


def some_members():
    """Three models, two classes and background, three voxels; the third never learned class 2."""
    first = np.array([[0.1, 0.6, 0.2], [0.8, 0.3, 0.3], [0.1, 0.1, 0.5]])
    second = np.array([[0.6, 0.6, 0.1], [0.3, 0.2, 0.1], [0.1, 0.2, 0.8]])
    third = np.array([[0.55, 0.1, 0.6], [0.45, 0.9, 0.4], [0.0, 0.0, 0.0]])
    arrays = [each.astype(np.float32).reshape(3, 1, 1, 3) for each in (first, second, third)]
    return list(zip(arrays, [(1, 2), (1, 2), (1,)], strict=True))


def test_the_vote_is_by_heads_and_the_mean_by_confidence():
    """One confident model outweighs two in the mean and is outvoted in the vote; untaught models do not vote."""
    members = some_members()

    assert mean_softmax(members).argmax(axis=0).ravel().tolist() == [1, 1, 2]
    assert majority_vote(members).argmax(axis=0).ravel().tolist() == [0, 0, 2]


def test_weights_move_the_mean():
    """With all weight on one model the ensemble is that model."""
    members = some_members()

    assert mean_softmax(members, [0.0, 1.0, 0.0]).argmax(axis=0).ravel().tolist() == [0, 0, 2]


def test_a_tie_goes_to_the_surer_model():
    """Two models that disagree: the more confident one decides."""
    members = some_members()[:2]

    assert majority_vote(members).argmax(axis=0).ravel().tolist() == [1, 0, 2]
