"""NIfTI or NRRD masks with a label file (``*.labels.json``): our own small format for tools without one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from racoon_data.annotations.tools.trees import head_of, read_bytes
from racoon_data.annotations.tools.volumes import LabelVolume, beside, read_grid, read_volume, require_one_grid
from racoon_data.errors import BrokenExportError
from racoon_data.labels import Segment
from racoon_data.refs import InstanceRef
from racoon_data.tool_exports import LABELS, LABELS_SUFFIX, Look, Masks, OwnMask, Pointers, ToolExport, content_uid

if TYPE_CHECKING:
    from racoon_data.files.label_file import LabelFile


class LabelFileReader:
    """Reads label files."""

    kind = "label-file"

    def claims(self, path: Path) -> bool:
        """Tell whether the name or the first bytes are a label file's."""
        name = path.name.lower()
        if name.endswith(LABELS_SUFFIX):
            return True
        return name.endswith(".json") and LABELS.encode() in head_of(path)

    def look(self, path: Path) -> Look:
        """Read the label file and its volumes' headers.

        Raises:
            BrokenExportError: It does not fit its schema, names no content, or its volumes cannot be read.
        """
        from racoon_data.files.label_file import finding_of, load_label_file

        data = read_bytes(path)
        document = load_label_file(path)
        if not document.masks and not document.findings:
            raise BrokenExportError("the label file names neither masks nor findings", hint="export it again")
        files = [beside(path, part.file) for part in document.masks]
        grid = require_one_grid([read_grid(file) for file in files]) if files else None
        sums = (file.read_bytes() for file in files)
        uid = document.uid or content_uid(self.kind, data, *sums)
        source = InstanceRef(document.study_uid, "", uid)
        findings = tuple(finding_of(row, source) for row in document.findings)
        export = ToolExport(
            uid,
            document.kind or self.kind,
            _pointers(document),
            grid,
            tuple(segment for segment, _, _ in _segments(document)),
            findings,
            document.reader,
            notes=document.notes,
        )
        return Look((export,), companions=tuple(files))

    def masks(self, path: Path, export: ToolExport) -> Masks:
        """Read one mask per label."""
        from racoon_data.files.label_file import load_label_file

        document = load_label_file(path)

        @lru_cache(maxsize=1)
        def volume(name: str) -> LabelVolume:
            return read_volume(beside(path, name))

        for segment, name, value in _segments(document):
            yield OwnMask(segment.number, volume(name).mask(value))
        for part in document.masks:
            yield from volume(part.file).undescribed(label.value for label in part.labels)


def _pointers(document: LabelFile) -> Pointers:
    return Pointers(
        document.patient,
        document.study_uid,
        document.accession,
        frozenset(document.series_uids),
        frozenset(document.sop_uids),
        document.frame_of_reference or None,
    )


def _segments(document: LabelFile) -> list[tuple[Segment, str, int]]:
    """Give each label with its file and voxel value; numbers run through all files."""
    from racoon_data.files.label_file import segment_of

    parts = [(part.file, label) for part in document.masks for label in part.labels]
    return [
        (segment_of(label, number=number), file, label.value) for number, (file, label) in enumerate(parts, start=1)
    ]
