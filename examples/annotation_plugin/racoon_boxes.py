"""An example plug-in: ``*.boxes.json`` of an invented tool, boxes of voxels on a grid of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from racoon_data.errors import BrokenExportError
from racoon_data.geometry import Geometry, as_affine
from racoon_data.labels import CodedConcept, Segment
from racoon_data.tool_exports import Look, Masks, OwnMask, Pointers, ToolExport, content_uid

LESION = CodedConcept("52988006", "SCT", "Lesion")


class BoxesReader:
    """Reads boxes: linking, placing on the image and pseudonyms are racoon's work."""

    kind = "boxes"

    def claims(self, path: Path) -> bool:
        """Boxes are known by their name."""
        return path.name.endswith(".boxes.json")

    def look(self, path: Path) -> Look:
        """Say what the file holds: segments, the series it names, and its grid."""
        document = _load(path)
        segments = tuple(Segment(n, box["name"], type=LESION) for n, box in enumerate(document["boxes"], start=1))
        grid = Geometry(tuple(document["shape"]), as_affine(document["affine_lps"]))
        pointers = Pointers(patient=document["patient"], series_uids=frozenset({document["series_uid"]}))
        return Look((ToolExport(content_uid(self.kind, path.read_bytes()), self.kind, pointers, grid, segments),))

    def masks(self, path: Path, export: ToolExport) -> Masks:
        """Give one mask per box, ``[k, j, i]`` on the tool's grid."""
        for number, box in enumerate(_load(path)["boxes"], start=1):
            mask = np.zeros(export.grid.array_shape, dtype=np.bool_)
            (i, j, k), (i_end, j_end, k_end) = box["from"], box["to"]
            mask[k:k_end, j:j_end, i:i_end] = True
            yield OwnMask(number, mask)


def _load(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        missing = {"patient", "series_uid", "shape", "affine_lps", "boxes"} - document.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise BrokenExportError("the boxes cannot be read", hint="export them again") from error
    if missing:
        raise BrokenExportError(f"the boxes lack {', '.join(sorted(missing))}", hint="export them again")
    return document
