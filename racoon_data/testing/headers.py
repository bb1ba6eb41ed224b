"""Headers of synthetic images: every attribute the standard requires, and an identity to remove."""

from __future__ import annotations

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
)

from racoon_data.testing.series_plan import Person, SeriesPlan

SOP_CLASSES = {"CT": CTImageStorage, "MR": MRImageStorage, "PT": PositronEmissionTomographyImageStorage}
CHARACTER_SET = "ISO_IR 100"
_TIME = "101500"
_PRIVATE_CREATOR = "RACOON PHANTOM HEADER"


def series_header(plan: SeriesPlan) -> Dataset:
    """Build what all slices of a series share."""
    header = Dataset()
    header.SOPClassUID = SOP_CLASSES[plan.modality]
    add_patient_and_study(header, plan)
    _add_equipment(header, plan)
    _add_series(header, plan)
    _add_pixels(header, plan)
    {"CT": _add_ct, "MR": _add_mr, "PT": _add_pt}[plan.modality](header, plan)
    if plan.has_private_tags:
        block = header.private_block(0x0029, _PRIVATE_CREATOR, create=True)
        block.add_new(0x01, "LO", plan.person.name)
        block.add_new(0x02, "UI", plan.study)
    return header


def file_meta(header: Dataset) -> FileMetaDataset:
    """Build the file meta information of an object, explicit VR little endian."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta


def add_patient_and_study(header: Dataset, plan: SeriesPlan) -> None:
    """Write the patient and study modules, equal in all objects of a study."""
    person: Person = plan.person
    header.SpecificCharacterSet = CHARACTER_SET
    header.PatientID = plan.patient_id
    header.PatientName = person.name
    header.PatientBirthDate = person.birth_date
    header.PatientSex = person.sex
    header.PatientAge = person.age
    header.StudyInstanceUID = plan.study
    header.StudyDate = person.study_date
    header.StudyTime = _TIME
    header.StudyID = "1"
    header.AccessionNumber = person.accession_number
    header.ReferringPhysicianName = person.referring_physician
    header.StudyDescription = "CT Thorax" if plan.modality == "CT" else f"{plan.modality} study"
    header.FrameOfReferenceUID = plan.frame
    header.PositionReferenceIndicator = ""


def _add_equipment(header: Dataset, plan: SeriesPlan) -> None:
    header.Manufacturer = plan.manufacturer
    header.ManufacturerModelName = "Phantom One"
    header.DeviceSerialNumber = "4711"
    header.StationName = "CTROOM1"
    header.SoftwareVersions = "1.0"
    header.InstitutionName = plan.person.institution
    header.InstitutionAddress = plan.person.address
    header.OperatorsName = plan.person.operator


def _add_series(header: Dataset, plan: SeriesPlan) -> None:
    header.Modality = plan.modality
    header.SeriesInstanceUID = plan.series
    header.SeriesNumber = plan.series_number
    header.SeriesDescription = plan.description
    header.SeriesDate = header.AcquisitionDate = header.ContentDate = plan.person.study_date
    header.SeriesTime = header.AcquisitionTime = header.ContentTime = _TIME
    header.BodyPartExamined = "CHEST"
    header.PatientPosition = plan.position
    header.AcquisitionNumber = 1
    header.ImageType = list(plan.image_type)


def _add_pixels(header: Dataset, plan: SeriesPlan) -> None:
    between_rows, between_columns, between_slices = plan.spacing_mm
    header.SamplesPerPixel = 1
    header.PhotometricInterpretation = "MONOCHROME2"
    header.Rows, header.Columns = plan.rows, plan.columns
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit = 15
    header.PixelRepresentation = 0 if plan.modality == "MR" else 1
    header.PixelSpacing = [between_rows, between_columns]
    header.SliceThickness = between_slices
    header.ImageOrientationPatient = [round(float(value), 10) for value in plan.cosines]


def _add_ct(header: Dataset, plan: SeriesPlan) -> None:
    header.KVP = 120
    header.XRayTubeCurrent = 200
    header.ExposureTime = 500
    header.ConvolutionKernel = plan.kernel
    header.RescaleIntercept, header.RescaleSlope = plan.offset, plan.slope
    header.RescaleType = "HU"
    header.WindowCenter, header.WindowWidth = -500, 1500


def _add_mr(header: Dataset, plan: SeriesPlan) -> None:
    header.ScanningSequence, header.SequenceVariant = "SE", "NONE"
    header.ScanOptions = ""
    header.MRAcquisitionType = "2D"
    header.RepetitionTime, header.EchoTime = 500, 12
    header.EchoTrainLength = 1
    header.MagneticFieldStrength = 1.5


def _add_pt(header: Dataset, plan: SeriesPlan) -> None:
    header.ImageType = ["ORIGINAL", "PRIMARY"]
    header.Units, header.CountsSource, header.SeriesType = "BQML", "EMISSION", ["WHOLE BODY", "IMAGE"]
    header.NumberOfSlices = plan.slices - len(plan.missing)
    header.DecayCorrection, header.CollimatorType = "START", "NONE"
    header.CorrectedImage = ["DECY", "ATTN", "SCAT"]
    header.FrameReferenceTime, header.ActualFrameDuration, header.DecayFactor = 0, 120000, 1
    header.RescaleIntercept, header.RescaleSlope = plan.offset, plan.slope
    header.PatientWeight = 70
    tracer = Dataset()
    tracer.RadiopharmaceuticalStartTime = "091500"
    tracer.RadionuclideTotalDose, tracer.RadionuclideHalfLife = 300e6, 6586.2
    tracer.RadionuclideCodeSequence = []
    header.RadiopharmaceuticalInformationSequence = [tracer]
    # part 3, C.8.4.6: where these sequences are present PatientPosition shall not be
    del header.PatientPosition
    header.PatientOrientationCodeSequence = []
    header.PatientGantryRelationshipCodeSequence = []
