"""Folders and DICOMDIRs as sources: found and fetched like a PACS, with the same ledger."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pydicom.dataset import Dataset

from racoon_data.dicom.headers import read_dataset
from racoon_data.errors import DicomError, SettingsError
from racoon_data.pacs.attributes import text_of
from racoon_data.pacs.expecting import Expectation
from racoon_data.pacs.filters import RETURN_KEYS
from racoon_data.pacs.find import match_from, query_dataset
from racoon_data.pacs.index import Index, Stored
from racoon_data.pacs.landing import Announced, Landing
from racoon_data.pacs.part10 import data_set_at
from racoon_data.pacs.peer import FolderNode
from racoon_data.pacs.receiving import End, Receiver
from racoon_data.refs import InstanceRef, Match, Query, StudyRef

logger = logging.getLogger(__name__)

DICOMDIR = "DICOMDIR"
_CHUNK = 1 << 20
_IMAGE_KEYS = ("ReferencedFileID", "ReferencedSOPInstanceUIDInFile", "ReferencedSOPClassUIDInFile")


@dataclass(frozen=True, slots=True)
class Listed:
    """An instance that a DICOMDIR lists.

    Attributes:
        ref: The instance, as the directory says.
        sop_class_uid: Its class, as the directory says.
        path: Its file.
    """

    ref: InstanceRef
    sop_class_uid: str
    path: Path


class FolderSource:
    """A folder of DICOM files, or a DICOMDIR with the files it lists (plug-in ``folder``)."""

    def __init__(self, node: FolderNode) -> None:
        """Read the headers, once per process.

        Raises:
            SettingsError: There is no such folder or DICOMDIR.
            DicomError: The DICOMDIR cannot be read.
        """
        self.node = node
        self._index, self._listed = _opened(node.path.resolve())

    def find(self, query: Query) -> Iterator[Match]:
        """Answer a query; wildcards, ranges and lists match as in a PACS.

        Raises:
            SettingsError: The level or a keyword does not exist.
        """
        query_dataset(query)
        keys = {**dict.fromkeys(RETURN_KEYS[query.level], ""), **query.filters}
        for row in self._index.find(query.level, keys):
            yield match_from(query, {keyword: row.get(keyword, "") for keyword in keys})

    def expectation(self, study: StudyRef) -> Expectation:
        """List the instances of a study: what a DICOMDIR lists, or what lies in the folder."""
        stored = self._stored(study)
        classes = {item.ref: item.sop_class_uid for item in stored.values()}
        classes |= {one.ref: one.sop_class_uid for one in self._listed if one.ref.study_uid == study.study_uid}
        class_of = {ref.sop_uid: sop_class for ref, sop_class in classes.items()}
        return Expectation(
            self.node.name, study, tuple(sorted(classes)), tuple(sorted(set(classes.values()))), (), class_of
        )

    def fetch(self, expected: Expectation, missing: Callable[[], Sequence[InstanceRef]], receiver: Receiver) -> str:
        """Copy what is missing into the spool; the data sets are checked as if a peer had sent them.

        Raises:
            StorageError: The disk is full; what arrived before is in the ledger.
        """
        stored = self._stored(expected.ref)
        try:
            for ref in missing():
                if (item := stored.get(ref.sop_uid)) is not None:
                    _copy(item, receiver)
        finally:
            receiver.journal.flush()
        return "its file is missing, or is not what the directory says"

    def _stored(self, study: StudyRef) -> dict[str, Stored]:
        keys = {"StudyInstanceUID": study.study_uid}
        return {item.ref.sop_uid: item for item in self._index.stored("STUDY", keys)}


def _copy(item: Stored, receiver: Receiver) -> None:
    announced = Announced(item.sop_class_uid, item.ref.sop_uid, item.transfer_syntax)
    landing = Landing(announced, spool=str(receiver.spool), admit=receiver.rule.admit)
    try:
        with item.path.open("rb") as stream:
            stream.seek(data_set_at(item.path))
            while piece := stream.read(_CHUNK):
                landing.write(memoryview(piece))
        end = landing.finish()
    except (OSError, DicomError) as error:
        logger.warning("%s cannot be read: %s", item.ref, type(error).__name__)
        return
    finally:
        landing.abandon()
    if landing.error is not None:
        raise landing.error
    receiver.note(End(announced, end))


def look_into(node: FolderNode) -> None:
    """See whether the folder is there and, for a DICOMDIR, whether it can be read.

    Raises:
        SettingsError: There is no such folder or DICOMDIR.
        DicomError: The DICOMDIR cannot be read.
    """
    directory = _directory_of(node.path)
    if directory is not None:
        next(listed_in(directory), None)


def _directory_of(path: Path) -> Path | None:
    """Find the DICOMDIR of a folder, ``None`` where it has none."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise SettingsError(f"{path} is neither a folder nor a DICOMDIR", hint="check path of the folder node")
    return path / DICOMDIR if (path / DICOMDIR).is_file() else None


@lru_cache(maxsize=8)
def _opened(path: Path) -> tuple[Index, tuple[Listed, ...]]:
    """Index a folder, or the files a DICOMDIR lists, in a temporary file that ends with the process."""
    directory = _directory_of(path)
    folder = directory.parent if directory else path
    index = Index(folder, Path(_scratch().name) / f"{len(str(path))}-{abs(hash(path))}.sqlite")
    if directory is None:
        index.refresh()
        return index, ()
    listed = tuple(listed_in(directory))
    for one in listed:
        if one.path.is_file():
            index.add(one.path)
    return index, listed


@lru_cache(maxsize=1)
def _scratch() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="racoon-folder-", ignore_cleanup_errors=True)


def listed_in(directory: Path) -> Iterator[Listed]:
    """Read a DICOMDIR: every instance it lists, in order (PS3.3 annex F).

    A file name that leads out of the directory's folder is passed over and logged.

    Raises:
        DicomError: It cannot be read, or is no DICOMDIR.
    """
    dataset = read_dataset(directory)
    study = series = ""
    for record in dataset.get("DirectoryRecordSequence") or ():
        kind = text_of(record, "DirectoryRecordType")
        if kind == "STUDY":
            study = text_of(record, "StudyInstanceUID")
        elif kind == "SERIES":
            series = text_of(record, "SeriesInstanceUID")
        elif "ReferencedFileID" in record:
            yield from _listed(record, directory.parent, study, series)


def _listed(record: Dataset, folder: Path, study: str, series: str) -> Iterator[Listed]:
    file_id, sop_uid, sop_class = (text_of(record, keyword) for keyword in _IMAGE_KEYS)
    path = folder.joinpath(*file_id.split("\\"))
    if not path.resolve().is_relative_to(folder.resolve()):
        logger.warning("the directory lists a file outside its folder; it is passed over")
        return
    yield Listed(InstanceRef(study, series, sop_uid), sop_class, path)
