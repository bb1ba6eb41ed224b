"""Does a written file hold, at each patient position, the value the DICOM header promises there?

The check takes another way than the conversion: every slice by itself, positions from its own header instead of the
grid, values from single pixels of its file, and voxels from the bytes that were written, read once as a stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.convert.promises import Indices, Terms, comparable, positions_of, promise_of, spread
from racoon_data.dicom.series import Series
from racoon_data.errors import UncertifiedError
from racoon_data.files.nifti_stream import NiftiStream
from racoon_data.geometry import Geometry

_OFFSET_VOXELS = 0.06
_HINT = "nothing was published; report it with the series"
PLAIN = Terms()


@dataclass(frozen=True, slots=True)
class Certificate:
    """What was compared.

    Attributes:
        slices: Slices checked: all of them.
        voxels: Sampled voxels whose value was compared.
        padding_voxels: Sampled voxels that hold padding; only their place was checked.
        largest_offset_voxels: Largest distance of a sampled position from a voxel centre.
        largest_difference: Largest difference of a value.
    """

    slices: int
    voxels: int
    padding_voxels: int
    largest_offset_voxels: float
    largest_difference: float

    def to_json(self) -> dict[str, object]:
        """Give the certificate as a JSON document."""
        return {
            "slices": self.slices,
            "voxels": self.voxels,
            "padding_voxels": self.padding_voxels,
            "largest_offset_voxels": round(self.largest_offset_voxels, 6),
            "largest_difference": float(f"{self.largest_difference:.3g}"),
        }


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read.

    Attributes:
        certificate: What was compared.
        sha256: Hash of the packed bytes.
        size: Their number.
    """

    certificate: Certificate
    sha256: str
    size: int


def certify(path: Path, stacks: Sequence[Series], *, terms: Terms = PLAIN) -> Seen:
    """Check a written NIfTI file against the headers of its slices.

    Args:
        path: The packed file as written.
        stacks: Where it came from: one series for each volume in the file.
        terms: What a value was made to mean.

    Returns:
        What was compared, and the hash of the bytes that were read for it.

    Raises:
        UncertifiedError: A sampled voxel is elsewhere, holds another value, or slices and file differ in size.
        DicomError: A slice cannot be read again.
        DamagedDatasetError: The file does not hold what its own header says.
    """
    stream = NiftiStream(path)
    try:
        certificate = _Check(stream, stacks, terms).certificate()
        return Seen(certificate, *stream.digest)
    finally:
        stream.close()


class _Check:
    """One file under comparison."""

    def __init__(self, stream: NiftiStream, stacks: Sequence[Series], terms: Terms) -> None:
        self.stream, self.terms, self.ref = stream, terms, stacks[0].ref
        self.headers = [header for one in stacks for header in one.slices]
        columns, rows, count = stream.geometry.shape
        is_same = stream.volumes == len(stacks) and all(len(one.slices) == count for one in stacks)
        if not is_same or any((one.rows, one.columns) != (rows, columns) for one in self.headers):
            raise self._error("the file has other voxels than its slices")
        self.rows, self.columns = spread(rows, columns, len(self.headers))
        self.voxels = self.padding = 0
        self.difference = 0.0

    def certificate(self) -> Certificate:
        """Compare place by place and plane by plane."""
        nearest, offset = self._places()
        count = self.stream.geometry.shape[2]
        planes = nearest[:, 0, 2] + np.arange(len(self.headers)) // count * count
        if (nearest[:, :, 2] != nearest[:, :1, 2]).any() or len(set(planes.tolist())) < len(planes):
            raise self._error("several slices share one place in the file")
        for number, plane in zip(np.argsort(planes).tolist(), self.stream.planes(), strict=True):
            self._compare(number, nearest[number], comparable(plane))
        return Certificate(len(self.headers), self.voxels, self.padding, offset, self.difference)

    def _places(self) -> tuple[Indices, float]:
        """Voxel index (i, j, k) of every sampled pixel ``[slice, point]``, and the largest distance from one."""
        geometry: Geometry = self.stream.geometry
        to_index = np.linalg.inv(geometry.matrix)
        index = positions_of(self.headers, self.rows, self.columns) @ to_index[:3, :3].T + to_index[:3, 3]
        nearest = np.rint(index).astype(np.int64)
        off = np.abs(index - nearest).max(axis=(1, 2))
        is_inside = ((nearest >= 0) & (nearest < np.array(geometry.shape))).all(axis=(1, 2))
        wrong = np.flatnonzero(~is_inside | (off > _OFFSET_VOXELS))
        if wrong.size:
            raise self._error(f"slice {wrong[0]} is not where its header says")
        return nearest, float(off.max())

    def _compare(self, number: int, at: Indices, plane: npt.NDArray[Any]) -> None:
        rows, columns = self.rows[number], self.columns[number]
        flat, voxel = rows * plane.shape[1] + columns, at[:, 1] * plane.shape[1] + at[:, 0]
        if (flat == voxel).all():
            extremes = (plane.argmin(), plane.argmax())
            flat, voxel = np.append(flat, extremes), np.append(voxel, extremes)
        promise = promise_of(self.headers[number], flat, self.terms)
        slope, shift = self.stream.header.scale
        apart = np.abs(plane.reshape(-1)[voxel] * np.float64(slope) + shift - promise.values)
        apart[promise.is_padding] = 0.0
        if not (apart <= promise.tolerance).all():
            raise self._error(f"slice {number} holds other values than its header says")
        self.difference = max(self.difference, float(apart.max()))
        self.padding += int(promise.is_padding.sum())
        self.voxels += len(flat) - int(promise.is_padding.sum())

    def _error(self, message: str) -> UncertifiedError:
        return UncertifiedError(message, ref=self.ref, hint=_HINT)
