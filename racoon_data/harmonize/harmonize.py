"""A case to its recipe: one orientation, one grid, one intensity scale, and what that cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.cases import Case, Channel
from racoon_data.errors import MisalignedChannelsError, SettingsError, TooSmallError
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.grid.components import without_small
from racoon_data.grid.reorient import orientation_of, reorient, reorient_array
from racoon_data.grid.resample import resample_image, resample_labels, target_grid
from racoon_data.harmonize.crop import crop
from racoon_data.harmonize.drift import check_drift, settle_labels
from racoon_data.harmonize.intensity import apply, meant_for
from racoon_data.harmonize.recipe import Recipe
from racoon_data.harmonize.steps import step
from racoon_data.labels import BACKGROUND, IGNORE, Annotation, SegmentMask
from racoon_data.refs import SeriesRef
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
        TooSmallError: The harmonized image is smaller than the recipe wants.
        LabelDriftError: A label changed its volume by more than the recipe allows.
    """
    check_frames((one.name, one.series, one.volume.geometry) for one in case.channels)
    if recipe.spacing_mm == "median":
        raise SettingsError("the recipe's spacing is the median of a dataset", hint="settle it for the dataset first")
    native = case.channels[0].volume.geometry
    code = orientation_of(native) if recipe.orientation == "native" else recipe.orientation
    turned = _turned(_corrected(case, recipe), code)
    kept = crop(_without_small_lesions(turned, recipe.min_lesion_ml), recipe.crop, margin_mm=recipe.crop_margin_mm)
    first = kept.channels[0].volume.geometry
    target = first if recipe.spacing_mm == "native" else snapped(first, target_grid(first, recipe.spacing_mm))
    check_size(target, recipe)
    placed = _placed(kept, target, recipe)
    channels = tuple(_scaled(channel, recipe) for channel in placed.channels)
    return replace(placed, channels=channels, steps=(*placed.steps, *_intensity_step(placed.channels, recipe)))


def check_size(target: Geometry, recipe: Recipe) -> None:
    """Refuse an image that is too small for the recipe.

    Raises:
        TooSmallError: It has fewer voxels along an axis.
    """
    if min(target.shape) < recipe.min_voxels:
        size = " x ".join(map(str, target.shape))
        raise TooSmallError(
            f"{size} voxels are fewer than {recipe.min_voxels}", hint="lower min_voxels, or leave it out"
        )


def check_frames(channels: Iterable[tuple[str, SeriesRef, Geometry]]) -> None:
    """Refuse channels that were never registered.

    Args:
        channels: Name, series and grid of each.

    Raises:
        MisalignedChannelsError: They name different frames of reference.
    """
    listed = list(channels)
    frames = {grid.frame_of_reference for _, _, grid in listed} - {None}
    if len(frames) > 1:
        names = ", ".join(f"{name} ({series})" for name, series, _ in listed)
        raise MisalignedChannelsError(
            f"channels lie in {len(frames)} frames of reference: {names}",
            hint="register them before racoon, or make them cases of their own",
        )


def snapped(first: Geometry, target: Geometry) -> Geometry:
    """Give the grid itself where the target is the same: then no voxel is interpolated."""
    return first if first.same_grid(target, tol_mm=SAME_GRID_MM) else target


def _corrected(case: Case, recipe: Recipe) -> Case:
    """Apply what goes before resampling, channel by channel."""
    steps = []
    for one in case.channels:
        done = [each.model_dump(mode="json") for each in meant_for(recipe.intensity, channel=one.name, before=True)]
        steps += [step("intensity", "SimpleITK", channel=one.name, before_resampling=True, steps=done)] if done else []
    channels = tuple(
        replace(one, volume=apply(one.volume, recipe.intensity, channel=one.name, before=True)) for one in case.channels
    )
    return replace(case, channels=channels, steps=(*case.steps, *steps))


def _turned(case: Case, code: str) -> Case:
    before = {channel.name: orientation_of(channel.volume.geometry) for channel in case.channels}
    channels = tuple(replace(channel, volume=reorient(channel.volume, code)) for channel in case.channels)
    return _remapped(
        replace(case, channels=channels, steps=(*case.steps, step("reorient", **{"from": before, "to": code}))),
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
    placed, volumes = _settled(case, placed, recipe)
    return replace(placed, steps=(*case.steps, *_resample_step(case, moved, target, recipe), *volumes))


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
    for value in sorted({int(value) for value in np.unique(array)} - {BACKGROUND, IGNORE}):
        mask = label_map.array == value
        stays, gone = without_small(mask, min_ml=min_ml, voxel_ml=label_map.geometry.voxel_ml)
        array[mask & ~stays] = 0
        if gone:
            removed.append({"value": value, "components": len(gone), "ml": round(sum(gone), 6)})
    done = step("min_lesion", "SimpleITK", min_ml=min_ml, removed=removed)
    return replace(case, label_map=replace(label_map, array=array), steps=(*case.steps, done))


def _resample_step(case: Case, moved: list[str], target: Geometry, recipe: Recipe) -> list[dict[str, object]]:
    if not moved:
        return []
    first = case.channels[0].volume.geometry
    grids = {
        "from": {"shape": list(first.shape), "spacing_mm": [round(mm, 6) for mm in first.spacing_mm]},
        "to": {"shape": list(target.shape), "spacing_mm": [round(mm, 6) for mm in target.spacing_mm]},
    }
    how = {"image_interpolation": recipe.image_interpolation, "label_interpolation": recipe.label_interpolation}
    return [step("resample", "SimpleITK", channels=moved, **grids, **how)]


def _settled(before: Case, after: Case, recipe: Recipe) -> tuple[Case, list[dict[str, object]]]:
    """Measure what the change of grid did to the labels, draw lost lesions again, refuse what drifted too far."""
    old, new = before.label_map, after.label_map
    if old is None or new is None or old.geometry.same_grid(new.geometry, tol_mm=SAME_GRID_MM):
        return after, []
    how, keep = recipe.label_interpolation, recipe.keep_lesions
    label_map, rows = settle_labels(old, new, interpolation=how, keep=keep)
    check_drift(rows, recipe.max_drift_percent)
    return replace(after, label_map=label_map), [step("label_volumes", "SimpleITK", keep_lesions=keep, labels=rows)]


def _scaled(channel: Channel, recipe: Recipe) -> Channel:
    return replace(channel, volume=apply(channel.volume, recipe.intensity, channel=channel.name))


def _intensity_step(channels: Sequence[Channel], recipe: Recipe) -> list[dict[str, object]]:
    named = {one.name: meant_for(recipe.intensity, channel=one.name, before=False) for one in channels}
    return [
        step("intensity", "SimpleITK", channel=name, steps=[each.model_dump(mode="json") for each in done])
        for name, done in named.items()
        if done
    ]
