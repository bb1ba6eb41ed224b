"""A written NIfTI file read again plane by plane, in the memory of one plane, with its hash."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from isal.igzip_lib import DECOMP_GZIP, IgzipDecompressor, IsalError

from racoon_data.errors import DamagedDatasetError
from racoon_data.files.nifti import geometry_of_header, header_of
from racoon_data.files.nifti_header import HEADER_BYTES, Header
from racoon_data.geometry import Geometry

_CHUNK = 1 << 20
_AGAIN = "write it again"


class NiftiStream:
    """A packed NIfTI-1 file, read once from its beginning to its end.

    Attributes:
        header: As the file says.
        geometry: The grid of each volume (mm, LPS).
        volumes: Volumes in the file: 1, or the size of the fourth axis.
    """

    def __init__(self, path: Path) -> None:
        self._name, self._file = path.name, path.open("rb")
        self._digest = hashlib.sha256()
        self._unpacker = IgzipDecompressor(flag=DECOMP_GZIP)
        self._size = 0
        self.header: Header = header_of(self._take(HEADER_BYTES), self._name)
        self.geometry: Geometry = geometry_of_header(self.header, self._name)
        self.volumes = math.prod(self.header.shape[3:])
        self._take(self.header.offset - HEADER_BYTES)

    def planes(self) -> Iterator[npt.NDArray[Any]]:
        """Give plane after plane ``[j, i]``, k first, then volumes; then see that the file ends there.

        Raises:
            DamagedDatasetError: The file is cut, changed, or goes on after its voxels.
        """
        columns, rows, count = self.geometry.shape
        dtype = self.header.dtype
        for _ in range(count * self.volumes):
            data = self._take(columns * rows * dtype.itemsize)
            yield np.frombuffer(data, dtype=dtype).reshape(rows, columns)
        if self._unpack(1) or not self._unpacker.eof or self._file.read(1):
            raise DamagedDatasetError(f"{self._name} holds more than its voxels", hint=_AGAIN)

    @property
    def digest(self) -> tuple[str, int]:
        """SHA-256 and size of the packed bytes, once all planes were given."""
        return self._digest.hexdigest(), self._size

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _take(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            part = self._unpack(count)
            if not part:
                raise DamagedDatasetError(f"{self._name} ends before its voxels do", hint=_AGAIN)
            parts.append(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _unpack(self, most: int) -> bytes:
        try:
            while not self._unpacker.eof:
                chunk = self._file.read(_CHUNK) if self._unpacker.needs_input else b""
                if self._unpacker.needs_input and not chunk:
                    return b""
                self._digest.update(chunk)
                self._size += len(chunk)
                if part := self._unpacker.decompress(chunk, most):
                    return bytes(part)
        except (IsalError, EOFError) as error:  # type: ignore[misc]  # isal's stub calls it a value
            raise DamagedDatasetError(f"{self._name} cannot be unpacked", hint=_AGAIN) from error
        return b""
