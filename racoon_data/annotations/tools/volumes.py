"""Mask files of other tools: NIfTI and NRRD as whole-number layers on a grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.errors import BrokenExportError, DatasetError, UnsupportedAnnotationError
from racoon_data.files.nifti import read_nifti, read_nifti_grid
from racoon_data.files.nrrd import read_nrrd
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.labels import Mask
from racoon_data.tool_exports import Masks, OwnMask

SUFFIXES = (".nii.gz", ".nii", ".nrrd")
_WHOLE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class LabelVolume:
    """Label values of one file.

    Attributes:
        layers: Whole numbers ``[layer, k, j, i]``; one layer but where labels overlap.
        geometry: Their grid.
    """

    layers: npt.NDArray[Any]
    geometry: Geometry

    def mask(self, value: int, *, layer: int = 0) -> Mask:
        """Give the voxels of one value."""
        if not 0 <= layer < len(self.layers):
            raise BrokenExportError(f"layer {layer} of {len(self.layers)} is not there", hint="export it again")
        return np.ascontiguousarray(self.layers[layer] == value)

    def undescribed(self, values: Iterable[int]) -> Masks:
        """Give the masks of values that are not among the described ones, under their negative values."""
        for layer in self.layers:
            for value in np.setdiff1d(np.unique(layer), [0, *values]).tolist():
                yield OwnMask(-abs(int(value)), np.ascontiguousarray(layer == value))


def beside(path: Path, name: str) -> Path:
    """Find a file that another one names, inside its folder alone.

    Raises:
        BrokenExportError: It is not there, or the name leads out of the folder.
    """
    home = path.parent.resolve()
    found = (home / name.replace("\\", "/")).resolve()
    if not found.is_relative_to(home):
        raise BrokenExportError("a file name leads out of the export's folder", hint="keep volumes beside their JSON")
    if not found.is_file():
        raise BrokenExportError("a volume the file names is not there", hint="copy the whole export, volumes included")
    return path.parent / found.relative_to(home)


def read_volume(path: Path) -> LabelVolume:
    """Read a mask file.

    Values written as 0 and 0.9999 by tools that compute in floating point are rounded.

    Raises:
        BrokenExportError: It cannot be read, or holds values that are no labels.
        UnsupportedAnnotationError: Its format is not read.
    """
    name = path.name.lower()
    if name.endswith(".nrrd"):
        stored = read_nrrd(path)
        return LabelVolume(_whole(stored.array()), stored.geometry)
    if not name.endswith((".nii.gz", ".nii")):
        raise UnsupportedAnnotationError(f"volumes of type {path.suffix}", hint=f"known: {', '.join(SUFFIXES)}")
    try:
        array, geometry = read_nifti(path)
    except DatasetError as error:
        raise BrokenExportError(error.message, hint="export it again") from error
    return LabelVolume(_whole(array)[np.newaxis], geometry)


def read_grid(path: Path) -> Geometry:
    """Read where a mask file lies, without its voxels.

    Raises:
        BrokenExportError: Its header cannot be read.
        UnsupportedAnnotationError: Its format is not read.
    """
    name = path.name.lower()
    if name.endswith(".nrrd"):
        return read_nrrd(path).geometry
    if not name.endswith((".nii.gz", ".nii")):
        raise UnsupportedAnnotationError(f"volumes of type {path.suffix}", hint=f"known: {', '.join(SUFFIXES)}")
    try:
        return read_nifti_grid(path)
    except DatasetError as error:
        raise BrokenExportError(error.message, hint="export it again") from error


def _whole(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype.kind in "iub":
        return array
    rounded = np.rint(array)
    if not np.isfinite(array).all() or float(np.abs(array - rounded).max(initial=0.0)) > _WHOLE:
        raise BrokenExportError("the volume holds values between labels", hint="export labels, not probabilities")
    labels: npt.NDArray[np.int32] = rounded.astype(np.int32)
    return labels


def require_one_grid(geometries: list[Geometry]) -> Geometry:
    """Give the one grid of all files of an annotation.

    Raises:
        BrokenExportError: They differ, or there is none.
    """
    if not geometries:
        raise BrokenExportError("the annotation names no volume", hint="export it with its volumes")
    if not all(geometries[0].same_grid(other, tol_mm=SAME_GRID_MM) for other in geometries[1:]):
        raise BrokenExportError("the volumes of one annotation lie on different grids", hint="export them together")
    return geometries[0]
