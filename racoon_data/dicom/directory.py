"""What a DICOMDIR promises: the files it lists that are not there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from racoon_data.errors import DicomError

NAME = "DICOMDIR"
_VERSION = ";1"  # ISO 9660 writes a version behind each name; some systems show it


def is_directory_file(path: Path) -> bool:
    """Tell whether a path is that of a DICOMDIR."""
    return path.name.upper().removesuffix(_VERSION) == NAME and path.is_file()


def missing_files(source: Path, there: Iterable[Path]) -> tuple[str, ...]:
    """List the files that a DICOMDIR names and that are not there; upper and lower case are the same.

    Args:
        source: A DICOMDIR, or the folder it may lie in.
        there: Files that were found.

    Returns:
        Paths from the folder of the DICOMDIR, as it writes them, in order; none where no DICOMDIR can be read.
    """
    listing = source if source.is_file() else source / NAME
    if not is_directory_file(listing):
        return ()
    listed = _listed(listing)
    root = listing.parent
    known = {_folded(path.relative_to(root).as_posix()) for path in there if path.is_relative_to(root)}
    return tuple(sorted({name for name in listed if _folded(name) not in known}))


def _folded(name: str) -> str:
    return name.casefold().removesuffix(_VERSION)


def _listed(listing: Path) -> list[str]:
    from racoon_data.dicom.headers import read_dataset, texts_of, value_of

    try:
        records = value_of(read_dataset(listing), "DirectoryRecordSequence") or ()
    except DicomError:
        return []  # the file itself has its row
    paths = [PurePosixPath(*parts) for record in records if (parts := texts_of(record, "ReferencedFileID"))]
    return [path.as_posix() for path in paths if not path.is_absolute() and ".." not in path.parts]
