"""The loss and the metrics hold against values worked out by hand."""

import math

import numpy as np
import pytest

from racoon_train.baselines.ensemble import mean_softmax
from racoon_train.data.cache import CachedCase
from racoon_train.evaluation.metrics import ClassScore, dice, mean_dice, merge_unlearned, score
from tests.train.makers import a_job

torch = pytest.importorskip("torch")


def logits_of(*probabilities: float) -> "torch.Tensor":
    """One voxel whose softmax is the given distribution."""
    return torch.log(torch.tensor(probabilities)).reshape(1, -1, 1, 1)


def test_our_adamw_is_pytorchs():
    """The same steps as torch.optim.AdamW, also when the state goes to disk and back in between."""
    from racoon_train.optimizer import AdamW

    ours, theirs = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    reference = torch.optim.AdamW(theirs.parameters(), lr=0.1, weight_decay=0.01)
    optimizer = AdamW(ours, weight_decay=0.01)
    for number in range(4):
        for network in (ours, theirs):
            network.zero_grad()
            (network(torch.full((1, 3), number + 1.0)) ** 2).sum().backward()
        reference.step()
        optimizer.step(0.1)
        kept, optimizer = optimizer.arrays(), AdamW(ours, weight_decay=0.01)
        optimizer.load(kept)

    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)


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
    """Half of a mask found is 2/3, a miss is 0, and where there is nothing to find there is no Dice."""
    truth = np.array([True, True, False, False])
    assert dice(np.array([True, False, False, False]), truth) == pytest.approx(2 / 3)
    assert dice(np.zeros(4, bool), truth) == 0.0
    assert dice(truth, np.zeros(4, bool)) is None


def a_case(label: list[int], annotated: tuple[str, ...]) -> CachedCase:
    """A case of one row."""
    row = np.array([[label]], np.uint8)
    return CachedCase("c", "test", row[None], row, {}, annotated)


def test_a_class_not_annotated_here_is_not_judged():
    """It is n/a, whatever was predicted; ignored voxels are left out of the others."""
    predicted = np.array([[[1, 2, 1, 0]]], np.uint8)

    found = score(predicted, a_case([1, 1, 255, 0], ("lesion",)), a_job())

    assert found["lesion"] == ClassScore(pytest.approx(2 / 3), None)
    assert found["fluid"] == ClassScore(None, None)


def test_an_invented_lesion_is_a_false_alarm():
    """Where the truth has none, a prediction is counted as an alarm, and silence as none."""
    case = a_case([1, 1, 0, 0], ("lesion", "fluid"))

    assert score(np.array([[[1, 1, 2, 0]]], np.uint8), case, a_job())["fluid"] == ClassScore(is_false_alarm=True)
    assert score(np.array([[[1, 1, 0, 0]]], np.uint8), case, a_job())["fluid"] == ClassScore(is_false_alarm=False)


def test_means_count_only_what_counts():
    """Cases without a value are left out of the mean."""
    scores = [{"x": ClassScore(value), "y": ClassScore()} for value in (0.5, None, 1.0)]

    assert mean_dice(scores) == {"x": 0.75, "y": None}


def test_a_member_that_never_learned_a_class_has_no_vote_on_it():
    """Class 2 is averaged over the one model that knows it; class 1 over both."""
    knows_both = np.array([0.2, 0.2, 0.6], np.float32).reshape(3, 1, 1, 1)
    knows_one = np.array([0.3, 0.3, 0.4], np.float32).reshape(3, 1, 1, 1)

    scores = mean_softmax([(knows_both, [1, 2]), (knows_one, [1])])

    np.testing.assert_allclose(scores.ravel(), [(0.2 + 0.7) / 2, 0.25, 0.6], atol=1e-6)
    np.testing.assert_allclose(merge_unlearned(knows_one, [1]).ravel(), [0.7, 0.3, 0], atol=1e-6)
