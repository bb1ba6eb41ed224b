"""Withdrawn consent: a patient leaves spool, work, quarantine and vault, and never comes in again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.register import Register
from racoon_data.dicom.headers import read_dataset, texts_of
from racoon_data.documents import read_json
from racoon_data.errors import DicomError
from racoon_data.refs import StudyRef
from racoon_data.site.audit import AuditLog
from racoon_data.site.ledger import Ledger
from racoon_data.site.paths import Site

PUBLISHED = "publish"
_LONGEST_CARD = 1 << 20
_CACHE_DIGITS = 32  # a cache of training is a folder named by the start of its dataset's hash, and a layout


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


def what_to_forget(site: Site, patient: str, names: Pseudonymizer, register: Register) -> Forgetting:
    """Find everything a site holds of a patient, without changing anything.

    Args:
        site: The site.
        patient: The patient's pseudonym.
        names: Pseudonyms under the site's key.
        register: The vault's table, which knows the patient's studies and who has the pseudonym.
    """
    keys = register.keys_of(patient)
    known = {(register.examination(study) or {}).get("StudyInstanceUID", "") for study in register.studies_of(patient)}
    spooled = [one for one in _folders(site.spool) if one.name in known or _is_of(one, keys, names)]
    waiting = {path: _patients_at(path, names) for path in sorted(site.quarantine.glob("*.dcm"))}
    held = [copy for copy, found in waiting.items() if found & keys]
    outgoing = [path for path in sorted(site.outgoing.rglob("*.dcm")) if _patients_at(path, names) & keys]
    datasets = [(name, digest) for name, digest, patients in _datasets(site) if patient in patients]
    digests = frozenset(digest for _, digest in datasets)
    notes = [copy.with_suffix(".json") for copy in held]
    return Forgetting(
        patient=patient,
        files=(*spooled, *held, *notes, *outgoing, *_behind_the_door(site, patient), *_caches(site, digests)),
        studies=tuple(StudyRef(folder.name) for folder in spooled),
        datasets=tuple(sorted({name for name, _ in datasets})),
        models=tuple(_models(site, digests)),
        unread=tuple(path for path, found in waiting.items() if not found),
    )


def forget(site: Site, found: Forgetting, *, register: Register, audit: AuditLog) -> None:
    """Close the door to the patient, remove what was found, and log it.

    Interrupted, it is repeated whole: the door is closed first, and the vault erases last what it takes to find
    the rest.

    Args:
        site: The site.
        found: What ``what_to_forget`` listed.
        register: The vault's table.
        audit: Log that receives the pseudonym and counts.
    """
    register.close_to(register.keys_of(found.patient))
    for path in found.files:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    with Ledger(site.ledger) as ledger:
        for study in found.studies:
            ledger.erase(study)
    register.erase(found.patient)
    audit.append(
        "forget",
        patient=found.patient,
        files=len(found.files),
        studies=len(found.studies),
        datasets=", ".join(found.datasets),
        models=", ".join(found.models),
    )


def _behind_the_door(site: Site, patient: str) -> Iterator[Path]:
    """Give the patient's de-identified studies and exports of other tools."""
    own, exports = site.work / patient, site.work / "exports" / patient
    yield from (folder for folder in (own, exports) if folder.is_dir())


def _caches(site: Site, datasets: frozenset[str]) -> Iterator[Path]:
    """Give caches of training below the site that hold cases of one of the datasets; they are built again."""
    starts = {digest[:_CACHE_DIGITS] for digest in datasets}
    elsewhere = {site.vault, site.spool, site.quarantine, site.outgoing, site.work, site.datasets}
    for top in (folder for folder in _folders(site.root) if folder not in elsewhere and starts):
        for account in sorted(top.rglob("cases.json")):
            if account.parent.name.split("-")[0] in starts:
                yield account.parent


def _folders(parent: Path) -> Iterator[Path]:
    return (folder for folder in sorted(parent.glob("*")) if folder.is_dir() and not folder.is_symlink())


def _is_of(study: Path, keys: frozenset[str], names: Pseudonymizer) -> bool:
    """A study is the patient's where any of its files is: one stranger among them makes it theirs too."""
    return any(_patients_at(path, names) & keys for path in sorted(study.rglob("*")) if path.is_file())


def _patients_at(path: Path, names: Pseudonymizer) -> frozenset[str]:
    """Give the keyed names under which a file knows its patient, other numbers included."""
    try:
        dataset = read_dataset(path, tags=["PatientID", "OtherPatientIDs", "OtherPatientIDsSequence"])
    except DicomError:
        return frozenset()
    items = [dataset, *(dataset.get("OtherPatientIDsSequence") or [])]
    found = (one for item in items for keyword in ("PatientID", "OtherPatientIDs") for one in texts_of(item, keyword))
    return frozenset(names.keyed(one) for one in found if one)


def _datasets(site: Site) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Name, hash and patients of every dataset this site ever published."""
    with Ledger(site.ledger) as ledger:
        for digest, document in ledger.recalled(PUBLISHED):
            yield document["name"], digest, frozenset(document["patients"])


def _models(site: Site, datasets: frozenset[str]) -> Iterator[str]:
    """Name every model under the site whose card lists one of the datasets."""
    for card in sorted(site.root.rglob("*.json")):
        if card.is_relative_to(site.datasets):
            continue
        trained_on = _document(card).get("datasets")
        if isinstance(trained_on, dict) and datasets & set(map(str, trained_on.values())):
            yield str(card.relative_to(site.root).with_suffix(""))


def _document(path: Path) -> dict[str, Any]:
    """Read a small JSON document; what is none, or is large, is empty."""
    try:
        document = read_json(path) if path.stat().st_size <= _LONGEST_CARD else None
    except (ValueError, OSError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
