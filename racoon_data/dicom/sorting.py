"""A folder of files, sorted: image series split into volumes, annotation files, and what is neither."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from racoon_data.dicom.directory import is_directory_file
from racoon_data.dicom.facts import read_facts
from racoon_data.dicom.images import MULTIFRAME_CLASSES, Image, acquisition_of, images_of
from racoon_data.dicom.references import ANNOTATION_CLASSES, annotation_file
from racoon_data.dicom.series import AnnotationFile, Series, Sorted, Splits
from racoon_data.dicom.splitting import split
from racoon_data.errors import (
    DuplicateInstanceError,
    DuplicateSliceError,
    InconsistentSeriesError,
    NotDicomError,
    NothingMatchedError,
    SettingsError,
    UnreadableError,
    UnsupportedObjectError,
)
from racoon_data.files.atomic import is_partial, sha256_of
from racoon_data.outcomes import Outcome, outcome_of
from racoon_data.refs import FileRef, SeriesRef
from racoon_data.runner.run import run_items

IMAGE_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.128": "PET",
}
_REPEATED = DuplicateSliceError("the same slice again under another SOPInstanceUID", hint="the first one is used")
_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"


def files_under(folder: Path, *, without: Iterable[Path] = ()) -> tuple[Path, ...]:
    """List every file below a folder (or the one file named, or those of a DICOMDIR), in order of path.

    Links are followed only where they stay inside the folder; half-written files of racoon are passed over.

    Args:
        folder: The folder, or one file.
        without: Folders for output: where they lie inside the folder they are passed over.

    Raises:
        NothingMatchedError: The folder does not exist.
        SettingsError: A folder for output is the folder itself.
        UnreadableError: A folder below cannot be listed.
    """
    if is_directory_file(folder):
        folder = folder.parent  # what it lists is not trusted: every file beside and below it is looked at
    if folder.is_file():
        return (folder,)
    if not folder.is_dir():
        raise NothingMatchedError(f"{folder} is no folder", hint="name a folder of DICOM files")
    home, outputs = folder.resolve(), {output.resolve() for output in without}
    if home in outputs:
        raise SettingsError("input and output are the same folder", hint="name another folder for the output")
    return tuple(map(Path, sorted(_files_below(str(folder), home, outputs))))


def _files_below(folder: str, home: Path, outputs: set[Path]) -> Iterator[str]:
    waiting = [folder]
    while waiting:
        for entry in _entries(waiting.pop()):
            if entry.is_dir(follow_symlinks=False):
                if not outputs or Path(entry.path).resolve() not in outputs:
                    waiting.append(entry.path)
            elif _is_input(entry, home):
                yield entry.path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        hint = "ask for the right to read it, or leave it out: what cannot be listed would be lost silently"
        raise UnreadableError(f"a folder cannot be listed: {error.strerror}", hint=hint) from error


def _is_input(entry: os.DirEntry[str], home: Path) -> bool:
    if is_partial(entry.name):
        return False
    if not entry.is_symlink():
        return entry.is_file()
    return entry.is_file() and home in Path(entry.path).resolve().parents


def sort_files(paths: Iterable[Path], *, root: Path) -> Sorted:
    """Sort files into image series, annotations and outcomes; every file is in exactly one place.

    Args:
        paths: Files, DICOM or not.
        root: Folder their names in outcomes are relative to.

    Returns:
        Series in order of study, series and part; annotations in order of SOPInstanceUID; an outcome
        for every other file, in order of path.
    """
    before = str(root).rstrip(os.sep) + os.sep
    items = [(FileRef(_name(path, before)), path) for path in sorted(paths, key=str)]
    results = list(run_items("sort", items, _read))
    outcomes = [result.outcome for result in results if result.value is None]
    found = [(result.outcome.ref, result.value) for result in results if result.value is not None]
    unique, twice = _without_copies([(ref, value) for ref, value in found if isinstance(ref, FileRef)])
    images = [image for value in unique if isinstance(value, tuple) for image in value]
    notes = sorted((value for value in unique if isinstance(value, AnnotationFile)), key=lambda file: file.ref.sop_uid)
    series, again = _series(images)
    slices = [outcome_of(_REPEATED, ref=FileRef(_name(path, before)), step="sort") for path in again]
    everything = sorted([*outcomes, *twice, *slices], key=lambda outcome: str(outcome.ref))
    return Sorted(series, tuple(notes), tuple(everything))


def _name(path: Path, before: str) -> str:
    text = str(path)
    return text[len(before) :].replace(os.sep, "/") if text.startswith(before) else path.name


def _read(path: Path) -> tuple[Image, ...] | AnnotationFile:
    facts = read_facts(path)
    sop_class = facts.text("SOPClassUID")
    if facts.text("MediaStorageSOPClassUID") == _DIRECTORY_CLASS:
        raise NotDicomError("a DICOMDIR lists files and holds none", hint="its files are found by themselves")
    if not all(facts.text(keyword) for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")):
        raise UnreadableError("the file does not say which object it is", hint="ask the sender for a new export")
    if sop_class in ANNOTATION_CLASSES:
        return annotation_file(path)
    if sop_class in IMAGE_CLASSES or sop_class in MULTIFRAME_CLASSES:
        return images_of(path, facts)
    hint = "CT, MR and PET images, enhanced ones too, and parametric maps are"
    raise UnsupportedObjectError(f"SOP class {sop_class} is not read", hint=hint)


@dataclass(frozen=True, slots=True)
class _Copy:
    ref: FileRef
    value: tuple[Image, ...] | AnnotationFile

    @property
    def path(self) -> Path:
        return self.value[0].header.path if isinstance(self.value, tuple) else self.value.path

    @property
    def sop_uid(self) -> str:
        return self.value[0].header.sop_uid if isinstance(self.value, tuple) else self.value.ref.sop_uid


def _without_copies(
    found: Sequence[tuple[FileRef, tuple[Image, ...] | AnnotationFile]],
) -> tuple[list[tuple[Image, ...] | AnnotationFile], list[Outcome]]:
    """Keep one file of each SOP instance; copies that differ are all set aside."""
    by_uid: dict[str, list[_Copy]] = defaultdict(list)
    for ref, value in found:
        copy = _Copy(ref, value)
        by_uid[copy.sop_uid].append(copy)
    kept: list[tuple[Image, ...] | AnnotationFile] = []
    outcomes: list[Outcome] = []
    for copies in by_uid.values():
        if len(copies) > 1 and len({sha256_of(copy.path) for copy in copies}) > 1:
            conflict = InconsistentSeriesError("files differ under one SOPInstanceUID", hint="keep the right one")
            outcomes += [outcome_of(conflict, ref=copy.ref, step="sort") for copy in copies]
            continue
        kept.append(copies[0].value)
        again = DuplicateInstanceError("the same object again", hint="one copy is used")
        outcomes += [outcome_of(again, ref=copy.ref, step="sort") for copy in copies[1:]]
    return kept, outcomes


def _series(images: Sequence[Image]) -> tuple[tuple[Series, ...], list[Path]]:
    """Make the series, and list the files of slices that are there twice."""
    by_series: dict[SeriesRef, list[Image]] = defaultdict(list)
    for image in images:
        by_series[image.ref].append(image)
    made: list[Series] = []
    again: list[Path] = []
    for ref in by_series:
        for splits, group in split(by_series[ref]):
            ordered = sorted(group, key=_along)
            copies = {image.header.path for image in _repeated(ordered)}
            again += copies
            made.append(_one_series(splits, [image for image in ordered if image.header.path not in copies]))
    return tuple(sorted(made, key=lambda series: (series.ref, series.part))), again


def _along(image: Image) -> tuple[float, int, str]:
    return (image.along_normal, image.header.instance_number, image.header.sop_uid)


def _repeated(ordered: Sequence[Image]) -> tuple[Image, ...]:
    if len({image.header.position_lps for image in ordered}) == len(ordered):
        return ()
    from racoon_data.dicom.duplicates import repeated  # reads pixels; few stacks need it

    return repeated(ordered)


def _one_series(splits: Splits, ordered: Sequence[Image]) -> Series:
    first = ordered[0]
    return Series(
        ref=first.ref,
        patient=first.facts.text("PatientID"),
        study_date=first.facts.text("StudyDate"),
        frame_of_reference=first.facts.text("FrameOfReferenceUID") or None,
        slices=tuple(image.header for image in ordered),
        acquisition=acquisition_of(first.facts),
        part="; ".join(f"{name}={value}" for name, value in splits),
        splits=splits,
    )
