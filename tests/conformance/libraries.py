"""Peers that are Python libraries: a folder to ``.npz`` files, in a process of its own."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
Matrix = npt.NDArray[np.float64]


def _save(out: Path, name: str, array: npt.NDArray[np.float64], affine_lps: Matrix) -> None:
    is_colour = array.ndim == 4 and array.shape[-1] == 3
    planes = np.ascontiguousarray(array.astype(np.uint8)).view(_RGB)[..., 0] if is_colour else array
    np.savez(out / f"{name}.npz", array=planes, affine_lps=affine_lps)


def by_simpleitk(source: Path, out: Path) -> None:
    """Read each series with ITK's series reader; a multi-frame file as one image."""
    import SimpleITK as sitk  # noqa: N813

    reader = sitk.ImageSeriesReader()
    for number, folder in enumerate([source, *(path for path in source.rglob("*") if path.is_dir())]):
        for uid in reader.GetGDCMSeriesIDs(str(folder)):
            names = reader.GetGDCMSeriesFileNames(str(folder), uid)
            image = sitk.ReadImage(names if len(names) > 1 else names[0])
            affine = np.eye(4)
            affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
            affine[:3, 3] = image.GetOrigin()
            array = sitk.GetArrayFromImage(image)
            _save(out, f"{number}_{uid}", array, affine)


def by_highdicom(source: Path, out: Path) -> None:
    """Read each series with ``get_volume_from_series``, a multi-frame file with ``get_volume``."""
    import highdicom
    import pydicom

    by_series = defaultdict(list)
    for path in sorted(source.rglob("*")):
        if path.is_file():
            dataset = pydicom.dcmread(path)
            by_series[dataset.SeriesInstanceUID].append((path, dataset))
    for number, files in enumerate(by_series.values()):
        if "PixelData" not in files[0][1] and "FloatPixelData" not in files[0][1]:
            continue
        if "PerFrameFunctionalGroupsSequence" in files[0][1]:
            volumes = [highdicom.imread(path).get_volume() for path, _ in files]
        else:
            volumes = [highdicom.get_volume_from_series([dataset for _, dataset in files])]
        for n, volume in enumerate(volumes):
            # Its affine is for k, j, i.
            _save(out, f"{number}_{n}", np.asarray(volume.array), volume.affine[:, [2, 1, 0, 3]])


if __name__ == "__main__":
    name, source, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    if name == "SimpleITK":
        by_simpleitk(source, out)
    else:
        by_highdicom(source, out)
