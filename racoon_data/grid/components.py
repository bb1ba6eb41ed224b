"""Connected components of masks: lesions as separate things with a volume each."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - the library's own habit

from racoon_data.grid.boxes import boxes_of, cut
from racoon_data.labels import Mask


def components(mask: Mask) -> npt.NDArray[np.uint32]:
    """Number the connected components of a mask, voxels touching at a corner included.

    Args:
        mask: Booleans indexed ``[k, j, i]``.

    Returns:
        Numbers from 1 in scan order, 0 outside, on the same grid.
    """
    numbered = np.zeros(mask.shape, dtype=np.uint32)
    for box in boxes_of(mask.view(np.uint8)).values():
        finder = sitk.ConnectedComponentImageFilter()
        finder.SetNumberOfThreads(1)
        finder.FullyConnectedOn()
        cut_out = np.ascontiguousarray(cut(mask, box)).view(np.uint8)
        cut(numbered, box)[...] = sitk.GetArrayFromImage(finder.Execute(sitk.GetImageFromArray(cut_out)))
    return numbered


def volumes_ml(numbered: npt.NDArray[Any], *, voxel_ml: float, count: int | None = None) -> tuple[float, ...]:
    """Give the volume of components 1, 2, ... in millilitres.

    Args:
        numbered: Component numbers, 0 outside.
        voxel_ml: Volume of one voxel.
        count: How many components to report; by default as many as the largest number.
    """
    length = int(numbered.max(initial=0)) if count is None else count
    return tuple(float(voxels) * voxel_ml for voxels in np.bincount(numbered.ravel(), minlength=length + 1)[1:])


def without_small(mask: Mask, *, min_ml: float, voxel_ml: float) -> tuple[Mask, tuple[float, ...]]:
    """Drop components smaller than a volume.

    Returns:
        The mask that stays and the volumes (ml) of what went.
    """
    numbered = components(mask)
    volumes = np.array([0.0, *volumes_ml(numbered, voxel_ml=voxel_ml)])
    stays = volumes >= min_ml
    stays[0] = False
    gone = volumes[1:][~stays[1:]]
    return stays[numbered], tuple(float(volume) for volume in gone)
