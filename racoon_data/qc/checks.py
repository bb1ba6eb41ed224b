"""Is this case fit to learn from? Plain functions in a tuple, each looking for one kind of defect."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from racoon_data.cases import Case, QcIssue
from racoon_data.geometry import SAME_GRID_MM
from racoon_data.labels import IGNORE, LabelSchema
from racoon_data.qc import codes
from racoon_data.qc.drifts import volume_drift
from racoon_data.qc.facts import CaseFacts, ChannelStated, LabelFacts, Stated
from racoon_data.qc.laterality import wrong_side
from racoon_data.qc.measure import measure
from racoon_data.qc.moved import displaced

# Air is -1000 HU. Above this nothing of an image is air; below the second value nothing is tissue
# (emphysema goes down to about -980 in single voxels, its median stays above -970).
_NO_AIR_HU = -300.0
_AIR_HU = -970.0
_UNSCALED_SHARE = 0.05
_OUTSIDE_SHARE = 0.5
# Where an image was carried onto another grid, slices at its ends may lie outside the source.
_RESAMPLED_BLANKS = 0.1
# The mirror image of a mask fits where the image rises (or falls) inward nearly all along its boundary.
_NO_FIT, _GOOD_FIT = 0.6, 0.85
_FITS_RATIO, _FITS_RANGE = 4.0, 0.05

Check = Callable[[CaseFacts], Iterator[QcIssue]]


def check_case(case: Case, schema: LabelSchema) -> tuple[QcIssue, ...]:
    """Look at one harmonized case before it is written.

    Args:
        case: Images, labels, annotations and the steps that led here.
        schema: The label language.

    Returns:
        What was seen, in the order of ``CHECKS``; nothing for a clean case.
    """
    return check_facts(facts_of(case, schema))


def check_facts(facts: CaseFacts) -> tuple[QcIssue, ...]:
    """Look at one case whose voxels were measured; see ``check_case``."""
    return tuple(issue for check in CHECKS for issue in check(facts))


def facts_of(case: Case, schema: LabelSchema) -> CaseFacts:
    """Measure a case in memory."""
    channels = tuple(
        ChannelStated(one.name, one.volume.unit, one.acquisition.modality, kernel=" ".join(one.acquisition.kernel))
        for one in case.channels
    )
    label_map = case.label_map
    stated = Stated(
        ref=case.ref,
        channels=channels,
        schema=schema,
        ignore_value=IGNORE,
        annotated=label_map.annotated if label_map else (),
        unmapped=case.unmapped,
        steps=case.steps,
        is_outlined=any(mask.mask.any() for one in case.annotations for mask in one.masks),
    )
    labels = (label_map.array, label_map.geometry) if label_map else None
    volumes = [channel.volume for channel in case.channels]
    return CaseFacts(stated, measure(volumes, labels))


def non_finite(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find voxels that are no numbers."""
    for channel, image in zip(facts.stated.channels, facts.measured.images, strict=True):
        if image.non_finite:
            total = int(np.prod(image.geometry.shape))
            measured = f"{channel.name}: {image.non_finite} of {total} voxels are not finite"
            yield codes.NON_FINITE.of(facts.ref, measured)


