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

from racoon_data.geometry import Geometry
from racoon_data.grid.reorient import reorient_array
from racoon_data.volumes import Volume

SIDE_PX = 256
# Wide enough for lung, ground glass and soft tissue in one picture.
_HU_WINDOW = (-1050.0, 350.0)
_FILL = 0.22
_QUALITY = 82

Plane = npt.NDArray[Any]
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
        caption: What is seen, in words, also for those who do not see it.
        data_uri: The picture as WebP inside a ``data:`` address.
        width: Width in pixels.
        height: Height in pixels.
    """

    view: str
    caption: str
    data_uri: str
    width: int
    height: int


def colour_of(value: int) -> Colour:
    """Choose the colour of a label value."""
    return PALETTE[(value - 1) % len(PALETTE)]


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
    mean = image.mean(axis=1)[::-1]
    return (
        _draw("axial", _place(grid, k, 2), _grey(image[k], low, high), _layers(marks[k], names), (y_mm, x_mm)),
        _draw(
            *("coronal", _place(grid, j, 1), _grey(image[:, j][::-1], low, high)),
            *(_layers(marks[:, j][::-1], names), (z_mm, x_mm)),
        ),
        _draw(
            *("overview", "mean along the patient's front to back", _grey(mean, *_spread(mean))),
            *({value: (marks == value).any(axis=1)[::-1] for value in names}, (z_mm, x_mm)),
        ),
    )


def _window(volume: Volume, image: Plane) -> tuple[float, float]:
    return _HU_WINDOW if volume.unit == "HU" else _spread(image[:: max(1, len(image) // 32)])


def _spread(values: Plane) -> tuple[float, float]:
    low, high = np.percentile(values, (1, 99.5)) if values.size else (0.0, 1.0)
    return float(low), float(max(high, low + 1e-6))


def _busiest(marks: Plane, *, axis: int) -> int:
    others = tuple(other for other in range(3) if other != axis)
    counts = np.count_nonzero(marks, axis=others)
    return int(counts.argmax()) if counts.any() else marks.shape[axis] // 2


def _place(grid: Geometry, index: int, axis: int) -> str:
    return f"slice {index + 1} of {grid.shape[axis]}"


def _grey(plane: Plane, low: float, high: float) -> Plane:
    return np.asarray(np.clip((plane - low) / (high - low), 0, 1) * 255, dtype=np.uint8)


def _layers(marks: Plane, names: Mapping[int, str]) -> dict[int, Plane]:
    return {value: marks == value for value in names}


def _draw(view: str, place: str, grey: Plane, layers: Mapping[int, Plane], spacing: tuple[float, float]) -> Thumbnail:
    """Scale to true proportions, tint and outline the labels, and encode."""
    height_mm, width_mm = grey.shape[0] * spacing[0], grey.shape[1] * spacing[1]
    scale = SIDE_PX / max(height_mm, width_mm)
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    base = np.asarray(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR), dtype=np.float32)
    picture = np.repeat(base[:, :, None], 3, axis=2)
    for value, layer in layers.items():
        mask = np.asarray(Image.fromarray(layer.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)) > 127
        colour = np.array(colour_of(value), dtype=np.float32)
        picture[mask] = (1 - _FILL) * picture[mask] + _FILL * colour
        picture[_outline(mask)] = colour
    return Thumbnail(view, f"{view} view, {place}", _data_uri(picture.astype(np.uint8)), *size)


def _outline(mask: Plane) -> Plane:
    """Give the pixels of a mask that have a neighbour outside it."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inner)


def _data_uri(picture: Plane) -> str:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="WEBP", quality=_QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
