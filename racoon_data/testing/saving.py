"""Saving synthetic objects so that the same plan gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID

from racoon_data.files.atomic import whole_file
from racoon_data.testing.headers import CHARACTER_SET, file_meta

_CLOCK = {"DA": "20200318", "TM": "090000", "DT": "20200318090000"}
_CLOCKED = frozenset(
    ("ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime", "SeriesDate", "SeriesTime")
)


def save(dataset: Dataset, path: Path) -> None:
    """Write a dataset as a DICOM file, whole or not at all."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = file_meta(dataset)
    dataset.SpecificCharacterSet = CHARACTER_SET
    with whole_file(path) as partial:
        dataset.save_as(partial, enforce_file_format=True)


def settle(dataset: Dataset, replaced_uids: Mapping[str, str] | None = None) -> None:
    """Take clock and chance out of an object that highdicom built.

    Args:
        dataset: Changed in place: dates of writing become fixed ones, and SR observation times too.
        replaced_uids: Random UID to the made one that takes its place everywhere.
    """
    uids = replaced_uids or {}
    for element in dataset.iterall():
        if element.keyword in _CLOCKED or element.keyword in ("ObservationDateTime", "ContributionDateTime"):
            element.value = _CLOCK[element.VR]
        elif element.VR == "UI" and isinstance(element.value, str) and element.value in uids:
            element.value = UID(uids[element.value])
