"""Withdrawn consent: a patient leaves spool, work, quarantine and vault, and never comes in again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.register import Register
from racoon_data.dicom.headers import read_dataset, text_of
from racoon_data.documents import read_json
from racoon_data.errors import DicomError
from racoon_data.refs import StudyRef
from racoon_data.site.audit import AuditLog
from racoon_data.site.ledger import Ledger
from racoon_data.site.paths import Site

PUBLISHED = "publish"
_LONGEST_CARD = 1 << 20


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What a patient has at a site.

    Attributes:
        patient: The pseudonym.
        files: Identified and de-identified files that go, with their folders.
        studies: Studies (original UIDs) that leave the ledger.
        datasets: Datasets that hold cases of the patient; their next version will not.
        models: Models trained with one of these datasets; they cannot forget and are named.
        unread: Files in quarantine that name no patient anybody can read; a person looks at them.
    """

    patient: str
    files: tuple[Path, ...]
    studies: tuple[StudyRef, ...]
    datasets: tuple[str, ...]
    models: tuple[str, ...]
    unread: tuple[Path, ...]


def what_to_forget(site: Site, patient: str, names: Pseudonymizer) -> Forgetting:
    """Find everything a site holds of a patient, without changing anything.

    Args:
        site: The site.
        patient: The patient's pseudonym.
        names: Pseudonyms under the site's key.
    """
    spooled = [folder for folder in _folders(site.spool) if _is_of(folder, patient, names)]
    waiting = {path: _patient_at(path, names) for path in sorted(site.quarantine.glob("*.dcm"))}
    held = [copy for copy, found in waiting.items() if found == patient]
    work = [site.work / patient] if (site.work / patient).is_dir() else []
    datasets = [(name, digest) for name, digest, patients in _datasets(site) if patient in patients]
    return Forgetting(
        patient=patient,
        files=(*spooled, *held, *(copy.with_suffix(".json") for copy in held), *work),
        studies=tuple(StudyRef(folder.name) for folder in spooled),
        datasets=tuple(sorted({name for name, _ in datasets})),
        models=tuple(_models(site, frozenset(digest for _, digest in datasets))),
        unread=tuple(path for path, found in waiting.items() if not found),
    )


def forget(site: Site, found: Forgetting, *, register: Register, audit: AuditLog) -> None:
    """Remove what was found, close the door to the patient, and log it.

    Interrupted, it is repeated whole: each part may have happened already.

    Args:
        site: The site.
        found: What ``what_to_forget`` listed.
        register: The vault's table.
        audit: Log that receives the pseudonym and counts.
    """
    register.forget(found.patient)  # first, so that nothing comes in again meanwhile
    for path in found.files:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    with Ledger(site.ledger) as ledger:
        for study in found.studies:
            ledger.erase(study)
    audit.append(
        "forget",
        patient=found.patient,
        files=len(found.files),
        studies=len(found.studies),
        datasets=", ".join(found.datasets),
        models=", ".join(found.models),
    )


def _folders(parent: Path) -> Iterator[Path]:
    return (folder for folder in sorted(parent.glob("*")) if folder.is_dir() and not folder.is_symlink())


def _is_of(study: Path, patient: str, names: Pseudonymizer) -> bool:
    """A study is the patient's where any of its files is: one stranger among them makes it theirs too."""
    return any(_patient_at(path, names) == patient for path in sorted(study.rglob("*")) if path.is_file())


def _patient_at(path: Path, names: Pseudonymizer) -> str:
    try:
        patient_id = text_of(read_dataset(path, tags=["PatientID"]), "PatientID")
    except DicomError:
        return ""
    return names.patient(patient_id) if patient_id else ""


def _datasets(site: Site) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Name, hash and patients of every dataset this site ever published."""
    with Ledger(site.ledger) as ledger:
        for digest, document in ledger.recalled(PUBLISHED):
            yield document["name"], digest, frozenset(document["patients"])


def _models(site: Site, datasets: frozenset[str]) -> Iterator[str]:
    """Name every model under the site whose card lists one of the datasets."""
    for card in sorted(site.root.rglob("*.json")):
        if card.is_relative_to(site.datasets) or card.stat().st_size > _LONGEST_CARD:
            continue
        try:
            document = read_json(card)
        except (ValueError, OSError):
            continue
        trained_on = document.get("datasets") if isinstance(document, dict) else None
        if isinstance(trained_on, dict) and datasets & set(map(str, trained_on.values())):
            yield str(card.relative_to(site.root).with_suffix(""))
