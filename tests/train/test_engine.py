"""The loss and the metrics hold against values worked out by hand."""

import math

import numpy as np
import pytest

from racoon_train.baselines.ensemble import mean_softmax
from racoon_train.evaluation.metrics import dice, mean_dice, merge_unlearned, score
from tests.train.makers import a_job

torch = pytest.importorskip("torch")


def logits_of(*probabilities: float) -> "torch.Tensor":
    """One voxel whose softmax is the given distribution."""
    return torch.log(torch.tensor(probabilities)).reshape(1, -1, 1, 1)


def test_an_unannotated_class_counts_as_background():
    """A site that never outlined class 2 sees 0.2 + 0.5 as one background: cross-entropy -log 0.7."""
    from racoon_train.engine import marginal_loss

    background = torch.zeros(1, 1, 1, dtype=torch.uint8)
    loss = marginal_loss(logits_of(0.2, 0.3, 0.5), background, annotated=[1])

    dice_part = 1 - 1e-5 / (0.3 + 1e-5)
    assert float(loss) == pytest.approx(-math.log(0.7) + dice_part, abs=1e-5)


def test_confusing_background_with_an_unannotated_class_is_free():
    """Moving probability between background and the unannotated class changes nothing."""
    from racoon_train.engine import marginal_loss

    target = torch.zeros(1, 1, 1, dtype=torch.uint8)
    losses = [float(marginal_loss(logits_of(p, 0.1, 0.9 - p), target, annotated=[1])) for p in (0.1, 0.45, 0.8)]

    assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)


def test_ignored_voxels_do_not_train():
    """A voxel marked 255 adds nothing to loss or gradient."""
    from racoon_train.engine import marginal_loss

    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    target = torch.tensor([[[1, 255], [0, 255]]], dtype=torch.uint8)
    marginal_loss(logits, target, annotated=[1, 2]).backward()

    assert float(logits.grad[..., 1].abs().sum()) == 0.0
    assert float(logits.grad[..., 0].abs().sum()) > 0.0


def test_dice_truth():
    """Half of a mask found is 2/3; nothing there and nothing found is not counted; a miss is 0."""
    truth = np.array([True, True, False, False])
    assert dice(np.array([True, False, False, False]), truth) == pytest.approx(2 / 3)
    assert dice(np.zeros(4, bool), np.zeros(4, bool)) is None
    assert dice(np.zeros(4, bool), truth) == 0.0
    assert dice(truth, np.zeros(4, bool)) == 0.0


def test_a_class_not_annotated_here_is_not_judged(tmp_path):
    """Its score is n/a, whatever was predicted; ignored voxels are left out of the others."""
    from racoon_train.data.cache import CachedCase

    label = np.array([[[1, 1, 255, 0]]], np.uint8)
    case = CachedCase("c", "test", label[None], label, {})
    predicted = np.array([[[1, 2, 1, 0]]], np.uint8)

    assert score(predicted, case, a_job(), annotated=["lesion"]) == {"lesion": pytest.approx(2 / 3), "fluid": None}


def test_means_count_only_what_counts():
    """Cases without a value are left out of the mean."""
    scores = [{"x": 0.5, "y": None}, {"x": None, "y": None}, {"x": 1.0, "y": None}]

    assert mean_dice(scores) == {"x": 0.75, "y": None}


def test_a_member_that_never_learned_a_class_has_no_vote_on_it():
    """Class 2 is averaged over the one model that knows it; class 1 over both."""
    knows_both = np.array([0.2, 0.2, 0.6], np.float32).reshape(3, 1, 1, 1)
    knows_one = np.array([0.3, 0.3, 0.4], np.float32).reshape(3, 1, 1, 1)

    scores = mean_softmax([(knows_both, [1, 2]), (knows_one, [1])])

    np.testing.assert_allclose(scores.ravel(), [(0.2 + 0.7) / 2, 0.25, 0.6], atol=1e-6)
    np.testing.assert_allclose(merge_unlearned(knows_one, [1]).ravel(), [0.7, 0.3, 0], atol=1e-6)
