"""One linked annotation to masks and findings, through the reader that knows its SOP class or its file."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from racoon_data import plugins
from racoon_data.annotations.linking import Link
from racoon_data.annotations.own_grid import seg_grid
from racoon_data.annotations.tools.exports import ExportFile, placing_issues, placing_notes, read_export
from racoon_data.errors import GridMismatchError, UnsupportedAnnotationError, about
from racoon_data.geometry import Geometry
from racoon_data.grid.place import boxed, place, require_same_frame
from racoon_data.labels import Annotation, SegmentMask
from racoon_data.policies import DEFAULT_POLICIES, ReadingPolicies
from racoon_data.ports import AnnotationReader, FollowsPolicies, LooksAround, Surroundings


@lru_cache(maxsize=1)
def readers() -> tuple[AnnotationReader, ...]:
    """Load every installed reader of DICOM annotations, in order of name."""
    names = plugins.found(plugins.ANNOTATION_READERS)
    loaded = (plugins.load(plugins.ANNOTATION_READERS, name)() for name in names)
    return tuple(one for one in loaded if isinstance(one, AnnotationReader))


def read_annotation(
    link: Link,
    geometry: Geometry | None,
    *,
    resample: bool = False,
    policies: ReadingPolicies = DEFAULT_POLICIES,
) -> Annotation:
    """Read a linked annotation onto the grid of its series.

    Args:
        link: The annotation and its series.
        geometry: The grid of the series; ``None`` for a report without images here.
        resample: Sample masks that were made on another grid of the same frame of reference, instead of refusing them.
        policies: What readers that have a choice are to do; the others keep their own way.

    Raises:
        UnsupportedAnnotationError: No installed reader knows its SOP class.
        AnnotationError: It cannot be read; the kind of error says why.
    """
    with about(link.file.ref):
        if isinstance(link.file, ExportFile):
            return read_export(link.file, link.series, geometry, resample=resample)
        try:
            return _read_dicom(link, geometry, policies)
        except GridMismatchError:
            if not resample or geometry is None or link.file.modality != "SEG":
                raise
            return _resampled(link, geometry, policies)


def _read_dicom(link: Link, geometry: Geometry | None, policies: ReadingPolicies) -> Annotation:
    file, series = link.file, link.series
    for reader in readers():
        if file.sop_class_uid in reader.sop_classes:
            chosen = reader.under(policies) if isinstance(reader, FollowsPolicies) else reader
            chosen = chosen.amid(_surroundings(link)) if isinstance(chosen, LooksAround) else chosen
            return chosen.read(
                file.path,
                source=file.ref,
                image=series.ref if series is not None else None,
                geometry=geometry,
                sop_uids=series.sop_uids if series is not None else (),
            )
    raise UnsupportedAnnotationError(
        f"no reader for SOP class {file.sop_class_uid}", hint="racoon plugins lists the installed readers"
    )


def _surroundings(link: Link) -> Surroundings:
    headers = link.series.slices if link.series is not None else ()
    # tiles of a mosaic are no frames a reference could name
    numbers = tuple(0 if one.frame is None or one.tiles else one.frame + 1 for one in headers)
    elsewhere = frozenset[str]().union(*(one.sop_uids for one in link.further))
    return Surroundings(numbers, elsewhere, link.is_further)


def _resampled(link: Link, geometry: Geometry, policies: ReadingPolicies) -> Annotation:
    """Read a segmentation on its own grid and sample it on the image's."""
    own = seg_grid(link.file.path)
    require_same_frame(own, geometry)
    found = _read_dicom(link, own, policies)
    masks, notes, issues = [], list(found.notes), list(found.issues)
    for drawn in found.masks:
        placed = place(drawn.mask, own, geometry, resample=True)
        notes += placing_notes(drawn.segment.number, placed)
        issues += placing_issues(drawn.segment.number, placed)
        if placed.mask.any():
            masks.append(SegmentMask(drawn.segment, boxed(placed.mask)))
    return replace(found, geometry=geometry, masks=tuple(masks), notes=tuple(notes), issues=tuple(issues))
