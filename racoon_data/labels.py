"""What a mask means: coded concepts, segments, annotations, findings and the label schema."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.geometry import Geometry
from racoon_data.refs import InstanceRef, SeriesRef

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, order=True)
class CodedConcept:
    """A code of a coding scheme; equality is by value and scheme, the meaning is for people.

    Attributes:
        value: Code value, such as ``36117008``.
        scheme: Coding scheme designator, such as ``SCT``, ``SRT`` or ``DCM``.
        meaning: Words for it.
    """

    value: str
    scheme: str
    meaning: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Scheme and value: what two concepts are compared by."""
        return (self.scheme, self.value)


@dataclass(frozen=True, slots=True)
class Segment:
    """One thing that was outlined, in the words of the tool that outlined it.

    Attributes:
        number: Segment or ROI number in its file.
        name: Segment label or ROI name.
        category: Property category (first of the 5-tuple).
        type: Property type, with ``type_modifier``.
        region: Anatomic region, with ``region_modifier``.
        algorithm: ``MANUAL``, ``SEMIAUTOMATIC``, ``AUTOMATIC`` or empty.
        tracking_uid: Identity of the lesion over time.
    """

    number: int
    name: str
    category: CodedConcept | None = None
    type: CodedConcept | None = None
    type_modifier: CodedConcept | None = None
    region: CodedConcept | None = None
    region_modifier: CodedConcept | None = None
    algorithm: str = ""
    tracking_uid: str = ""


def _sparse_zeros(shape: tuple[int, int, int]) -> Mask:
    """Make a mask of nothing whose memory is taken page by page where it is written.

    numpy asks for huge pages, so a small lesion would cost two megabytes in every few slices.
    """
    size = math.prod(shape)
    if not size or not hasattr(mmap, "MAP_ANONYMOUS"):
        return np.zeros(shape, dtype=np.bool_)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    return np.frombuffer(pages, dtype=np.bool_).reshape(shape)


@dataclass(frozen=True, slots=True, eq=False)
class BoxedMask:
    """A mask kept only where it is set; a lesion of a thousand voxels does not cost a whole grid.

    Attributes:
        shape: Shape of the whole mask: slices, rows, columns.
        start: First index (k, j, i) of the piece.
        piece: The voxels ``[k, j, i]`` from there on; everything else is outside.
    """

    shape: tuple[int, int, int]
    start: tuple[int, int, int]
    piece: Mask

    def whole(self) -> Mask:
        """Make the whole mask ``[k, j, i]``."""
        mask = _sparse_zeros(self.shape)
        mask[self.window] = self.piece
        return mask

    @property
    def window(self) -> tuple[slice, slice, slice]:
        """Where the piece lies in the whole."""
        k, j, i = (slice(low, low + size) for low, size in zip(self.start, self.piece.shape, strict=True))
        return k, j, i

    def planes(self) -> Iterator[Mask]:
        """Give the whole mask slice by slice, each ``[j, i]`` and to be used before the next is asked for."""
        empty, plane = np.zeros(self.shape[1:], dtype=np.bool_), np.zeros(self.shape[1:], dtype=np.bool_)
        (first, top, left), (slices, rows, columns) = self.start, self.piece.shape
        for k in range(self.shape[0]):
            if first <= k < first + slices:
                plane[top : top + rows, left : left + columns] = self.piece[k - first]
                yield plane
            else:
                yield empty


@dataclass(frozen=True, slots=True, eq=False)
class SegmentMask:
    """A segment and the voxels it covers.

    Attributes:
        segment: What it is.
        drawn: The mask ``[k, j, i]`` on the image grid, whole or boxed.
    """

    segment: Segment
    drawn: Mask | BoxedMask

    @property
    def mask(self) -> Mask:
        """The whole mask ``[k, j, i]``; made anew at each call where it is boxed."""
        return self.drawn.whole() if isinstance(self.drawn, BoxedMask) else self.drawn

    @property
    def voxels(self) -> int:
        """How many voxels it covers."""
        return int(np.count_nonzero(self.drawn.piece if isinstance(self.drawn, BoxedMask) else self.drawn))


@dataclass(frozen=True, slots=True)
class Finding:
    """One measurement or evaluation of a report: one row of ``findings.csv``.

    Attributes:
        source: The report instance.
        tracking_uid: Identity of the lesion over time, empty where not tracked.
        tracking_id: Human-readable lesion identity, empty where absent.
        concept: What was measured or judged (the quantity or the question).
        finding: What it was found on, such as a coded lesion type.
        site: Anatomic site.
        laterality: Side.
        value: Number as written, or the coded answer's meaning.
        unit: UCUM unit, empty for evaluations.
        answer: The coded answer of an evaluation.
        reader: Pseudonymous observer.
        time_point: Time point as written.
        referenced_sops: Instances the finding points at.
        derivation: How the number was derived, such as mean or maximum.
        method: How it was measured.
        referenced_segments: Segments the finding points at: SOPInstanceUID and segment number.
        about: The measurement an evaluation is about, such as the volume that was judged.
        group_kind: What it was found on: ``image``, ``planar``, ``volumetric`` (measurement groups),
            ``report`` (outside any group), ``text`` (a sentence) or ``contour`` (a point or line of a
            structure set).
        region: Graphic types of the regions it was measured in, such as ``SCOORD POLYLINE``.
        observer_type: ``person``, ``device`` or empty.
        status: State of the report: completion, verification and version, such as ``COMPLETE VERIFIED``.
        predecessors: Reports this one replaces.
    """

    source: InstanceRef
    concept: CodedConcept
    value: str = ""
    unit: str = ""
    finding: CodedConcept | None = None
    site: CodedConcept | None = None
    laterality: CodedConcept | None = None
    answer: CodedConcept | None = None
    tracking_uid: str = ""
    tracking_id: str = ""
    reader: str = ""
    time_point: str = ""
    referenced_sops: tuple[str, ...] = ()
    derivation: CodedConcept | None = None
    method: CodedConcept | None = None
    referenced_segments: tuple[tuple[str, int], ...] = ()
    about: CodedConcept | None = None
    group_kind: str = ""
    region: str = ""
    observer_type: str = ""
    status: str = ""
    predecessors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class ItemIssue:
    """What is wrong with one item of an annotation; everything else of the file is kept.

    Attributes:
        item: Which item, such as ``segment 3``, ``frame 12``, ``ROI 2`` or ``group 1``.
        code: Code of the kind of error (``docs/errors.md``), such as ``annotation.broken_item``.
        message: What happened to it, without patient values.
        is_left_out: It, or a part of it, was not drawn although it belongs on this image, so the labels lack something.
    """

    item: str
    code: str
    message: str
    is_left_out: bool = False

    def __str__(self) -> str:
        return f"{self.item}: {self.message} ({self.code})"


