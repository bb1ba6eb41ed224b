"""dcmqi's meta JSON (``segmentAttributes``) beside the label volumes it describes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from racoon_data.annotations.tools.json_documents import Table, dicom_code, read_object, tables_at, text_at, whole_at
from racoon_data.annotations.tools.trees import head_of
from racoon_data.annotations.tools.volumes import SUFFIXES, read_grid, read_volume, require_one_grid
from racoon_data.errors import BrokenExportError
from racoon_data.labels import Segment
from racoon_data.tool_exports import Look, Masks, OwnMask, ToolExport, content_uid

_META = re.compile(r"[-_.]?meta$")


class DcmqiReader:
    """Reads what ``segimage2itkimage`` writes and ``itkimage2segimage`` takes.

    ``x.json`` or ``x-meta.json`` describes ``x.nii.gz`` (or ``.nrrd``), or ``x-1.nii.gz``, ``x-2.nii.gz`` ... where
    labels overlap: one list of segments a file, in order. Without a prefix they are ``meta.json``, ``1.nrrd`` ...
    """

    kind = "dcmqi"

    def claims(self, path: Path) -> bool:
        """Tell whether it is JSON that speaks of segment attributes."""
        return path.suffix.lower() == ".json" and b'"segmentAttributes"' in head_of(path)

    def look(self, path: Path) -> Look:
        """Read the description and the volumes' grids.

        Raises:
            BrokenExportError: It describes no segment, or its volumes are not beside it.
        """
        document = read_object(path)
        parts = list(_parts(path, document))
        files = list(dict.fromkeys(file for file, _, _ in parts))
        if not parts:
            raise BrokenExportError("the meta JSON describes no segment", hint="export it again")
        grid = require_one_grid([read_grid(file) for file in files])
        uid = content_uid(self.kind, path.read_bytes(), *(file.read_bytes() for file in files))
        segments = tuple(_segment(number, item) for number, (_, item, _) in enumerate(parts, start=1))
        reader = text_at(document, "ContentCreatorName")
        return Look((ToolExport(uid, self.kind, grid=grid, segments=segments, reader=reader),), companions=tuple(files))

    def masks(self, path: Path, export: ToolExport) -> Masks:
        """Read one mask per described segment."""
        parts = list(enumerate(_parts(path, read_object(path)), start=1))
        for file in dict.fromkeys(file for _, (file, _, _) in parts):
            volume = read_volume(file)
            own = [(number, value) for number, (other, _, value) in parts if other == file]
            yield from (OwnMask(number, volume.mask(value)) for number, value in own)
            yield from volume.undescribed(value for _, value in own)


def _parts(path: Path, document: Table) -> Iterator[tuple[Path, Table, int]]:
    """Give each described segment with its file and voxel value."""
    groups = document.get("segmentAttributes")
    described = [group if isinstance(group, list) else [group] for group in groups] if isinstance(groups, list) else []
    for place, group in enumerate(described, start=1):
        file = _volume(path, place, alone=len(described) == 1)
        for number, item in enumerate(tables_at({"all": group}, "all"), start=1):
            yield file, item, whole_at(item, "labelID") or number


def _volume(path: Path, place: int, *, alone: bool) -> Path:
    stem = _META.sub("", path.name[: -len(".json")])
    stems = [f"{stem}-{place}", f"{stem}_{place}", *([stem] if alone else [])] if stem else [str(place)]
    for name in (f"{one}{suffix}" for one in stems for suffix in SUFFIXES):
        if (path.parent / name).is_file():
            return path.parent / name
    raise BrokenExportError(
        "the volume the meta JSON describes is not beside it", hint="name it like the JSON: x.json and x.nii.gz"
    )


def _segment(number: int, item: Table) -> Segment:
    name = text_at(item, "SegmentLabel") or text_at(item, "SegmentDescription") or f"segment {number}"
    return Segment(
        number,
        name,
        category=dicom_code(item, "SegmentedPropertyCategoryCodeSequence"),
        type=dicom_code(item, "SegmentedPropertyTypeCodeSequence"),
        type_modifier=dicom_code(item, "SegmentedPropertyTypeModifierCodeSequence"),
        region=dicom_code(item, "AnatomicRegionSequence"),
        region_modifier=dicom_code(item, "AnatomicRegionModifierSequence"),
        algorithm=text_at(item, "SegmentAlgorithmType"),
        tracking_uid=text_at(item, "TrackingUniqueIdentifier"),
    )
