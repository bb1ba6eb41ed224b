"""Segments wherever they lie: DICOM folders, sites and finished datasets, with their site and reader."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from racoon_data.annotations.linking import Link, link
from racoon_data.annotations.read import read_annotation
from racoon_data.dicom.references import MASKS
from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import geometry_of
from racoon_data.errors import NothingMatchedError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import MANIFEST_NAME, load_manifest
from racoon_data.harmonize.coverage import segment_of
from racoon_data.harmonize.label_check import SeenSegment
from racoon_data.labels import Segment
from racoon_data.outcomes import Outcome, Status
from racoon_data.runner.run import run_items
from racoon_data.site.paths import open_site


@dataclass(frozen=True, slots=True)
class Seen:
    """Segments of one source, and what could not be read."""

    segments: tuple[SeenSegment, ...]
    unread: tuple[Outcome, ...] = ()


def segments_at(source: str, *, on_event: OnEvent = ignore) -> Seen:
    """Read the segments of a source.

    Args:
        source: A dataset (its readers as its sidecars name them), a site folder (what passed its door) or any folder
            of DICOM; ``NAME=FOLDER`` says what the site is to be called.
        on_event: Listener.

    Raises:
        NothingMatchedError: There is no segmentation in it.
    """
    given, separator, rest = source.partition("=")
    folder = Path(rest if separator else given)
    name = given if separator else ""
    if (folder / MANIFEST_NAME).is_file():
        return _of_dataset(folder, name)
    if (folder / "racoon.toml").is_file():
        site = open_site(folder)
        return _of_folder(site.work, name or site.settings.site.name, on_event)
    return _of_folder(folder, name or folder.resolve().name, on_event)


def _of_dataset(root: Path, name: str) -> Seen:
    manifest = load_manifest(root)
    counts: Counter[tuple[str, Segment]] = Counter()
    for case in manifest.cases:
        for one in load_sidecar(root / case.sidecar).annotations:
            counts.update((one.reader, segment_of(segment)) for segment in one.segments)
    site = name or manifest.site
    return Seen(tuple(SeenSegment(site, reader, segment, count) for (reader, segment), count in counts.items()))


def _of_folder(folder: Path, site: str, on_event: OnEvent) -> Seen:
    found = sort_files(files_under(folder), root=folder)
    links = link(found.series, [file for file in found.annotations if file.modality in MASKS])
    if not links.pairs and not links.outcomes:
        raise NothingMatchedError(f"{folder} holds no SEG or RTSTRUCT", hint="name a folder with annotations")
    items = [(pair.file.ref, pair) for pair in links.pairs]
    results = list(run_items("read", items, _segments_of, on_event=on_event))
    bad = (one.outcome for one in results if one.outcome.status is not Status.DONE)
    seen = (SeenSegment(site, reader, segment) for one in results for reader, segment in one.value or ())
    return Seen(tuple(seen), (*links.outcomes, *bad))


def _segments_of(pair: Link) -> list[tuple[str, Segment]]:
    annotation = read_annotation(pair, geometry_of(pair.series) if pair.series else None)
    return [(annotation.reader, found.segment) for found in annotation.masks]
