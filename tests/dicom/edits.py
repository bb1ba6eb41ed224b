"""Changes to made files, for tests of strange but possible input."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pydicom

from racoon_data.dicom.series import Series
from racoon_data.dicom.sorting import files_under, sort_files


def edit(paths: Iterable[Path], change: Callable[[pydicom.Dataset], object]) -> None:
    """Change data sets in place."""
    for path in paths:
        dataset = pydicom.dcmread(path)
        change(dataset)
        dataset.save_as(path)


def sorted_series(folder: Path) -> tuple[Series, ...]:
    """Sort a folder and give its series."""
    return sort_files(files_under(folder), root=folder).series


def one_series(folder: Path) -> Series:
    """Sort a folder that holds one volume."""
    (series,) = sorted_series(folder)
    return series
