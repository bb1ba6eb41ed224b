"""Items of a structure set to contours, whatever tools write into them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pydicom

from racoon_data.annotations.codes import items
from racoon_data.annotations.contours import Contour, Points
from racoon_data.dicom.headers import text_of, texts_of
from racoon_data.refs import SeriesRef

CLOSED = frozenset({"CLOSED_PLANAR", "CLOSEDPLANAR_XOR"})
OPEN = frozenset({"POINT", "OPEN_PLANAR", "OPEN_NONPLANAR"})

BROKEN = "have coordinates that are no numbers or incomplete and were left out"
TOO_FEW = "have fewer than three points and enclose nothing"
MISCOUNTED = "hold another number of points than they say; what they hold was read"
COMMAS = "write decimal commas, which were read as points"
UNKNOWN = "are of a type the standard does not know and were left out"
ELSEWHERE = "were drawn on images of another series and were left out"
DANGLING = "name images that the file lists under no series and were left out"
OPENED = "are points or open lines and enclose nothing; their coordinates are rows of the table"

_FARTHEST_MM = 1e5
_TAGS = {
    keyword: pydicom.datadict.tag_for_keyword(keyword)
    for keyword in ("ContourImageSequence", "ContourGeometricType", "NumberOfContourPoints", "ContourData")
}


@dataclass(frozen=True, slots=True, eq=False)
class OpenContour:
    """A point or an open line.

    Attributes:
        kind: ContourGeometricType.
        points_lps: Vertices in mm, shape (n, 3).
        sop_uids: Images it says it was drawn on.
    """

    kind: str
    points_lps: Points
    sop_uids: frozenset[str]


@dataclass(slots=True)
class Drawn:
    """What the contour items of one ROI hold.

    Attributes:
        closed: Closed contours.
        open: Points and open lines.
        counts: How many items were repaired or left out, by reason.
    """

    closed: list[Contour] = field(default_factory=list)
    open: list[OpenContour] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


class ContourImages:
    """Which images contours were drawn on; equal items are parsed once."""

    def __init__(self) -> None:
        self._known: dict[bytes, frozenset[str]] = {}

    def of(self, contour: pydicom.Dataset) -> frozenset[str]:
        """Give the SOPInstanceUIDs a contour item names."""
        raw = raw_of(contour, "ContourImageSequence")
        if raw is None:
            return sops_in(contour)
        if raw not in self._known:
            self._known[raw] = sops_in(contour)
        return self._known[raw]


def sops_in(item: pydicom.Dataset) -> frozenset[str]:
    """Give the SOPInstanceUIDs of an item's ContourImageSequence."""
    named = (text_of(image, "ReferencedSOPInstanceUID") for image in items(item, "ContourImageSequence"))
    return frozenset(named) - {""}


def raw_of(item: pydicom.Dataset, keyword: str) -> bytes | None:
    """Give the bytes of an attribute that was not parsed yet; absent is empty, parsed is ``None``.

    A structure set holds thousands of contours and pydicom makes an object of every value, so what is
    plain ASCII is read from its bytes.
    """
    element = item.get_item(_TAGS[keyword])
    if element is None:
        return b""
    return element.value if isinstance(element.value, bytes) else None


def _plain(item: pydicom.Dataset, keyword: str) -> str:
    raw = raw_of(item, keyword)
    return text_of(item, keyword) if raw is None else raw.decode("ascii", "replace").strip("\0 ")


@dataclass(frozen=True, slots=True)
class Place:
    """Which images contours may have been drawn on.

    Attributes:
        here: Instances of the image series.
        elsewhere: Instances the file lists under other series.
        are_named: Some contour of the file names an instance of the image series.
    """

    here: frozenset[str]
    elsewhere: frozenset[str]
    are_named: bool

    def complaint_about(self, sop_uids: frozenset[str]) -> str:
        """Say why a contour is not drawn here, nothing where it is.

        It was drawn on another series, or other contours name this series and it names nobody knows what;
        where all references are stale, as copies leave them behind, the position decides.
        """
        if not sop_uids or sop_uids & self.here:
            return ""
        if sop_uids & self.elsewhere:
            return ELSEWHERE
        return DANGLING if self.are_named else ""


def place_of(dataset: pydicom.Dataset, named: frozenset[str], here: frozenset[str], image: SeriesRef | None) -> Place:
    """Learn which images a structure set was drawn on.

    Args:
        dataset: The structure set.
        named: Every image its contours name.
        here: Instances of the image series.
        image: The image series.
    """
    elsewhere = frozenset[str]().union(*(sops_in(series) for _, series in _other_series(dataset, image)))
    return Place(here, elsewhere, not here.isdisjoint(named))


def other_frames(dataset: pydicom.Dataset, image: SeriesRef | None) -> frozenset[str]:
    """Give the frames of reference of other series than the image's that a structure set lists."""
    return frozenset(frame for frame, _ in _other_series(dataset, image))


def _other_series(dataset: pydicom.Dataset, image: SeriesRef | None) -> Iterator[tuple[str, pydicom.Dataset]]:
    own = image.series_uid if image is not None else ""
    for frame in items(dataset, "ReferencedFrameOfReferenceSequence"):
        for study in items(frame, "RTReferencedStudySequence"):
            for series in items(study, "RTReferencedSeriesSequence"):
                if text_of(series, "SeriesInstanceUID") != own:
                    yield text_of(frame, "FrameOfReferenceUID"), series


def drawn_in(contour_items: Iterable[pydicom.Dataset], images: ContourImages, place: Place) -> Drawn:
    """Read the contour items of one ROI; a broken one costs itself alone."""
    drawn = Drawn()
    for item in contour_items:
        kind = _plain(item, "ContourGeometricType").upper() or "CLOSED_PLANAR"
        sop_uids = images.of(item)
        if kind not in CLOSED | OPEN:
            drawn.counts[UNKNOWN] += 1
        elif complaint := place.complaint_about(sop_uids):
            drawn.counts[complaint] += 1
        elif (points := _points(item, drawn.counts)) is not None:
            _keep(drawn, kind, points, sop_uids)
    return drawn


def _keep(drawn: Drawn, kind: str, points: Points, sop_uids: frozenset[str]) -> None:
    if kind in OPEN:
        drawn.counts[OPENED] += 1
        drawn.open.append(OpenContour(kind, points, sop_uids))
    elif len(points) < 3:
        drawn.counts[TOO_FEW] += 1
    else:
        drawn.closed.append(Contour(kind == "CLOSEDPLANAR_XOR", points))


def _points(item: pydicom.Dataset, counts: Counter[str]) -> Points | None:
    """Read the vertices (mm, LPS), ``None`` where they are no whole triples of sensible numbers."""
    raw = raw_of(item, "ContourData")
    texts = (
        raw.decode("ascii", "replace").rstrip("\0 ") if raw is not None else "\\".join(texts_of(item, "ContourData"))
    )
    if "," in texts:
        counts[COMMAS] += 1
        texts = texts.replace(",", ".")
    try:
        flat = np.array(list(map(float, texts.split("\\"))), dtype=np.float64)
    except ValueError:
        flat = np.zeros(0)
    if not flat.size or flat.size % 3 or not (np.abs(flat) <= _FARTHEST_MM).all():
        counts[BROKEN] += 1
        return None
    said = _plain(item, "NumberOfContourPoints")
    counts[MISCOUNTED] += bool(said) and said != str(flat.size // 3)
    return flat.reshape(-1, 3)
