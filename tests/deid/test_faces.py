"""Images of a head are marked as carrying a face, and the mark reaches whoever selects series."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest

from racoon_data.deid.door import Door
from racoon_data.deid.profile import Profile
from racoon_data.dicom.sorting import sort_files
from tests.deid.pictures import item
from tests.deid.samples import passed
from tests.deid.test_door import a_file

HEAD = item(CodeValue="69536005", CodingSchemeDesignator="SCT", CodeMeaning="Head")
CHEST = {"BodyPartExamined": "CHEST", "ProtocolName": "Thorax", "StudyDescription": "CT Thorax"}


@pytest.mark.parametrize(
    "changes",
    [
        {"BodyPartExamined": "HEAD"},
        {"BodyPartExamined": "Whole Body"},
        {"ProtocolName": "CCT_nativ"},
        {"SeriesDescription": "Schädel axial", "SpecificCharacterSet": "ISO_IR 100"},
        {"StudyDescription": "MR BRAIN"},
        {"AnatomicRegionSequence": [HEAD]},
    ],
)
@pytest.mark.parametrize("clean", [True, False])
def test_heads_are_marked(tmp_path: Path, door: Door, changes: dict[str, Any], clean: bool):
    """By body part, region code or a word of a description, also where the profile takes descriptions out."""
    path = a_file(tmp_path / "in", **{**CHEST, **changes})

    (value,) = passed([path], replace(door, profile=Profile(clean_descriptors=clean)))
    after = pydicom.dcmread(value.path)

    assert value.has_face
    assert after.RecognizableVisualFeatures == "YES"
    assert "113102" not in [code.CodeValue for code in after.DeidentificationMethodCodeSequence]
    (again,) = passed([path], replace(door, profile=Profile(clean_descriptors=clean)))
    assert (again.is_resumed, again.has_face) == (True, True)


@pytest.mark.parametrize("changes", [{}, {"Modality": "PT", "BodyPartExamined": "HEAD"}, {"ProtocolName": "Ahead"}])
def test_other_images_are_not_marked(tmp_path: Path, door: Door, changes: dict[str, Any]):
    """A chest, a PET, a word that only contains head: no mark."""
    (value,) = passed([a_file(tmp_path / "in", **{**CHEST, **changes})], door)

    assert not value.has_face
    assert "RecognizableVisualFeatures" not in pydicom.dcmread(value.path)


def test_the_mark_reaches_the_series(tmp_path: Path, door: Door):
    """Sorting tells of a series that it shows a face; the case rule and the sidecar read it there."""
    (value,) = passed([a_file(tmp_path / "in", **{**CHEST, "BodyPartExamined": "HEAD"})], door)

    (series,) = sort_files([value.path], root=door.out).series

    assert series.acquisition.has_face
