"""A study whose objects point at each other, and what to compare before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from racoon_data.deid.door import DeidentifiedInstance, Door, deidentify_files
from racoon_data.labels import CodedConcept
from racoon_data.testing.makers import Measured, a_seg, a_series, an_rtstruct, an_sr, rectangle
from tests.deid.pictures import a_gsps

GGO = CodedConcept("50196008", "SCT", "Ground-glass opacity")


@dataclass(frozen=True)
class Study:
    """Files of one examination.

    Attributes:
        images: CT slices.
        seg: Segmentation of two lesions.
        sr: TID 1500 report on them.
        rtstruct: Contours of one.
        state: Presentation state of the first slice.
    """

    images: tuple[Path, ...]
    seg: Path
    sr: Path
    rtstruct: Path
    state: Path

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return (*self.images, self.seg, self.sr, self.rtstruct, self.state)


def a_study(folder: Path) -> Study:
    """Write a CT of four slices with SEG, SR and RTSTRUCT beside it."""
    series = a_series(folder / "ct", slices=4, rows=8, columns=8, has_private_tags=True)
    mask = np.zeros((4, 8, 8), dtype=bool)
    mask[1:3, 2:5, 2:5] = True
    (seg,) = a_seg(folder, series, {"GGO left": mask, "Consolidation": mask[::-1]})
    measured = [Measured("GGO left", GGO, 12.5, -640.0), Measured("Consolidation", GGO, 3.25, 12.0)]
    sr, _ = an_sr(folder, series, measured, segs=[seg])
    rtstruct, _ = an_rtstruct(folder, series, {"GTV links": [rectangle(1, columns=(1, 4), rows=(1, 4))]})
    return Study(series.paths, seg.path, sr, rtstruct, a_gsps(folder, series.paths[0]))


def passed(paths: list[Path] | tuple[Path, ...], door: Door) -> tuple[DeidentifiedInstance, ...]:
    """Take files through the door; each must pass."""
    results = deidentify_files(paths, door)
    values = tuple(result.value for result in results if result.value is not None)
    assert len(values) == len(paths), [result.outcome for result in results if result.value is None]
    return values


def passed_one(path: Path, door: Door) -> Dataset:
    """Take one file through the door and read what came out."""
    return pydicom.dcmread(passed([path], door)[0].path)


def values_of(dataset: Dataset, *keywords: str) -> list[Any]:
    """List the values of attributes at every depth, in order."""
    return [element.value for element in dataset.iterall() if element.keyword in keywords]