@dataclass(frozen=True, slots=True, eq=False)
class Annotation:
    """What one annotation file says about one image series.

    Attributes:
        source: The annotation instance.
        kind: ``seg``, ``rtstruct`` or ``sr``.
        image: The series it lies on; ``None`` for a report without one.
        geometry: The grid of the masks (the image's own grid); ``None`` without masks.
        masks: Outlined segments on that grid.
        findings: Rows of a report.
        reader: Pseudonymous annotator.
        notes: Policies that decided and what was repaired, as sentences without patient values.
        issues: Items that are broken, left out or suspicious, each with a code.
    """

    source: InstanceRef
    kind: str
    image: SeriesRef | None
    geometry: Geometry | None = None
    masks: tuple[SegmentMask, ...] = ()
    findings: tuple[Finding, ...] = ()
    reader: str = ""
    notes: tuple[str, ...] = ()
    issues: tuple[ItemIssue, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Notes and issues as sentences."""
        return (*self.notes, *map(str, self.issues))


@dataclass(frozen=True, slots=True)
class Terminology:
    """A 5-tuple as 3D Slicer and DICOM SEG write it; a part that is ``None`` asks for nothing."""

    category: CodedConcept | None = None
    type: CodedConcept | None = None
    type_modifier: CodedConcept | None = None
    region: CodedConcept | None = None
    region_modifier: CodedConcept | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """One target label.

    Attributes:
        value: Voxel value, 1 to 254; 0 is background and 255 means ignore.
        name: Short name, such as ``consolidation``.
        codes: Concepts that mean this label when they stand as property type.
        synonyms: Names that mean it where no code does (compared without case).
        priority: Where labels overlap the higher one wins.
        type_modifiers: Where given, one of them must stand as property type modifier for a code to count.
        regions: Where given, one of them must stand as anatomic region for a code to count.
        written: Codes the label is written with, where those above do not say: ``category``, ``type``,
            ``type_modifier``, ``site`` and ``laterality``.
        terminology: Whole 5-tuples that mean this label, beside the codes above.
        translations: Names by language, such as ``("de", "Milchglastrübung")``; they count as synonyms.
    """

    value: int
    name: str
    codes: tuple[CodedConcept, ...] = ()
    synonyms: tuple[str, ...] = ()
    priority: int = 0
    type_modifiers: tuple[CodedConcept, ...] = ()
    regions: tuple[CodedConcept, ...] = ()
    written: tuple[tuple[str, CodedConcept], ...] = ()
    terminology: tuple[Terminology, ...] = ()
    translations: tuple[tuple[str, str], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that means this label: its own, synonyms and translations."""
        return (self.name, *self.synonyms, *(name for _, name in self.translations))


BACKGROUND = 0
IGNORE = 255


@dataclass(frozen=True, slots=True)
class LabelSchema:
    """The one label language of a dataset.

    Attributes:
        name: Name of the schema.
        version: Version of the schema.
        labels: Target labels, values unique.
    """

    name: str
    version: str
    labels: tuple[Label, ...]

    def by_name(self, name: str) -> Label:
        """Find a label by its name.

        Raises:
            KeyError: No label has this name.
        """
        return {label.name: label for label in self.labels}[name]


@dataclass(frozen=True, slots=True, eq=False)
class LabelMap:
    """One voxel, one label.

    Attributes:
        array: uint8 values indexed ``[k, j, i]``.
        geometry: The grid.
        annotated: Names of the labels that were looked for here; a label that is not among them
            is *not annotated*, which differs from absent.
        overwritten: Voxels claimed by several labels, per losing label name.
        annotated_by: What each reader looked for, where readers of the case look for different labels.
    """

    array: npt.NDArray[np.uint8]
    geometry: Geometry
    annotated: tuple[str, ...] = ()
    overwritten: tuple[tuple[str, int], ...] = ()
    annotated_by: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.array_shape:
            raise ValueError(f"array {self.array.shape} is not on grid {self.geometry.array_shape}")


def as_mask(array: npt.NDArray[Any]) -> Mask:
    """Turn any array into a contiguous boolean mask (nonzero is inside)."""
    return np.ascontiguousarray(array != 0)
