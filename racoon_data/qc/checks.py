"""Is this case fit to learn from? Plain functions in a tuple, each looking for one kind of defect."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.cases import Case, QcIssue
from racoon_data.geometry import SAME_GRID_MM
from racoon_data.labels import BACKGROUND, IGNORE, LabelSchema
from racoon_data.qc import codes
from racoon_data.refs import CaseRef

# Air is -1000 HU. Above this nothing of an image is air; below the second value nothing is tissue
# (emphysema goes down to about -980 in single voxels, its median stays above -970).
_NO_AIR_HU = -300.0
_AIR_HU = -970.0
# Tissue of a CT stored without its intercept of -1024 stands here.
_UNSCALED_HU = (874.0, 1274.0)
_UNSCALED_SHARE = 0.05
_DRIFT_PERCENT = 10.0
_SAMPLE = 200_000

Check = Callable[[Case, LabelSchema], Iterator[QcIssue]]


def check_case(case: Case, schema: LabelSchema) -> tuple[QcIssue, ...]:
    """Look at one harmonized case.

    Args:
        case: Images, labels, annotations and the steps that led here.
        schema: The label language.

    Returns:
        What was seen, in the order of ``CHECKS``; nothing for a clean case.
    """
    return tuple(issue for check in CHECKS for issue in check(case, schema))


def non_finite(case: Case, schema: LabelSchema) -> Iterator[QcIssue]:
    """Find voxels that are no numbers."""
    for channel in case.channels:
        array = channel.volume.array
        if array.dtype.kind == "f" and (bad := array.size - int(np.isfinite(array).sum())):
            yield codes.NON_FINITE.of(case.ref, f"{channel.name}: {bad} of {array.size} voxels are not finite")


def constant(case: Case, schema: LabelSchema) -> Iterator[QcIssue]:
    """Find images without contrast."""
    for channel in case.channels:
        array = channel.volume.array
        if array.size and array.min() == array.max():
            yield codes.CONSTANT.of(case.ref, f"{channel.name}: every voxel is {array.flat[0]}")


def no_rescale(case: Case, schema: LabelSchema) -> Iterator[QcIssue]:
    """Find CTs whose values are no HU: no air at the low end, and tissue a thousand too high."""
    for channel in case.channels:
        if channel.acquisition.modality != "CT" or channel.volume.unit != "HU":
            continue
        values = _sample(channel.volume.array)
        low = float(np.percentile(values, 1)) if values.size else _NO_AIR_HU
        share = float(np.mean((values > _UNSCALED_HU[0]) & (values < _UNSCALED_HU[1]))) if values.size else 0.0
        if low > _NO_AIR_HU and share > _UNSCALED_SHARE:
            message = f"{channel.name}: 1st percentile {low:.0f} HU, {share:.0%} of voxels around +1024; air is -1000"
            yield codes.NO_RESCALE.of(case.ref, message)


def _sample(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Take every n-th finite voxel: enough for percentiles, quick on large volumes."""
    values = array.ravel()[:: max(1, array.size // _SAMPLE)]
    return np.asarray(values[np.isfinite(values)])


def grids(case: Case, schema: LabelSchema) -> Iterator[QcIssue]:
    """Find channels and labels that do not lie on the first channel's grid."""
    grid = case.channels[0].volume.geometry
    for channel in case.channels[1:]:
        if not grid.same_grid(channel.volume.geometry, tol_mm=SAME_GRID_MM):
            yield codes.IMAGE_GRID.of(case.ref, f"{channel.name} lies on another grid than {case.channels[0].name}")
    if case.label_map is not None and not grid.same_grid(case.label_map.geometry, tol_mm=SAME_GRID_MM):
        ours, theirs = grid.position_lps((0, 0, 0)), case.label_map.geometry.position_lps((0, 0, 0))
        apart = float(np.linalg.norm(np.subtract(ours, theirs)))
        sizes = f"{grid.shape} and {case.label_map.geometry.shape}"
        yield codes.LABEL_GRID.of(case.ref, f"first voxels are {apart:.2f} mm apart, sizes are {sizes}")


def label_values(case: Case, schema: LabelSchema) -> Iterator[QcIssue]:
    """Find label values without a meaning."""
    if case.label_map is not None:
        known = {BACKGROUND, IGNORE, *(label.value for label in schema.labels)}
        unknown = sorted(set(np.unique(case.label_map.array).tolist()) - known)
        if unknown:
            yield codes.UNEXPECTED_VALUE.of(case.ref, f"values {unknown} are not in schema {schema.name}")


def empty_label(case: Case, schema: LabelSchema) -> Iterator[QcIssue]:
    """Find label maps that lost everything a reader outlined."""
    if case.label_map is None or (case.label_map.array != BACKGROUND).any():
        return
    outlined = any(mask.mask.any() for annotation in case.annotations for mask in annotation.masks)
    before_ml = sum(row["before_ml"] for row in _volume_rows(case.steps))
    if outlined or before_ml:
        before = f", {before_ml:.3f} ml before resampling" if before_ml else ""
        yield codes.EMPTY.of(case.ref, f"segments were outlined{before}; 0 voxels are labelled")


def label_in_air(case: Case, schema: LabelSchema) -> Iterator[QcIssue]:
    """Find labels whose median voxel is air."""
    volume = case.channels[0].volume
    if case.label_map is None or volume.unit != "HU" or volume.array.shape != case.label_map.array.shape:
        return
    for label in schema.labels:
        inside = volume.array[case.label_map.array == label.value]
        if inside.size and (median := float(np.median(inside))) < _AIR_HU:
            yield codes.IN_AIR.of(case.ref, f"{label.name}: median {median:.0f} HU in {inside.size} voxels")


def coverage(case: Case, schema: LabelSchema) -> Iterator[QcIssue]:
    """Find labels nobody said were looked for, and segments nobody could map."""
    if case.unmapped:
        yield codes.UNMAPPED.of(case.ref, f"not mapped: {', '.join(case.unmapped)}")
    if case.label_map is None:
        return
    if not case.label_map.annotated:
        yield codes.UNKNOWN_COVERAGE.of(case.ref, "the label map names no label that was looked for")
        return
    present = set(np.unique(case.label_map.array).tolist())
    wanted = set(case.label_map.annotated)
    for label in schema.labels:
        if label.value in present and label.name not in wanted:
            yield codes.NOT_DECLARED.of(case.ref, f"{label.name} is present and not declared as annotated")


def volume_drift(case: Case, schema: LabelSchema) -> Iterator[QcIssue]:
    """Find labels whose volume harmonizing changed, as its ``label_volumes`` step recorded it."""
    names = {label.value: label.name for label in schema.labels}
    for row in _volume_rows(case.steps):
        name, drift, lost = names.get(row["value"], row["value"]), row["drift_percent"], row["vanished"]
        if abs(drift) > _DRIFT_PERCENT:
            change = f"{row['before_ml']:.2f} to {row['after_ml']:.2f} ml ({drift:+.1f} %)"
            yield codes.DRIFT.of(case.ref, f"{name}: {change}")
        if lost:
            message = f"{name}: {lost} of {row['components']} lesions, {row['vanished_ml']:.3f} ml"
            yield codes.LESION_LOST.of(case.ref, message)


def _volume_rows(steps: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for step in steps:
        if step.get("step") == "label_volumes":
            yield from step["labels"]


CHECKS: tuple[Check, ...] = (
    non_finite,
    constant,
    no_rescale,
    grids,
    label_values,
    empty_label,
    label_in_air,
    coverage,
    volume_drift,
)


def check_duplicates(pixel_sha256: Mapping[str, str]) -> tuple[QcIssue, ...]:
    """Look across cases for the same image under two names.

    Args:
        pixel_sha256: Hash of the first image's values by case id (``PixelSha256`` of the sidecars).

    Returns:
        One issue for each case that shares its image, in order of case id.
    """
    owners: dict[str, list[str]] = defaultdict(list)
    for case_id, sha256 in sorted(pixel_sha256.items()):
        owners[sha256].append(case_id)
    issues = [
        codes.DUPLICATE.of(CaseRef(case_id), f"same voxels as {', '.join(sorted({*cases} - {case_id}))}")
        for cases in owners.values()
        if len(cases) > 1
        for case_id in cases
    ]
    return tuple(sorted(issues, key=lambda issue: issue.case))