def constant(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find images without contrast."""
    for channel, image in zip(facts.stated.channels, facts.measured.images, strict=True):
        if image.low == image.high and not image.non_finite:
            yield codes.CONSTANT.of(facts.ref, f"{channel.name}: every voxel is {image.low:g}")


def no_rescale(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find CTs whose values are no HU: no air at the low end, and tissue a thousand too high."""
    for channel, image in zip(facts.stated.channels, facts.measured.images, strict=True):
        is_hu = channel.modality in ("CT", "") and channel.unit == "HU"
        if is_hu and image.p01 > _NO_AIR_HU and image.unscaled_share > _UNSCALED_SHARE:
            seen = f"1st percentile {image.p01:.0f} HU, {image.unscaled_share:.0%} of voxels around +1024"
            yield codes.NO_RESCALE.of(facts.ref, f"{channel.name}: {seen}; air is -1000")


def truncated(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find volumes that are shorter than they were written, lie elsewhere, or end in blank slices."""
    image, written = facts.measured.images[0], facts.stated.geometry
    name, shape = facts.stated.channels[0].name, image.geometry.shape
    if written is not None and written.shape != shape:
        yield codes.TRUNCATED.of(facts.ref, f"{name}: {_size(shape)} voxels, written were {_size(written.shape)}")
    elif written is not None and not written.same_grid(image.geometry, tol_mm=SAME_GRID_MM):
        apart = np.linalg.norm(np.subtract(written.position_lps((0, 0, 0)), image.geometry.position_lps((0, 0, 0))))
        spacing = " × ".join(f"{mm:.3g}" for mm in image.geometry.spacing_mm)
        yield codes.MOVED.of(facts.ref, f"{name}: first voxel {apart:.2f} mm from where it was, spacing {spacing} mm")
    is_resampled = any(step.get("step") == "resample" for step in facts.stated.steps)
    if image.blank_ends > (_RESAMPLED_BLANKS * shape[2] if is_resampled else 0):
        yield codes.BLANK_ENDS.of(facts.ref, f"{name}: {image.blank_ends} of {shape[2]} slices, at the ends, are blank")


def _size(shape: tuple[int, int, int]) -> str:
    return " × ".join(map(str, shape))


def grids(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find channels and labels that do not lie on the first channel's grid."""
    (first, *others), names = facts.measured.images, [channel.name for channel in facts.stated.channels]
    grid, label_grid = first.geometry, facts.measured.label_grid
    for name, other in zip(names[1:], others, strict=True):
        if not grid.same_grid(other.geometry, tol_mm=SAME_GRID_MM):
            yield codes.IMAGE_GRID.of(facts.ref, f"{name} lies on another grid than {names[0]}")
    if label_grid is not None and not grid.same_grid(label_grid, tol_mm=SAME_GRID_MM):
        apart = float(np.linalg.norm(np.subtract(grid.position_lps((0, 0, 0)), label_grid.position_lps((0, 0, 0)))))
        sizes = f"{grid.shape} and {label_grid.shape}"
        yield codes.LABEL_GRID.of(facts.ref, f"first voxels are {apart:.2f} mm apart, sizes are {sizes}")


def label_values(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find label values without a meaning."""
    stated = facts.stated
    known = {stated.ignore_value, *(label.value for label in stated.schema.labels)}
    unknown = [one.value for one in facts.measured.labels if one.value not in known]
    values = [*unknown, *(f"{value:g}" for value in facts.measured.odd_values)]
    if values:
        listed = ", ".join(map(str, values))
        yield codes.UNEXPECTED_VALUE.of(facts.ref, f"values {listed} are not in schema {stated.schema.name}")


def empty_label(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find label maps that lost everything a reader outlined."""
    if facts.measured.label_grid is None or facts.measured.labels or facts.measured.odd_values:
        return
    before_ml = sum(row["before_ml"] for row in facts.stated.rows("label_volumes"))
    before_ml = before_ml or sum(row["ml"] for row in facts.stated.rows("label_places"))
    if facts.stated.is_outlined or before_ml:
        before = f", {before_ml:.3f} ml" if before_ml else ""
        yield codes.EMPTY.of(facts.ref, f"segments were outlined{before}; 0 voxels are labelled")


def _known(facts: CaseFacts) -> Iterator[tuple[str, LabelFacts]]:
    for label in facts.stated.schema.labels:
        if (found := facts.measured.label(label.value)) is not None:
            yield label.name, found


def label_outside(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find labels outside the body, and labels whose median voxel is air."""
    is_hu = facts.stated.channels[0].unit == "HU"
    for name, label in _known(facts):
        if (label.outside_share or 0.0) > _OUTSIDE_SHARE:
            share = f"{label.outside_share:.0%} of {label.voxels} voxels lie outside the body"
            yield codes.OUTSIDE_BODY.of(facts.ref, f"{name}: {share}")
        elif is_hu and label.intensity is not None and label.intensity < _AIR_HU:
            yield codes.IN_AIR.of(facts.ref, f"{name}: median {label.intensity:.0f} HU in {label.voxels} voxels")


def fits_mirrored(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find labels whose mirror image fits the picture, while they themselves do not.

    Only where nothing records where they were outlined, as in imported datasets: ``displaced`` knows better.
    """
    if facts.stated.rows("label_places"):
        return
    image = facts.measured.images[0]
    for name, label in _known(facts):
        own, other = label.fit, label.mirrored
        if own is None or other is None or own.agreement > _NO_FIT or other.agreement < _GOOD_FIT:
            continue
        least = max(_FITS_RANGE * (image.p99 - image.p01), _FITS_RATIO * abs(own.step))
        if abs(other.step) > least:
            steps = f"the image steps by {own.step:.3g} at the boundary"
            other_steps = f"by {other.step:.3g} with {other.exchanged} exchanged, where {other.agreement:.0%} agree"
            yield codes.FITS_MIRRORED.of(facts.ref, f"{name}: {steps}, {other_steps}")


def coverage(facts: CaseFacts) -> Iterator[QcIssue]:
    """Find labels nobody said were looked for, and segments nobody could map."""
    stated = facts.stated
    if stated.unmapped:
        yield codes.UNMAPPED.of(facts.ref, f"not mapped: {', '.join(stated.unmapped)}")
    if facts.measured.label_grid is None:
        return
    if not stated.annotated:
        yield codes.UNKNOWN_COVERAGE.of(facts.ref, "the label map names no label that was looked for")
        return
    for name, _ in _known(facts):
        if name not in stated.annotated:
            yield codes.NOT_DECLARED.of(facts.ref, f"{name} is present and not declared as annotated")


CHECKS: tuple[Check, ...] = (
    non_finite,
    constant,
    no_rescale,
    truncated,
    grids,
    label_values,
    empty_label,
    label_outside,
    displaced,
    wrong_side,
    fits_mirrored,
    coverage,
    volume_drift,
)
