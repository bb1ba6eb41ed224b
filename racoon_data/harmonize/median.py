"""The spacing of a whole dataset: the median of its cases, with nnU-Net's rule for anisotropic ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from racoon_data.errors import SettingsError
from racoon_data.geometry import Geometry, Point
from racoon_data.grid.reorient import reorient_geometry

_ANISOTROPIC = 3.0


def median_spacing(grids: Sequence[Geometry], *, orientation: str = "RAS") -> Point:
    """Choose the spacing of a dataset from the grids of its cases' first channels.

    The median along each final axis. Where the coarsest axis has more than three times the spacing of the others, and
    images fewer than a third of their voxels along it, half of all cases would lose slices; so that axis takes the
    tenth percentile of its spacings, but never less than the coarser of the others (Isensee 2021, doi
    10.1038/s41592-020-01008-z; nnU-Net 2.8.1 decides the same).

    Args:
        grids: One grid a case.
        orientation: Code of the final axes; ``native`` takes axes as they are.

    Returns:
        Millimetres along the final i, j, k, rounded to a thousandth.

    Raises:
        SettingsError: There is no case.
    """
    if not grids:
        raise SettingsError("no case to take the median spacing of", hint="give spacing_mm in millimetres")
    code = orientation
    turned = [grid if code == "native" else reorient_geometry(grid, code) for grid in grids]
    spacings = np.array([grid.spacing_mm for grid in turned])
    sizes = np.median(np.array([grid.shape for grid in turned]), axis=0)
    chosen = np.median(spacings, axis=0)
    worst = int(np.argmax(chosen))
    others = [axis for axis in range(3) if axis != worst]
    finest = float(max(chosen[others]))
    if chosen[worst] > _ANISOTROPIC * finest and sizes[worst] * _ANISOTROPIC < min(sizes[others]):
        chosen[worst] = max(float(np.percentile(spacings[:, worst], 10)), finest)
    i, j, k = (round(float(mm), 3) for mm in chosen)
    return (i, j, k)
