"""Public patients: images and geometry equal, SUV computable, structure sets still on their images."""

from __future__ import annotations

from pathlib import Path

import pydicom
import pytest

from racoon_data.deid.door import DeidentifiedInstance, Door, deidentify_files
from tests.deid.samples import passed, values_of

pytestmark = pytest.mark.real

PATIENTS = ("STS_008", "STS_025", "STS_042")
GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "Rows", "Columns",
            "RescaleSlope", "RescaleIntercept", "Modality", "PatientPosition", "ImageType")  # fmt: skip
SUV = ("Units", "DecayCorrection", "CorrectedImage", "PatientWeight", "SeriesTime", "AcquisitionTime", "RescaleSlope",
       "RadiopharmaceuticalStartTime", "RadionuclideTotalDose", "RadionuclideHalfLife", "DecayFactor")  # fmt: skip


def _files(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(path for path in folder.rglob("*.dcm") if path.is_file()))


@pytest.mark.parametrize("patient", PATIENTS)
def test_pixels_and_geometry_are_equal(real_data: Path, door: Door, patient: str):
    """Every slice of CT, PET and MR has the same pixel bytes and lies where it lay."""
    for value in passed(_files(real_data / "sts" / patient / "dicom")[::5], door):
        old, new = _pair(real_data, value)
        if "PixelData" in old:
            assert new.PixelData == old.PixelData
        for keyword in GEOMETRY:
            assert new.get(keyword) == old.get(keyword), keyword


def _pair(real_data: Path, value: DeidentifiedInstance) -> tuple[pydicom.Dataset, pydicom.Dataset]:
    return _by_uid(real_data)[value.original.sop_uid], pydicom.dcmread(value.path)


_CACHE: dict[str, pydicom.Dataset] = {}


def _by_uid(real_data: Path) -> dict[str, pydicom.Dataset]:
    if not _CACHE:
        found = (pydicom.dcmread(path) for path in _files(real_data / "sts"))
        _CACHE.update({str(dataset.SOPInstanceUID): dataset for dataset in found})
    return _CACHE


def test_suv_stays_computable(real_data: Path, door: Door):
    """Weight, dose, half-life and the times between injection and scan survive; dates move together."""
    path = _files(real_data / "sts" / "STS_008" / "dicom" / "PET" / "image")[0]
    value = passed([path], door)[0]
    old, new = _pair(real_data, value)

    for keyword in SUV:
        assert values_of(new, keyword) == values_of(old, keyword), keyword
    assert values_of(new, "Units") == ["GML"]


@pytest.mark.parametrize("modality", ["CT", "PET", "MR_T1"])
def test_structure_sets_stay_on_their_images(real_data: Path, door: Door, modality: str):
    """The structure set names the series that came out beside it, in the same frame of reference."""
    folder = real_data / "sts" / "STS_042" / "dicom" / modality
    images = passed(_files(folder / "image"), door)
    (structures,) = passed(_files(folder / "mask"), door)
    old, new = _pair(real_data, structures)

    # these public structure sets name their images by series; their instance UIDs dangle in the original too
    assert images[0].ref.series_uid in values_of(new, "SeriesInstanceUID")
    mapped = [door.pseudonymizer.uid(uid) for uid in values_of(old, "ReferencedSOPInstanceUID")]
    assert values_of(new, "ReferencedSOPInstanceUID") == mapped
    assert structures.patient == images[0].patient
    assert [roi.ROIName for roi in new.StructureSetROISequence] == ["GTV_Mass"]
    frame = pydicom.dcmread(images[0].path).FrameOfReferenceUID
    assert frame in values_of(new, "ReferencedFrameOfReferenceUID", "FrameOfReferenceUID")


def test_third_party_objects_pass(real_data: Path, door: Door):
    """Segmentations, reports and value maps of other tools come through with all references intact."""
    paths = [*_files(real_data / "dcmqi"), *_files(real_data / "highdicom")]
    for path, result in zip(paths, deidentify_files(paths, door), strict=True):
        assert result.value is not None, (path.name, result.outcome)
        old, new = pydicom.dcmread(path), pydicom.dcmread(result.value.path)
        mapped = [door.pseudonymizer.uid(str(uid)) for uid in values_of(old, "ReferencedSOPInstanceUID")]
        assert values_of(new, "ReferencedSOPInstanceUID") == mapped
        assert values_of(new, "NumericValue") == values_of(old, "NumericValue")
        assert values_of(new, "SegmentLabel") == values_of(old, "SegmentLabel")
