"""Marks of de-identification in every object, and file meta information without senders."""

from __future__ import annotations

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from racoon_data import __version__
from racoon_data.deid.profile import EDITION, Dates, Profile

# 2.25 and 128 random bits, drawn once: names this software in file meta information.
IMPLEMENTATION_UID = UID("2.25.293461530185741629875014692837461528390")
_VERSION_NAME = f"RACOON {__version__}"[:16]
_LONGITUDINAL = {Dates.MODIFIED: "MODIFIED", Dates.FULL: "UNMODIFIED", Dates.REMOVED: "REMOVED"}


def method(profile: Profile) -> tuple[str, str]:
    """Say how objects are de-identified: software with edition, and profile (at most 64 characters each)."""
    return (f"racoon {__version__}, DICOM {EDITION}", f"profile {profile.name}")


def mark(dataset: Dataset, profile: Profile, receipt: str) -> None:
    """Write the marks of PS3.15 E.1.1 into an object.

    Args:
        dataset: Changed in place.
        profile: Whose options are told in the method code sequence.
        receipt: Keyed mark of input and treatment, so that a later run knows this object is done.
    """
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = [*method(profile), f"receipt {receipt}"]
    dataset.DeidentificationMethodCodeSequence = [_code(value, meaning) for value, meaning in profile.codes]
    dataset.LongitudinalTemporalInformationModified = _LONGITUDINAL[profile.dates]


def receipt_of(dataset: Dataset) -> str:
    """Give the receipt of a de-identified object, empty where it has none."""
    values = dataset.get("DeidentificationMethod") or []
    texts = [values] if isinstance(values, str) else [str(value) for value in values]
    return next((text.removeprefix("receipt ") for text in texts if text.startswith("receipt ")), "")


def own_texts(profile: Profile) -> tuple[bytes, ...]:
    """Give the texts we write ourselves, which are nobody's identifiers."""
    meanings = (meaning for _, meaning in profile.codes)
    return tuple(text.encode("ascii") for text in (*method(profile), *meanings, _VERSION_NAME))


def clean_file_meta(dataset: Dataset) -> FileMetaDataset:
    """Build file meta information anew: no AE titles, no addresses, no private information."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    meta.ImplementationClassUID = IMPLEMENTATION_UID
    meta.ImplementationVersionName = _VERSION_NAME
    return meta


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = "DCM"
    item.CodeMeaning = meaning
    return item
