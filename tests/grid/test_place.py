"""Masks come onto the image grid voxel for voxel, or not at all unless resampling is asked for."""

import itertools

import numpy as np
import pytest

from racoon_data.errors import GridMismatchError
from racoon_data.geometry import Geometry, as_affine
from racoon_data.grid.place import fit, place

AXIAL = np.diag([0.8, 0.9, 2.5, 1.0])
_C, _S = np.cos(0.4), np.sin(0.4)
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = np.array([[_C, -_S, 0], [_S, _C, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, _C, -_S], [0, _S, _C]])
OBLIQUE[:3, :3] *= (0.7, 0.7, 3.0)
OBLIQUE[:3, 3] = (-80.5, 33.25, 911.0)
SHAPE = (9, 8, 7)


def grid(matrix, shape=SHAPE, frame=None):
    """A grid."""
    return Geometry(shape, as_affine(matrix), frame)


def shifted(matrix, i, j, k):
    """The same voxels counted from another corner."""
    moved = matrix.copy()
    moved[:3, 3] = (matrix @ [i, j, k, 1])[:3]
    return moved


def blob(shape=SHAPE, seed=1):
    """A mask without any symmetry."""
    return np.random.default_rng(seed).random(shape[::-1]) < 0.3


def truth_of(mask, source, target):
    """Where the mask belongs, voxel by voxel through patient space."""
    result = np.zeros(target.array_shape, dtype=bool)
    to_target = np.linalg.inv(target.matrix) @ source.matrix
    outside = 0
    for k, j, i in np.argwhere(mask):
        place_i, place_j, place_k = np.rint((to_target @ [i, j, k, 1])[:3]).astype(int)
        if all(0 <= one < size for one, size in zip((place_i, place_j, place_k), target.shape, strict=True)):
            result[place_k, place_j, place_i] = True
        else:
            outside += 1
    return result, outside


