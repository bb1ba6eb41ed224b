"""What the vault must know of an object before it is cleaned, to find the way back."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from racoon_data.deid.pseudonyms import Pseudonymizer, is_public_uid
from racoon_data.deid.register import Original
from racoon_data.deid.rules import vr_of
from racoon_data.dicom.headers import text_of

PERSON = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")
EXAMINATION = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber")


def original_of(dataset: Dataset, names: Pseudonymizer) -> Original:
    """Collect who and what an object came from.

    Args:
        dataset: The identified object.
        names: Pseudonyms under the site's key.
    """
    return Original(
        patient=names.patient(text_of(dataset, "PatientID")),
        study=names.uid(text_of(dataset, "StudyInstanceUID")),
        person={keyword: text_of(dataset, keyword) for keyword in PERSON},
        examination={keyword: text_of(dataset, keyword) for keyword in EXAMINATION},
        uids={names.uid(uid): uid for uid in sorted(set(_uids(dataset))) if not is_public_uid(uid)},
    )


def _uids(dataset: Dataset) -> Iterator[str]:
    """Read every UID at every depth, converting nothing else."""
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        vr = (element.VR if element is not None else None) or vr_of(int(tag))
        if tag.is_private or vr not in ("UI", "SQ"):
            continue
        if vr == "UI":
            raw = element.value if element is not None else None
            texts = raw.decode("ascii", "ignore").split("\\") if isinstance(raw, bytes) else _listed(raw)
            yield from (text.strip("\0 ") for text in texts if text.strip("\0 "))
        else:
            for item in dataset[tag].value or ():
                yield from _uids(item)


def _listed(value: object) -> list[str]:
    if value is None:
        return []
    return [str(value)] if isinstance(value, str) else [str(one) for one in value]  # type: ignore[attr-defined]
