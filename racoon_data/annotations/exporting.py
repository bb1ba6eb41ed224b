"""Label maps and masks back to DICOM: onto the source grid, then as SEG and TID 1500 report beside their images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data import __version__
from racoon_data.annotations.export_input import Drawing
from racoon_data.annotations.seg_writer import Source, Stamp, seg_of, source_of
from racoon_data.annotations.settling import Moment, save_whole
from racoon_data.annotations.sr_writer import measurements_of, report_of
from racoon_data.annotations.written_segments import Author, Written
from racoon_data.dicom.headers import text_of
from racoon_data.dicom.series import Series
from racoon_data.dicom.stacking import geometry_of
from racoon_data.errors import (
    AmbiguousReferenceError,
    EmptyItemError,
    GridMismatchError,
    NothingMatchedError,
    SettingsError,
)
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.grid.place import boxed
from racoon_data.grid.resample import resample_image, resample_labels
from racoon_data.labels import BoxedMask, CodedConcept, ItemIssue, Mask, Segment
from racoon_data.refs import uid_of
from racoon_data.volumes import Volume

SCHEMA_VERSION = "1.0"
_CODES = ("category", "type", "type_modifier", "region", "region_modifier")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """One export, ready to be written.

    Attributes:
        source: The images.
        written: Segments on the source grid.
        stamp: What its objects share.
        kind: ``binary``, ``labelmap`` or ``fractional``.
        notes: What was done on the way.
        issues: Segments that are left out.
    """

    source: Source
    written: tuple[Written, ...]
    stamp: Stamp
    kind: str
    notes: tuple[str, ...] = ()
    issues: tuple[ItemIssue, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give the plan as a JSON document (``schemas/annotation-export``), objects not yet listed."""
        return {
            "schema_version": SCHEMA_VERSION,
            "study_uid": self.source.series.ref.study_uid,
            "image_series_uid": self.source.series.ref.series_uid,
            "slices": len(self.source.series.slices),
            "kind": self.kind,
            "author": asdict(self.stamp.author) | {"kind": self.stamp.author.kind},
            "written_as_of": self.stamp.moment.date + self.stamp.moment.time,
            "segments": [_row(one, self.source.geometry) for one in self.written],
            "notes": list(self.notes),
            "issues": [asdict(issue) for issue in self.issues],
            "objects": [],
        }


def choose_series(series: Sequence[Series], drawing: Drawing, *, series_uid: str = "") -> tuple[Series, Geometry]:
    """Find the series a drawing belongs to: the one named, the one it was read from, or the one with its grid.

    Raises:
        NothingMatchedError: There is no such series, or none at all.
        AmbiguousReferenceError: Several series have its grid, or several are there and none has.
    """
    wanted = series_uid or drawing.series_uid
    named = [one for one in series if not wanted or one.ref.series_uid == wanted]
    if not named:
        raise NothingMatchedError(
            "the source series is not there", hint="name the folder of the images it was drawn on"
        )
    grids = [(one, geometry_of(one)) for one in named]
    if len(grids) == 1:
        return grids[0]
    fitting = [one for one in grids if one[1].same_grid(drawing.geometry, tol_mm=SAME_GRID_MM)]
    if len(fitting) != 1:
        listed = ", ".join(sorted(one.ref.series_uid for one, _ in fitting or grids))
        raise AmbiguousReferenceError(f"{len(fitting)} series have the grid of the labels", hint=f"--series: {listed}")
    return fitting[0]


def plan_export(
    drawing: Drawing, series: tuple[Series, Geometry], author: Author, *, kind: str, moment: Moment | None = None
) -> Plan:
    """Bring a drawing onto the grid of its images and decide every identifier; nothing is written.

    Identifiers come from the content, so the same input gives the same object. Without a moment the
    objects carry the study's own date: restoring identity shifts it back together with the images'.

    Args:
        drawing: What is to be written.
        series: The source series and its grid.
        author: Who outlined.
        kind: ``binary``, ``labelmap`` or ``fractional``.
        moment: Date and time of the objects.

    Raises:
        GridMismatchError: Nothing of it lies on the images.
        SettingsError: The study has no date and none was given.
    """
    source = source_of(*series)
    written, notes, issues = _on_source(drawing, source)
    seed = _seed(written, source, author, kind)
    stamp = Stamp(author, moment or _moment_of(source), __version__, seed)
    return Plan(source, tuple(_tracked(one, source) for one in written), stamp, kind, (*drawing.notes, *notes), issues)


