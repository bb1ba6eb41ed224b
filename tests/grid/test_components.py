"""Lesions are counted and weighed one by one."""

import numpy as np

from racoon_data.grid.components import components, volumes_ml, without_small


def _three() -> np.ndarray:
    mask = np.zeros((10, 12, 14), dtype=bool)
    mask[1:3, 1:3, 1:3] = True
    mask[3, 3, 3] = True
    mask[6, 6, 6:10] = True
    mask[9, 11, 13] = True
    return mask


def test_voxels_that_touch_at_a_corner_are_one_lesion():
    """Three components: a block with a corner voxel, a bar and a single voxel at the array's corner."""
    numbered = components(_three())

    assert numbered.shape == (10, 12, 14)
    assert numbered[3, 3, 3] == numbered[1, 1, 1] == 1
    assert volumes_ml(numbered, voxel_ml=0.5) == (4.5, 2.0, 0.5)


def test_an_empty_mask_has_no_component():
    """Nothing gives nothing."""
    numbered = components(np.zeros((3, 3, 3), dtype=bool))

    assert not numbered.any()
    assert volumes_ml(numbered, voxel_ml=1.0) == ()


def test_small_components_are_dropped_and_listed():
    """What is smaller than the limit goes; what equals it stays."""
    stays, gone = without_small(_three(), min_ml=2.0, voxel_ml=0.5)

    assert gone == (0.5,)
    assert stays.sum() == 13