@pytest.mark.parametrize("matrix", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize("start", [(0, 0, 0), (2, -3, 1), (-4, 0, -6), (50, 0, 0)])
def test_whole_offsets_are_exact(matrix, start):
    """A crop, an overhang and a grid beside the image: each voxel in its place, those outside counted."""
    target, source = grid(matrix), grid(shifted(matrix, *start), (6, 10, 9))
    mask = blob(source.shape)

    placed = place(mask, source, target)

    truth, outside = truth_of(mask, source, target)
    np.testing.assert_array_equal(placed.mask, truth)
    assert (placed.how, placed.outside, placed.drift_ml) == ("exact", outside, 0.0)
    assert placed.mask.dtype == np.bool_


@pytest.mark.parametrize("matrix", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_every_permutation_and_flip_is_exact(matrix):
    """All 48 ways to turn a grid onto itself put the mask where patient space says, and back again."""
    target = grid(matrix)
    for axes in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            turn = np.zeros((4, 4))
            turn[3, 3] = 1
            for own, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
                turn[axis, own] = sign
                turn[axis, 3] += SHAPE[axis] - 1 if sign < 0 else 0
            source = grid(matrix @ turn, tuple(SHAPE[axis] for axis in axes))
            mask = blob(source.shape, seed=hash((axes, signs)) % 1000)
            placed = place(mask, source, target)
            np.testing.assert_array_equal(placed.mask, truth_of(mask, source, target)[0])
            assert (placed.mask.sum(), placed.how, placed.outside) == (mask.sum(), "exact", 0)
            np.testing.assert_array_equal(place(placed.mask, target, source).mask, mask)


def test_nearly_equal_spacing_is_the_nearest_voxel():
    """2.024902 against 2.025 mm over 300 voxels is one grid written twice."""
    shape = (300, 40, 5)
    target, source = grid(np.diag([2.025, 2.025, 3.0, 1]), shape), grid(np.diag([2.024902, 2.024902, 3.0, 1]), shape)
    mask = blob(shape)

    placed = place(mask, source, target)

    np.testing.assert_array_equal(placed.mask, mask)
    assert placed.how == "nearest"


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (shifted(AXIAL, 0.5, 0, 0), "0.50 voxels beside"),
        (shifted(AXIAL, 0, 0, -0.3), "0.30 voxels beside"),
        (AXIAL @ np.diag([2.0, 1, 1, 1]), "1.6 x 0.9 x 2.5 mm instead of 0.8 x 0.9 x 2.5 mm"),
        (np.array([[_C, -_S, 0, 0], [_S, _C, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ AXIAL, "turned"),
        (AXIAL @ np.diag([1.05, 1, 1, 1]), "instead of"),
    ],
)
def test_the_same_shape_on_another_grid_is_refused(matrix, words):
    """Half a voxel, another spacing and a turned grid have the same shape and are another grid; the words say how."""
    assert fit(grid(matrix), grid(AXIAL)) is None

    with pytest.raises(GridMismatchError) as caught:
        place(blob(), grid(matrix), grid(AXIAL))

    assert words in caught.value.message
    assert "resampling" in caught.value.hint


def test_half_a_voxel_is_resampled_where_asked():
    """A box shifted by half a voxel in each direction keeps its place; the drift is stated."""
    shape = (20, 20, 20)
    target, source = grid(np.eye(4), shape), grid(shifted(np.eye(4), 0.5, 0.5, 0.5), shape)
    mask = np.zeros(shape[::-1], dtype=bool)
    mask[5:13, 6:12, 4:14] = True

    placed = place(mask, source, target, resample=True)

    expected = np.zeros_like(mask)
    expected[5:14, 6:13, 4:15] = True
    assert placed.how == "resampled"
    assert not (placed.mask & ~expected).any()
    assert placed.drift_ml == pytest.approx((placed.mask.sum() - mask.sum()) / 1000)
    assert abs(placed.drift_ml) < 0.3 * mask.sum() / 1000


def test_a_coarse_mask_is_resampled_within_its_volume():
    """A ball of 10 mm radius drawn on 2 mm voxels keeps its volume within 5 % on an oblique 1 mm grid."""
    shape = (40, 40, 40)
    source = grid(np.diag([2.0, 2, 2, 1]), shape)
    k, j, i = np.indices(shape[::-1]) * 2.0
    ball = (i - 40) ** 2 + (j - 40) ** 2 + (k - 40) ** 2 <= 100
    turned = np.eye(4)
    turned[:3, :3] = OBLIQUE[:3, :3] / (0.7, 0.7, 3.0)
    turned[:3, 3] = np.array([40.0, 40, 40]) - turned[:3, :3] @ [20, 20, 20]
    target = grid(turned, (41, 41, 41))

    placed = place(ball, source, target, resample=True)

    volume = ball.sum() * source.voxel_ml
    assert abs(placed.drift_ml) < 0.05 * volume
    assert placed.mask.sum() * target.voxel_ml == pytest.approx(volume + placed.drift_ml)
    assert placed.outside == 0


def test_another_frame_of_reference_is_refused_even_when_resampling():
    """Two patient coordinate systems are never laid over each other; an unknown one may be any."""
    with pytest.raises(GridMismatchError, match="frame of reference"):
        place(blob(), grid(AXIAL, frame="1.1"), grid(AXIAL, frame="1.2"), resample=True)

    np.testing.assert_array_equal(place(blob(), grid(AXIAL), grid(AXIAL, frame="1.2")).mask, blob())


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_bounds_hold_in_every_dtype(dtype):
    """A mask in whole numbers is placed like booleans, and a grid of one voxel works."""
    placed = place(blob().astype(dtype) != 0, grid(AXIAL), grid(shifted(AXIAL, 8, 7, 6), (1, 1, 1)))

    assert placed.mask.shape == (1, 1, 1)
    assert placed.mask[0, 0, 0] == blob()[6, 7, 8]
    assert placed.outside == blob().sum() - placed.mask.sum()
