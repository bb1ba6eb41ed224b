"""A case to its recipe: one orientation, one grid, one intensity scale, and what that cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813 - the library's own habit

from racoon_data.cases import Case, Channel
from racoon_data.errors import MisalignedChannelsError
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.grid.components import without_small
from racoon_data.grid.reorient import orientation_of, reorient, reorient_array
from racoon_data.grid.resample import resample_image, resample_labels, target_grid
from racoon_data.harmonize.drift import label_drift
from racoon_data.harmonize.intensity import apply
from racoon_data.harmonize.recipe import Recipe
from racoon_data.labels import Annotation, SegmentMask
from racoon_data.volumes import Volume

Array = npt.NDArray[Any]
Move = Callable[[Array, Geometry], tuple[Array, Geometry]]


def harmonize(case: Case, recipe: Recipe) -> Case:
    """Bring a case to a recipe.

    The first channel sets the grid: turned to the recipe's orientation, at the recipe's spacing.
    Every other channel, the label map and each reader's masks are carried onto it. What already lies
    on the target grid is not interpolated, so ``spacing_mm = native`` keeps voxels bit for bit.

    Args:
        case: Channels on their own grids; masks on the grid they were read onto.
        recipe: What to bring it to.

    Returns:
        A new case on one grid, with one entry in ``steps`` for each thing that was done. The entry
        ``label_volumes`` lists millilitres per label before and after, and lesions that vanished.

    Raises:
        MisalignedChannelsError: Two channels name different frames of reference.
        NoGeometryError: An affine is singular.
    """
    _check_frames(case.channels)
    native = case.channels[0].volume.geometry
    code = orientation_of(native) if recipe.orientation == "native" else recipe.orientation
    turned = _turned(case, code)
    first = turned.channels[0].volume.geometry
    target = first if recipe.spacing_mm == "native" else _snapped(first, target_grid(first, recipe.spacing_mm))
    kept = _without_small_lesions(turned, recipe.min_lesion_ml)
    placed = _placed(kept, target, recipe)
    channels = tuple(_scaled(channel, recipe) for channel in placed.channels)
    return replace(placed, channels=channels, steps=(*placed.steps, *_intensity_step(recipe)))


def _check_frames(channels: Sequence[Channel]) -> None:
    frames = {channel.volume.geometry.frame_of_reference for channel in channels} - {None}
    if len(frames) > 1:
        names = ", ".join(f"{channel.name} ({channel.series})" for channel in channels)
        raise MisalignedChannelsError(
            f"channels lie in {len(frames)} frames of reference: {names}",
            hint="register them before racoon, or make them cases of their own",
        )


def _snapped(first: Geometry, target: Geometry) -> Geometry:
    return first if first.same_grid(target, tol_mm=SAME_GRID_MM) else target


def _turned(case: Case, code: str) -> Case:
    before = {channel.name: orientation_of(channel.volume.geometry) for channel in case.channels}
    step: dict[str, object] = {"step": "reorient", "from": before, "to": code}
    channels = tuple(replace(channel, volume=reorient(channel.volume, code)) for channel in case.channels)
    return _remapped(
        replace(case, channels=channels, steps=(*case.steps, step)),
        lambda array, geometry: reorient_array(array, geometry, code),
    )


def _placed(case: Case, target: Geometry, recipe: Recipe) -> Case:
    moved = [one.name for one in case.channels if not one.volume.geometry.same_grid(target, tol_mm=SAME_GRID_MM)]
    channels = tuple(
        replace(one, volume=_image_on(one.volume, target, recipe.image_interpolation)) for one in case.channels
    )

    def labels_on(array: Array, geometry: Geometry) -> tuple[Array, Geometry]:
        if geometry.same_grid(target, tol_mm=SAME_GRID_MM):
            return array, target
        return resample_labels(array, geometry, target, interpolation=recipe.label_interpolation), target

    placed = _remapped(replace(case, channels=channels), labels_on)
    steps = [*_resample_step(case, moved, target, recipe), *_volume_step(case, placed, recipe)]
    return replace(placed, steps=(*case.steps, *steps))


def _image_on(volume: Volume, target: Geometry, interpolation: str) -> Volume:
    if volume.geometry.same_grid(target, tol_mm=SAME_GRID_MM):
        return Volume(volume.array, target, volume.unit)
    return resample_image(volume, target, interpolation=interpolation)


def _remapped(case: Case, move: Move) -> Case:
    """Move the label map and every reader's masks the same way."""
    label_map = case.label_map
    if label_map is not None:
        array, geometry = move(label_map.array, label_map.geometry)
        label_map = replace(label_map, array=array, geometry=geometry)
    return replace(case, label_map=label_map, annotations=tuple(_moved(one, move) for one in case.annotations))


def _moved(annotation: Annotation, move: Move) -> Annotation:
    source = annotation.geometry
    if source is None or not annotation.masks:
        return replace(annotation, geometry=None)
    moved = [(one.segment, *move(one.mask, source)) for one in annotation.masks]
    masks = tuple(SegmentMask(segment, mask) for segment, mask, _ in moved)
    return replace(annotation, masks=masks, geometry=moved[0][2])


def _without_small_lesions(case: Case, min_ml: float) -> Case:
    label_map = case.label_map
    if label_map is None or min_ml <= 0:
        return case
    array = label_map.array.copy()
    removed: list[dict[str, object]] = []
    for value in sorted({int(value) for value in np.unique(array)} - {0}):
        mask = label_map.array == value
        stays, gone = without_small(mask, min_ml=min_ml, voxel_ml=label_map.geometry.voxel_ml)
        array[mask & ~stays] = 0
        if gone:
            removed.append({"value": value, "components": len(gone), "ml": round(sum(gone), 6)})
    step: dict[str, object] = {"step": "min_lesion", "min_ml": min_ml, "removed": removed}
    return replace(case, label_map=replace(label_map, array=array), steps=(*case.steps, step))


def _resample_step(case: Case, moved: list[str], target: Geometry, recipe: Recipe) -> list[dict[str, object]]:
    if not moved:
        return []
    first = case.channels[0].volume.geometry
    return [
        {
            "step": "resample",
            "channels": moved,
            "from": {"shape": list(first.shape), "spacing_mm": [round(mm, 6) for mm in first.spacing_mm]},
            "to": {"shape": list(target.shape), "spacing_mm": [round(mm, 6) for mm in target.spacing_mm]},
            "image_interpolation": recipe.image_interpolation,
            "label_interpolation": recipe.label_interpolation,
            "library": f"SimpleITK {sitk.Version_VersionString()}",
        }
    ]


def _volume_step(before: Case, after: Case, recipe: Recipe) -> list[dict[str, object]]:
    old, new = before.label_map, after.label_map
    if old is None or new is None or old.geometry.same_grid(new.geometry, tol_mm=SAME_GRID_MM):
        return []
    return [{"step": "label_volumes", "labels": label_drift(old, new, interpolation=recipe.label_interpolation)}]


def _scaled(channel: Channel, recipe: Recipe) -> Channel:
    return replace(channel, volume=apply(channel.volume, recipe.intensity, channel=channel.name))


def _intensity_step(recipe: Recipe) -> list[dict[str, object]]:
    done = [step.model_dump(mode="json") for step in recipe.intensity]
    return [{"step": "intensity", "steps": done}] if done else []
