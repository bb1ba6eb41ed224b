"""Pieces counted by runs are the components that SimpleITK finds."""

import numpy as np
import pytest

from racoon_data.grid.components import components
from racoon_data.grid.pieces import pieces
from racoon_data.grid.places import places


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.9])
@pytest.mark.parametrize("shape", [(1, 1, 9), (7, 8, 9), (12, 5, 16), (3, 20, 1)])
def test_pieces_are_components(share, shape):
    """Number of pieces and voxels of the largest agree with SimpleITK, corners included."""
    for seed in range(20):
        mask = np.random.default_rng(seed).random(shape) < share
        numbered = components(mask)
        found = pieces(mask)

        assert found.count == numbered.max(initial=0)
        sizes = np.bincount(numbered.ravel())[1:]
        assert found.largest().sum() == sizes.max(initial=0)
        assert not (found.largest() & ~mask).any()


def test_a_snake_is_one_piece():
    """A path that winds through every row is one piece, however long the chain of runs."""
    mask = np.zeros((1, 41, 41), dtype=bool)
    mask[0, ::2] = True
    mask[0, 1::4, -1] = True
    mask[0, 3::4, 0] = True

    assert pieces(mask).count == 1


def test_rows_do_not_touch_around_the_edge():
    """The end of one row and the beginning of the next, or of the next slice, are apart."""
    mask = np.zeros((2, 3, 6), dtype=bool)
    mask[0, 0, 5] = mask[0, 1, 0] = mask[0, 2, 3] = mask[1, 0, 0] = True

    assert pieces(mask).count == components(mask).max()


@pytest.mark.parametrize("share", [0.001, 0.2, 1.0])
def test_places_are_where_the_voxels_are(share):
    """Number, centre and box of each value agree with a plain search, also where voxels do not fill whole words."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        labels = np.where(rng.random((5, 7, 9)) < share, rng.integers(1, 4, (5, 7, 9)), 0).astype(np.uint8)
        found = places(labels)

        assert list(found) == [value for value in (1, 2, 3) if (labels == value).any()]
        for value, place in found.items():
            index = np.argwhere(labels == value)[:, ::-1]
            assert place.voxels == len(index)
            assert place.centre == pytest.approx(index.mean(axis=0))
            assert (place.low, place.high) == (tuple(index.min(axis=0)), tuple(index.max(axis=0)))