def write_export(plan: Plan, out: Path) -> dict[str, Any]:
    """Write the segmentation and its report.

    Writes ``<series>-<part of the UID>-seg.dcm`` and ``-sr.dcm``.

    Args:
        plan: What to write.
        out: The folder; made if absent.

    Returns:
        The account of the export (``schemas/annotation-export``).

    Raises:
        AnnotationError: Segments of a label map overlap.
        DiskFullError: No space is left.
    """
    seg = seg_of(plan.written, plan.source, plan.stamp, kind=plan.kind)
    report = report_of(plan.written, plan.source, plan.stamp, seg=seg)
    stem = f"{plan.source.series.ref.series_uid}-{str(seg.SOPInstanceUID)[-8:]}"
    objects = []
    for dataset, name in ((seg, "seg"), (report, "sr")):
        path = out / f"{stem}-{name}.dcm"
        save_whole(dataset, path)
        objects.append(
            {
                "file": path.name,
                "sop_class_uid": str(dataset.SOPClassUID),
                "series_uid": str(dataset.SeriesInstanceUID),
                "sop_uid": str(dataset.SOPInstanceUID),
            }
        )
    return plan.to_json() | {"objects": objects}


def _on_source(drawing: Drawing, source: Source) -> tuple[list[Written], list[str], tuple[ItemIssue, ...]]:
    target = source.geometry
    is_same = drawing.geometry.same_grid(target, tol_mm=SAME_GRID_MM)
    written: list[Written] = []
    notes: list[str] = []
    issues: list[ItemIssue] = []
    for segment, values in drawing.parts:
        one = _written(
            replace(segment, number=len(written) + 1), values, None if is_same else (drawing.geometry, target)
        )
        if not one.drawn.piece.any():
            message = "covers no voxel of the source images and is left out"
            issues.append(ItemIssue(f"segment {segment.name}", EmptyItemError.code, message))
            continue
        written.append(one)
        if not is_same:
            voxels = values.piece if isinstance(values, BoxedMask) else values >= 0.5
            before = float(np.count_nonzero(voxels)) * drawing.geometry.voxel_ml
            after = float(one.drawn.piece.sum()) * target.voxel_ml
            notes.append(f"{segment.name}: returned to the source grid, {before:.3f} ml became {after:.3f} ml")
    if not written:
        raise GridMismatchError(
            "no segment covers a voxel of the source images", hint="name the series the labels were made on"
        )
    return written, notes, tuple(issues)


def _written(
    segment: Segment, values: BoxedMask | npt.NDArray[np.float32], grids: tuple[Geometry, Geometry] | None
) -> Written:
    """Return a mask or fractions to the source grid; grids that differ by order of axes only lose nothing."""
    if isinstance(values, BoxedMask):
        return Written(segment, boxed(_carried(values.whole(), *grids)) if grids else values)
    if grids:
        source, target = grids
        values = resample_image(Volume(values, source), target, outside=0.0).array.astype(np.float32)
    return Written(segment, boxed(np.asarray(values >= 0.5)), values)


def _carried(mask: Mask, source: Geometry, target: Geometry) -> Mask:
    index_map = np.linalg.inv(source.matrix) @ target.matrix
    is_order = np.abs(index_map - np.rint(index_map)).max() < 1e-3
    return resample_labels(mask, source, target, interpolation="nearest" if is_order else "linear").astype(np.bool_)


def _moment_of(source: Source) -> Moment:
    date, time = text_of(source.images[0], "StudyDate"), text_of(source.images[0], "StudyTime")
    if len(date) != 8 or not date.isdigit():
        raise SettingsError("the study has no date", hint="give one: --date YYYYMMDD")
    return Moment(date, time[:6] if len(time) >= 6 else "000000")


def _seed(written: Sequence[Written], source: Source, author: Author, kind: str) -> str:
    """Make one text of everything that decides what is written."""
    digest = hashlib.sha256(repr((source.series.sop_uids, source.series.part, author, kind)).encode())
    for one in written:
        digest.update(repr(one.segment).encode())
        digest.update(repr((one.drawn.shape, one.drawn.start, one.drawn.piece.shape)).encode())
        digest.update(np.packbits(one.drawn.piece).data)
        if one.fractions is not None:
            digest.update(np.ascontiguousarray(one.fractions).data)
    return digest.hexdigest()


def _tracked(one: Written, source: Source) -> Written:
    """Give a segment without a tracking identity one that the same label on the same series has again."""
    if one.segment.tracking_uid:
        return one
    uid = uid_of("tracking", source.series.ref.series_uid, source.series.part, one.segment.name)
    return replace(one, segment=replace(one.segment, tracking_uid=uid))


def _row(one: Written, geometry: Geometry) -> dict[str, Any]:
    segment = one.segment
    measured = [round(value, 4) for _, value, _ in measurements_of(one, geometry)]
    return {
        "number": segment.number,
        "name": segment.name,
        **{part: _coded(segment, part) for part in _CODES},
        "tracking_uid": segment.tracking_uid,
        "voxels": int(one.drawn.piece.sum()),
        "ml": measured[0],
        "long_axis_mm": measured[1],
        "short_axis_mm": measured[2],
    }


def _coded(segment: Segment, part: str) -> dict[str, str] | None:
    concept: CodedConcept | None = getattr(segment, part)
    return asdict(concept) if concept is not None else None
