"""A CT series and its DICOM SEG in a folder: sort, link, read, and measure each segment in millilitres."""

import sys
from pathlib import Path

import numpy as np

from racoon_data.annotations.linking import link
from racoon_data.annotations.read import read_annotation
from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import geometry_of
from racoon_data.testing.makers import a_seg, a_series


def main(folder: Path) -> None:
    """Write a synthetic series with a segmentation, then read both as if they came from a hospital."""
    series = a_series(folder / "ct", slices=12)
    lesion = np.zeros(series.truth.array.shape, dtype=bool)
    lesion[4:8, 10:20, 12:24] = True
    a_seg(folder / "seg", series, {"Consolidation": lesion})

    found = sort_files(files_under(folder), root=folder)
    for pair in link(found.series, found.annotations).pairs:
        assert pair.series is not None
        grid = geometry_of(pair.series)
        for outlined in read_annotation(pair, grid).masks:
            print(f"{outlined.segment.name}: {outlined.mask.sum() * grid.voxel_ml:.2f} ml")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "example"))
