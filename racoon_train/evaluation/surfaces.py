"""Distances between the surfaces of two masks, in millimetres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon_data.grid.boxes import around, boxes_of, cut
from racoon_data.labels import Mask

Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class SurfaceDistances:
    """How far each surface voxel of one mask lies from the nearest of the other.

    Attributes:
        from_predicted_mm: One distance per surface voxel of the prediction.
        from_truth_mm: One distance per surface voxel of the truth.
    """

    from_predicted_mm: npt.NDArray[np.float64]
    from_truth_mm: npt.NDArray[np.float64]

    def surface_dice(self, tolerance_mm: float) -> float:
        """Give the share of both surfaces that lies within a tolerance of the other (Nikolov et al. 2021).

        Source: doi:10.2196/26151, with surface voxels counted instead of surface elements weighed.
        """
        both = (self.from_predicted_mm, self.from_truth_mm)
        return float(sum((each <= tolerance_mm).sum() for each in both)) / sum(len(each) for each in both)

    def hausdorff95_mm(self) -> float:
        """Give the larger of the 95th percentiles of both directions."""
        return float(max(np.percentile(each, 95) for each in (self.from_predicted_mm, self.from_truth_mm)))


def surface_distances(predicted: Mask, truth: Mask, spacing_mm: Spacing) -> SurfaceDistances:
    """Measure two masks, neither of them empty, against each other.

    A surface voxel has a neighbour across a face that is outside its mask. A volume of a single
    slice is measured in its plane: across it every voxel would be surface.

    Args:
        predicted: Mask ``[k, j, i]``.
        truth: Mask of the same shape.
        spacing_mm: Distance of voxels along k, j, i.
    """
    from scipy.ndimage import distance_transform_edt

    box = around(boxes_of((predicted | truth).view(np.uint8)).values())
    is_flat = truth.shape[0] == 1
    ours, theirs = (_surface(np.ascontiguousarray(cut(mask, box)), is_flat=is_flat) for mask in (predicted, truth))
    to_truth = distance_transform_edt(~theirs, sampling=spacing_mm)
    to_predicted = distance_transform_edt(~ours, sampling=spacing_mm)
    return SurfaceDistances(to_truth[ours], to_predicted[theirs])


def _surface(mask: Mask, *, is_flat: bool) -> Mask:
    from scipy.ndimage import binary_erosion, generate_binary_structure

    faces = generate_binary_structure(3, 1)
    if is_flat:
        faces[0] = faces[2] = False
    surface: Mask = mask & ~binary_erosion(mask, faces)
    return surface


def diagonal_mm(shape: tuple[int, ...], spacing_mm: Spacing) -> float:
    """Give the diagonal of a grid: no two of its voxels lie further apart."""
    return float(np.linalg.norm([(size - 1) * step for size, step in zip(shape, spacing_mm, strict=True)]))
