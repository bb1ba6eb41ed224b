"""After the door everything still points at what it pointed at, and reads with other people's tools."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from racoon_data.deid.door import Door, deidentify_files
from tests.deid.conftest import KEY
from tests.deid.samples import Study, a_study, passed, values_of
from tests.deid.test_kinds import errors_in

SHIFTED = (
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "StructureSetDate",
    "ObservationDateTime",
    "PresentationCreationDate",
)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """One examination, identified."""
    return a_study(tmp_path_factory.mktemp("study"))


def _read(study: Study, door: Door) -> dict[str, Dataset]:
    values = passed(study.paths, door)
    return {original.name: pydicom.dcmread(value.path) for original, value in zip(study.paths, values, strict=True)}


def test_every_reference_resolves(study: Study, door: Door):
    """SEG, SR and RTSTRUCT reference exactly the same images as before, under their new UIDs."""
    after = _read(study, door)
    uid = door.pseudonymizer.uid
    present = {str(dataset.SOPInstanceUID) for dataset in after.values()}

    for path in (study.seg, study.sr, study.rtstruct, study.state):
        old = values_of(pydicom.dcmread(path), "ReferencedSOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
                        "ReferencedFrameOfReferenceUID", "TrackingUID", "UID")  # fmt: skip
        new = values_of(after[path.name], "ReferencedSOPInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID",
                        "ReferencedFrameOfReferenceUID", "TrackingUID", "UID")  # fmt: skip
        targets = values_of(after[path.name], "ReferencedSOPInstanceUID")
        assert new == [uid(str(one)) for one in old]
        assert targets
        # RT structure sets name the study by its retired SOP class beside the images
        assert {str(one) for one in targets} - present <= {str(after[path.name].StudyInstanceUID)}


def test_frames_of_reference_agree(study: Study, door: Door):
    """Image, segmentation and contours stay in one patient coordinate system."""
    after = _read(study, door)
    frames = {str(value) for data in after.values() for value in values_of(data, "FrameOfReferenceUID")}

    assert len(frames) == 1
    assert frames.pop().startswith("2.25.")


def test_highdicom_reads_the_segmentation(study: Study, door: Door):
    """highdicom gives the same pixels and the same segment descriptions."""
    after = _read(study, door)
    old, new = highdicom.seg.segread(study.seg), highdicom.seg.Segmentation.from_dataset(after[study.seg.name])

    for number, label in ((1, "GGO left"), (2, "Consolidation")):
        assert new.get_segment_description(number).segment_label == label
        assert (
            new.get_segment_description(number).segmented_property_type
            == old.get_segment_description(number).segmented_property_type
        )
    sources = [str(after[path.name].SOPInstanceUID) for path in study.images]
    old_sources = [str(pydicom.dcmread(path).SOPInstanceUID) for path in study.images]
    assert np.array_equal(
        new.get_pixels_by_source_instance(sources, ignore_spatial_locations=False),
        old.get_pixels_by_source_instance(old_sources, ignore_spatial_locations=False),
    )


def test_report_keeps_numbers_and_codes(study: Study, door: Door):
    """Every number, unit and code of the report is equal; the reader is a pseudonym; highdicom reads it."""
    old, new = pydicom.dcmread(study.sr), _read(study, door)[study.sr.name]
    report = highdicom.sr.Comprehensive3DSR.from_dataset(new)
    groups = report.content.get_volumetric_roi_measurement_groups() or report.content.get_image_measurement_groups()

    for keyword in ("NumericValue", "CodeValue", "CodingSchemeDesignator", "CodeMeaning", "ReferencedSegmentNumber"):
        assert _in_content(new, keyword) == _in_content(old, keyword)
    assert len(groups) == 2
    assert [str(name) for name in values_of(new, "PersonName")] == [door.pseudonymizer.reader("Leser^Lena")]


def _in_content(report: Dataset, keyword: str) -> list[object]:
    return [value for item in report.ContentSequence for value in values_of(item, keyword)]


def test_intervals_are_exact_at_every_depth(study: Study, door: Door):
    """All dates of a patient move by the same whole days; times of day stay."""
    after = _read(study, door)
    moves = set()
    for path in study.paths:
        old, new = values_of(pydicom.dcmread(path), *SHIFTED), values_of(after[path.name], *SHIFTED)
        assert len(old) == len(new)
        moves |= {_day(later) - _day(earlier) for earlier, later in zip(old, new, strict=True) if earlier}

    assert {move.days for move in moves} == {door.pseudonymizer.day_offset("MUSTER-0001")}


def _day(value: object) -> datetime:
    return datetime.strptime(str(value)[:8], "%Y%m%d")


def test_order_and_process_do_not_matter(study: Study, door: Door, tmp_path: Path):
    """Another process, given the files in another order, writes the same bytes."""
    first = {value.ref: value.path.read_bytes() for value in passed(study.paths, door)}
    shuffled = list(study.paths)
    random.Random(7).shuffle(shuffled)
    code = (
        "import sys; from pathlib import Path\n"
        "from racoon_data.deid.door import Door, deidentify_files\n"
        "from racoon_data.deid.profile import Profile\n"
        "from racoon_data.deid.pseudonyms import Pseudonymizer\n"
        f"names = Pseudonymizer(bytes.fromhex('{KEY.hex()}'))\n"
        "deidentify_files([Path(p) for p in sys.argv[2:]], Door(Path(sys.argv[1]), None, Profile(), names, None))\n"
    )
    other = replace(door, out=tmp_path / "other")

    subprocess.run([sys.executable, "-c", code, str(other.out), *map(str, shuffled)], check=True)

    second = {path.name: path.read_bytes() for path in other.out.rglob("*.dcm")}
    assert second == {f"{ref.sop_uid}.dcm": data for ref, data in first.items()}


@pytest.mark.slow
def test_workers_write_the_same_bytes(study: Study, door: Door, tmp_path: Path):
    """Two worker processes give the same files and the same results in the same order."""
    other = replace(door, out=tmp_path / "other", audit=None)
    alone = [value.path.read_bytes() for value in passed(study.paths, door)]

    results = deidentify_files(study.paths, other, workers=2)

    assert [result.value.path.read_bytes() for result in results if result.value] == alone


@pytest.mark.peers("dciodvfy")
def test_validator_finds_no_new_error(study: Study, door: Door):
    """dciodvfy accepts each object as it accepted the original."""
    for path, value in zip(study.paths, passed(study.paths, door), strict=True):
        assert errors_in(value.path) <= errors_in(path), path.name
