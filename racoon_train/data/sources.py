"""Images to predict on: the cases of a dataset, or a folder of NIfTI files named as nnU-Net names them."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from racoon_data.errors import DatasetError, MisalignedChannelsError, NoChannelError, NothingMatchedError
from racoon_data.files.manifest import MANIFEST_NAME, load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.refs import CaseRef
from racoon_train.data.dataset import check_whole, verified

_NAME = re.compile(r"(?P<case>.+?)(?:_(?P<channel>\d{4}))?\.nii(?:\.gz)?")
_WORD = re.compile(r"[A-Za-z0-9][\w.-]{0,100}")


@dataclass(frozen=True, slots=True)
class SourceCase:
    """The images of one case.

    Attributes:
        case_id: Name of the case and stem of what is predicted for it.
        images: One NIfTI file per channel.
        sha256: Checksum by path, where a manifest gives it.
    """

    case_id: str
    images: tuple[Path, ...]
    sha256: tuple[tuple[str, str], ...] = ()

    def read(self, channels: int) -> tuple[npt.NDArray[np.float32], Geometry]:
        """Read the channels: float32 ``[c, k, j, i]`` and their grid.

        Raises:
            DamagedDatasetError: A file is missing, damaged or not the one the manifest lists.
            MisalignedChannelsError: The channels lie on several grids.
            NoChannelError: There are fewer or more channels than the network reads.
        """
        ref = CaseRef(self.case_id)
        if len(self.images) != channels:
            raise NoChannelError(
                f"the network reads {channels} channel(s), the case has {len(self.images)}",
                ref=ref,
                hint="name the files CASE_0000.nii.gz, CASE_0001.nii.gz, ...",
            )
        verified(self.case_id, self.sha256)
        arrays, grids = zip(*(read_nifti(path) for path in self.images), strict=True)
        if not all(grid.same_grid(grids[0], tol_mm=SAME_GRID_MM) for grid in grids[1:]):
            raise MisalignedChannelsError("the channels lie on several grids", ref=ref, hint="harmonize them first")
        stacked = np.stack([array.astype(np.float32) for array in arrays])
        if not np.isfinite(stacked).all():
            raise DatasetError("the image holds values that are not finite", ref=ref, hint="convert it again")
        return stacked, grids[0]


def source_cases(source: Path, *, split: str = "all") -> tuple[SourceCase, ...]:
    """List what is to be predicted, sorted by name.

    Args:
        source: A dataset (with ``racoon.json``), a folder of ``.nii.gz`` or ``.nii`` files
            (``CASE_0000.nii.gz``, ``CASE_0001.nii.gz`` by channel, or ``CASE.nii.gz``), or one such file.
        split: Of a dataset: ``train``, ``test`` or ``all``.

    Raises:
        DamagedDatasetError: The manifest does not fit its own hash.
        NothingMatchedError: There is no image.
        SchemaError: The manifest does not validate.
    """
    found = _of_dataset(source, split) if (source / MANIFEST_NAME).is_file() else _of_folder(source)
    if not found:
        raise NothingMatchedError(f"{source.name} holds no image", hint="name a dataset, or a folder of .nii.gz files")
    return found


def _of_dataset(root: Path, split: str) -> tuple[SourceCase, ...]:
    manifest = load_manifest(root)
    check_whole(root, manifest)
    return tuple(
        SourceCase(
            record.case_id,
            tuple(root / name for name in record.images),
            tuple((str(root / name), record.sha256[name]) for name in record.images if name in record.sha256),
        )
        for record in sorted(manifest.cases, key=lambda record: record.case_id)
        if split in ("all", record.split)
    )


def _of_folder(source: Path) -> tuple[SourceCase, ...]:
    files = [source] if source.is_file() else sorted(path for path in source.glob("*") if path.is_file())
    by_case: dict[str, list[Path]] = defaultdict(list)
    for path in files:
        match = _NAME.fullmatch(path.name)
        if match and _WORD.fullmatch(match["case"]):
            by_case[match["case"]].append(path)
    return tuple(SourceCase(case, tuple(paths)) for case, paths in sorted(by_case.items()))
