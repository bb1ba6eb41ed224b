"""3D Slicer segmentations (``.seg.nrrd``): layers, segments and their terminology."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from racoon_data.annotations.tools.trees import head_of
from racoon_data.annotations.tools.volumes import read_volume
from racoon_data.errors import BrokenExportError, BrokenItemError, UncodedItemError
from racoon_data.files.nrrd import Nrrd, read_nrrd
from racoon_data.labels import CodedConcept, ItemIssue, Mask, Segment
from racoon_data.tool_exports import Look, Masks, OwnMask, ToolExport, content_uid

_SEGMENT = re.compile(r"Segment(\d+)_(.+)")
_EXTENT = 6


class SlicerReader:
    """Reads segmentations as 3D Slicer stores them, old (one layer a segment) and new (shared layers)."""

    kind = "slicer"

    def claims(self, path: Path) -> bool:
        """Tell whether the name or the header is a segmentation's."""
        name = path.name.lower()
        return name.endswith(".seg.nrrd") or (name.endswith(".nrrd") and b"Segment0_" in head_of(path))

    def look(self, path: Path) -> Look:
        """Read the header.

        Raises:
            BrokenExportError: It is no NRRD, or describes no segment.
        """
        stored = read_nrrd(path)
        parts = list(_parts(stored))
        if not parts:
            raise BrokenExportError("the NRRD describes no segment", hint="save it as a segmentation (.seg.nrrd)")
        uid = content_uid(self.kind, path.read_bytes())
        segments = tuple(segment for segment, _, _, _ in parts)
        issues = tuple(_issues(stored, path, parts))
        export = ToolExport(uid, self.kind, grid=stored.geometry, segments=segments, issues=issues)
        return Look((export,))

    def masks(self, path: Path, export: ToolExport) -> Masks:
        """Read one mask per segment; segments that overlap lie in different layers."""
        volume = read_volume(path)
        for segment, value, layer, _ in _parts(read_nrrd(path)):
            yield OwnMask(segment.number, volume.mask(value, layer=layer))


_Part = tuple[Segment, int, int, str]


def _parts(stored: Nrrd) -> Iterator[_Part]:
    """Give each segment with its label value, layer and extent.

    Before Slicer 4.11 there was no LabelValue and no Layer: each segment had a layer of its own with value 1.
    """
    fields: dict[int, dict[str, str]] = {}
    for key, text in stored.keys.items():
        if found := _SEGMENT.fullmatch(key):
            fields.setdefault(int(found[1]), {})[found[2]] = text
    for place, own in sorted(fields.items()):
        is_layered = stored.layers > 1
        value = _number(own.get("LabelValue", ""), 1 if is_layered else place + 1)
        layer = _number(own.get("Layer", ""), place if is_layered else 0)
        name = own.get("Name") or own.get("ID") or f"segment {place + 1}"
        codes = _terminology(own.get("Tags", ""))
        yield Segment(place + 1, name, algorithm="", tracking_uid="", **codes), value, layer, own.get("Extent", "")


def _number(text: str, otherwise: int) -> int:
    return int(text) if re.fullmatch(r"\d{1,9}", text.strip()) else otherwise


def _terminology(tags: str) -> dict[str, CodedConcept | None]:
    """Read the TerminologyEntry tag: context ~ category ~ type ~ modifier ~ context ~ region ~ modifier."""
    entry = next((tag for tag in tags.split("|") if tag.startswith("TerminologyEntry:")), "")
    parts = [*entry.split("~"), *[""] * 7]
    names = {"category": 1, "type": 2, "type_modifier": 3, "region": 5, "region_modifier": 6}
    return {name: _code(parts[place]) for name, place in names.items()}


def _code(text: str) -> CodedConcept | None:
    scheme, value, meaning = [*text.split("^"), "", "", ""][:3]
    return CodedConcept(value, scheme, meaning) if value or meaning else None


def _issues(stored: Nrrd, path: Path, parts: list[_Part]) -> Iterator[ItemIssue]:
    volume = read_volume(path)
    for segment, value, layer, extent in parts:
        name = f"segment {segment.number}"
        if segment.type is None:
            yield ItemIssue(name, UncodedItemError.code, "has no terminology")
        if outside := _outside_extent(volume.mask(value, layer=layer), extent):
            message = f"{outside} voxel(s) lie outside its stated extent and were kept"
            yield ItemIssue(name, BrokenItemError.code, message)
    for layer, array in enumerate(volume.layers):
        known = {value for _, value, own, _ in parts if own == layer} | {0}
        for value in np.setdiff1d(np.unique(array), list(known)).tolist():
            message = "is described by no segment and was left out"
            yield ItemIssue(f"label value {value} of layer {layer}", BrokenItemError.code, message)


def _outside_extent(mask: Mask, extent: str) -> int:
    numbers = [int(one) for one in extent.split() if re.fullmatch(r"-?\d{1,9}", one)]
    if len(numbers) != _EXTENT:
        return 0
    i, j, k = (slice(max(low, 0), max(high + 1, 0)) for low, high in zip(numbers[::2], numbers[1::2], strict=True))
    return int(mask.sum()) - int(mask[k, j, i].sum())
