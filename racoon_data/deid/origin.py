"""What the vault must know of an object before it is cleaned, to find the way back."""

from __future__ import annotations

from racoon_data.deid.pseudonyms import Pseudonymizer, is_public_uid
from racoon_data.deid.register import Original
from racoon_data.dicom.opened import OpenedFile

PERSON = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")
EXAMINATION = ("StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber")


def original_of(opened: OpenedFile, names: Pseudonymizer) -> Original:
    """Collect who and what an object came from.

    Args:
        opened: The identified object.
        names: Pseudonyms under the site's key.
    """
    return Original(
        patient=names.patient(opened.text("PatientID")),
        study=names.uid(opened.text("StudyInstanceUID")),
        person={keyword: opened.text(keyword) for keyword in PERSON},
        examination={keyword: opened.text(keyword) for keyword in EXAMINATION},
        uids={names.uid(uid): uid for uid in sorted(set(opened.tree.uids())) if not is_public_uid(uid)},
    )
