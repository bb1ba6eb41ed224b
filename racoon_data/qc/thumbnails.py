"""Small pictures of a case with its labels outlined: axial, coronal and an overview, as a reader hangs them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from racoon_data.grid.reorient import reorient_array
from racoon_data.volumes import Volume

SIDE_PX = 256
# Wide enough for lung, ground glass and soft tissue in one picture.
_HU_WINDOW = (-1050.0, 350.0)
_FILL = 0.22
_AIR_GREY = 60
_BODY_SHARE = 0.06
_QUALITY = 82

Pixels = npt.NDArray[Any]
Colour = tuple[int, int, int]

# Okabe and Ito's palette, told apart by colour-blind readers too; order chosen for contrast on grey.
PALETTE: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (204, 121, 167),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
)


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One picture.

    Attributes:
        view: ``axial``, ``coronal`` or ``overview``.
        place: Where it was taken, in words.
        data_uri: The picture as WebP inside a ``data:`` address.
        width: Width in pixels.
        height: Height in pixels.
    """

    view: str
    place: str
    data_uri: str
    width: int
    height: int


def colour_of(value: int) -> Colour:
    """Choose the colour of a label value."""
    return PALETTE[(value - 1) % len(PALETTE)]


def hex_of(value: int) -> str:
    """Give the colour of a label value as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour_of(value))


def thumbnails(
    volume: Volume, labels: npt.NDArray[np.uint8] | None, *, names: Mapping[int, str]
) -> tuple[Thumbnail, ...]:
    """Draw the three pictures of a case.

    Axial and coronal slices are those with the most labelled voxels, the middle ones where nothing is
    labelled. The overview is the mean along the view of a chest radiograph, labels projected. The
    patient's right is on the left, as radiologists hang images.

    Args:
        volume: First channel, any orientation.
        labels: uint8 values ``[k, j, i]`` on its grid, or ``None``.
        names: Label name by value; other values are not drawn.
    """
    image, grid = reorient_array(volume.array, volume.geometry, "LPS")
    image = np.nan_to_num(image.astype(np.float32, copy=False), posinf=0.0, neginf=0.0)
    marks = np.zeros(image.shape, dtype=np.uint8)
    if labels is not None:
        marks, _ = reorient_array(np.where(np.isin(labels, list(names)), labels, 0), volume.geometry, "LPS")
    x_mm, y_mm, z_mm = grid.spacing_mm
    low, high = _window(volume, image)
    k, j = _busiest(marks, axis=0), _busiest(marks, axis=1)
    front, mean = (z_mm, x_mm), image.mean(axis=1)[::-1]
    shadows = {value: (marks == value).any(axis=1)[::-1] for value in names}
    axial = _Plane(_grey(image[k], low, high), {value: marks[k] == value for value in names}, (y_mm, x_mm))
    sliced = marks[:, j][::-1]
    coronal = _Plane(_grey(image[:, j][::-1], low, high), {value: sliced == value for value in names}, front)
    return (
        _draw("axial", f"slice {k + 1} of {grid.shape[2]}", axial),
        _draw("coronal", f"slice {j + 1} of {grid.shape[1]}", coronal),
        _draw("overview", "projection", _Plane(_grey(mean, *_spread(mean)), shadows, front)),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Plane:
    """One slice or projection: grey values, the mask of each label value, millimetres per row and column."""

    grey: Pixels
    layers: Mapping[int, Pixels]
    spacing_mm: tuple[float, float]


def _window(volume: Volume, image: Pixels) -> tuple[float, float]:
    return _HU_WINDOW if volume.unit == "HU" else _spread(image[:: max(1, len(image) // 32)])


def _spread(values: Pixels) -> tuple[float, float]:
    low, high = np.percentile(values, (1, 99.5)) if values.size else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))


def _busiest(marks: Pixels, *, axis: int) -> int:
    others = tuple(other for other in range(3) if other != axis)
    counts = np.count_nonzero(marks, axis=others)
    return int(counts.argmax()) if counts.any() else marks.shape[axis] // 2


def _grey(plane: Pixels, low: float, high: float) -> Pixels:
    return np.asarray(np.clip((plane - low) / (high - low), 0, 1) * 255, dtype=np.uint8)


def _cropped(plane: _Plane) -> _Plane:
    """Cut away the air around the patient, never a label; about half of a CT's field of view is air."""
    inside = plane.grey > _AIR_GREY
    keep = [inside.mean(axis=1 - axis) > _BODY_SHARE for axis in (0, 1)]
    for layer in plane.layers.values():
        keep = [keep[axis] | layer.any(axis=1 - axis) for axis in (0, 1)]
    rows, columns = (_span(kept) for kept in keep)
    layers = {value: layer[rows, columns] for value, layer in plane.layers.items()}
    return _Plane(plane.grey[rows, columns], layers, plane.spacing_mm)


def _span(kept: Pixels) -> slice:
    """Give the range from the first to the last kept line, with a margin; all of it where little is kept."""
    found = np.flatnonzero(kept)
    if found.size < len(kept) // 5:
        return slice(0, len(kept))
    margin = 1 + len(kept) // 50
    return slice(max(0, int(found[0]) - margin), int(found[-1]) + 1 + margin)


def _draw(view: str, place: str, whole: _Plane) -> Thumbnail:
    """Scale to true proportions, tint and outline the labels, and encode."""
    plane = _cropped(whole)
    height_mm, width_mm = np.multiply(plane.grey.shape, plane.spacing_mm)
    scale = SIDE_PX / max(height_mm, width_mm)
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    picture = np.repeat(_resized(plane.grey, size)[:, :, None], 3, axis=2).astype(np.float32)
    for value, layer in plane.layers.items():
        mask = _resized(layer.astype(np.uint8) * 255, size) > 127
        colour = np.array(colour_of(value), dtype=np.float32)
        picture[mask] = (1 - _FILL) * picture[mask] + _FILL * colour
        picture[_outline(mask)] = colour
    return Thumbnail(view, place, _data_uri(picture.astype(np.uint8)), *size)


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).resize(size, Image.Resampling.BILINEAR))


def _outline(mask: Pixels) -> Pixels:
    """Give the pixels of a mask that have a neighbour outside it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inner)


def _data_uri(picture: Pixels) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="WEBP", quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
