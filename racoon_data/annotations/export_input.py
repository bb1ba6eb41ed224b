"""What is to be written back: a label map in a schema's language, fractions of one label, or masks read before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data import schemas
from racoon_data.annotations.written_segments import require_codes, segment_of_label
from racoon_data.documents import read_json
from racoon_data.errors import (
    AnnotationError,
    GridMismatchError,
    NothingMatchedError,
    SchemaError,
    SettingsError,
    UnknownLabelError,
)
from racoon_data.files.nifti import read_nifti
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.grid.place import boxed
from racoon_data.labels import IGNORE, BoxedMask, CodedConcept, LabelSchema, Segment

ACCOUNT = "annotations.json"
_CODES = ("category", "type", "type_modifier", "region", "region_modifier")


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """Segments that lie on one grid and belong in one object.

    Attributes:
        geometry: The grid they are on.
        parts: Segments, numbered from 1, and their masks, or fractions ``[k, j, i]`` (float32).
        series_uid: The series they were read from, empty where they do not say.
        reader: Who drew them, empty where they do not say.
        notes: What was left out, as sentences.
    """

    geometry: Geometry
    parts: tuple[tuple[Segment, BoxedMask | npt.NDArray[np.float32]], ...]
    series_uid: str = ""
    reader: str = ""
    notes: tuple[str, ...] = field(default=())


def drawings_of(path: Path, schema: LabelSchema | None, *, label: str = "") -> Iterator[Drawing]:
    """Read what is to be written.

    Args:
        path: A NIfTI file, or a folder (or its ``annotations.json``) that ``racoon annotations read`` wrote.
        schema: The label language of a NIfTI file; masks read before carry their own codes.
        label: For a NIfTI file of one label, its name; values are then a mask, or fractions from 0 to 1.

    Raises:
        SettingsError: A NIfTI file comes without a schema, or the schema has no such label.
        UnknownLabelError: The file holds values the schema does not have.
        UncodedItemError: A label or mask has no true codes.
        NothingMatchedError: There is nothing to write.
    """
    account = path / ACCOUNT if path.is_dir() else path
    if account.name.endswith(".json"):
        yield from _of_account(account)
        return
    if not path.is_file():
        raise NothingMatchedError(f"{path} does not exist", hint="name a label map (.nii.gz) or a folder of masks")
    if schema is None:
        raise SettingsError("a label map needs its label schema", hint="--labels labels.json says what its values mean")
    array, geometry = read_nifti(path)
    yield _of_label(array, geometry, schema, label) if label else drawing_of(array, geometry, schema)


def _of_label(array: npt.NDArray[Any], geometry: Geometry, schema: LabelSchema, label: str) -> Drawing:
    try:
        segment = segment_of_label(schema.by_name(label), 1)
    except KeyError as error:
        known = ", ".join(one.name for one in schema.labels)
        raise SettingsError(f"{label!r} is no label of {schema.name}", hint=f"one of: {known}") from error
    if array.dtype.kind in "iub":
        return Drawing(geometry, ((segment, boxed(array != 0)),))
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
        raise AnnotationError(
            "fractions are not all between 0 and 1", hint="write probabilities, not logits or percent"
        )
    return Drawing(geometry, ((segment, array.astype(np.float32)),))


def drawing_of(array: npt.NDArray[Any], geometry: Geometry, schema: LabelSchema) -> Drawing:
    """Take a label map apart into segments.

    Args:
        array: Label values ``[k, j, i]``; ``IGNORE`` voxels are left out, and a note says how many.
        geometry: Its grid.
        schema: What the values mean.

    Raises:
        UnknownLabelError: It holds values the schema does not have.
        UncodedItemError: A label has no true codes.
        NothingMatchedError: It is empty.
    """
    if array.dtype.kind == "f" and (array != np.rint(array)).any():
        raise AnnotationError("a label map holds whole numbers", hint="for probabilities say which label they are of")
    present = [int(value) for value in np.unique(array) if value != 0]
    notes = []
    if IGNORE in present:
        present.remove(IGNORE)
        notes.append(f"{int((array == IGNORE).sum())} voxel(s) marked to be ignored are not written")
    by_value = {one.value: one for one in schema.labels}
    if unknown := [value for value in present if value not in by_value]:
        message = f"values without a label in {schema.name}: {', '.join(map(str, unknown[:10]))}"
        raise UnknownLabelError(message, hint="use the schema the label map was written with")
    if not present:
        raise NothingMatchedError("the label map is empty", hint="an object without a segment cannot be written")
    parts = [(segment_of_label(by_value[value], n), boxed(array == value)) for n, value in enumerate(present, start=1)]
    return Drawing(geometry, tuple(parts), notes=tuple(notes))


def _of_account(path: Path) -> Iterator[Drawing]:
    try:
        document = read_json(path)
    except FileNotFoundError as error:
        raise NothingMatchedError(f"{path} does not exist", hint="name what racoon annotations read wrote") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SchemaError(f"{path} is not JSON", hint="read the annotations again") from error
    schemas.validate("annotations", document)
    drawn = [entry for entry in document["annotations"] if entry["masks"]]
    if not drawn:
        raise NothingMatchedError("no annotation there holds a mask", hint="reports alone are not written back")
    for entry in drawn:
        yield _of_entry(entry, path.parent)


def _of_entry(entry: dict[str, Any], folder: Path) -> Drawing:
    parts: list[tuple[Segment, BoxedMask]] = []
    grid: Geometry | None = None
    for number, mask in enumerate(entry["masks"], start=1):
        array, geometry = read_nifti(folder / mask["file"])
        if grid is not None and not geometry.same_grid(grid, tol_mm=SAME_GRID_MM):
            raise GridMismatchError(f"{mask['file']} lies on another grid than its neighbours", hint="read them again")
        grid = grid or geometry
        segment = Segment(
            number,
            mask["name"],
            **{part: CodedConcept(**mask[part]) if mask[part] else None for part in _CODES},
            algorithm=mask["algorithm"],
            tracking_uid=mask["tracking_uid"],
        )
        require_codes(segment, hint="map its segments to a label schema and export the label map")
        parts.append((replace(segment, name=segment.name.strip()), boxed(array != 0)))
    assert grid is not None
    return Drawing(grid, tuple(parts), entry["image_series_uid"] or "", entry["reader"])


def by_lesion(drawing: Drawing) -> Drawing:
    """Make a segment of each connected part of every mask, numbered in scan order; corners connect.

    A segment of one part stays as it is. The parts of another have no tracking identity in common.

    Raises:
        SettingsError: It holds fractions, of which some may lie between the parts.
    """
    from racoon_data.grid.components import components

    parts: list[tuple[Segment, BoxedMask]] = []
    for segment, drawn in drawing.parts:
        if not isinstance(drawn, BoxedMask):
            raise SettingsError(
                "fractions are not taken apart into lesions", hint="export the label map, or --as binary"
            )
        numbered = components(drawn.piece)
        count = int(numbered.max(initial=0))
        if count < 2:
            parts.append((replace(segment, number=len(parts) + 1), drawn))
            continue
        for number in range(1, count + 1):
            own = boxed(numbered == number)
            start = (own.start[0] + drawn.start[0], own.start[1] + drawn.start[1], own.start[2] + drawn.start[2])
            name = f"{segment.name} {number}"
            lesion = replace(segment, number=len(parts) + 1, name=name, tracking_uid="")
            parts.append((lesion, BoxedMask(drawn.shape, start, own.piece)))
    return replace(drawing, parts=tuple(parts))
