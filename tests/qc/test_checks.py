"""Each check finds its planted defect, and a clean case has none."""

from dataclasses import replace

import numpy as np
import pytest

from racoon_data.geometry import Geometry, as_affine
from racoon_data.labels import Label, LabelMap
from racoon_data.qc.checks import CHECKS, check_case
from racoon_data.qc.codes import DEFECTS
from racoon_data.qc.findings import read_issues, write_issues
from racoon_data.qc.inspect import inspect
from racoon_data.volumes import Volume
from tests.dataset.makers import GRID, NAMES, SCHEMA, a_case, a_dataset, a_mask
from tests.qc.planting import outlined

SIDES = (*NAMES, "lung_left")
WITH_SIDES = replace(SCHEMA, labels=(*SCHEMA.labels, Label(4, "lung_left")))


def with_image(array, case=None):
    """Give a case another image."""
    case = case or a_case()
    return replace(case, channels=(replace(case.channels[0], volume=Volume(array, GRID, "HU")),))


def with_labels(array, *, annotated=NAMES, geometry=GRID):
    """Give a case another label map."""
    return a_case(label_map=LabelMap(array.astype(np.uint8), geometry, annotated))


def image():
    """Give the clean image."""
    return a_case().channels[0].volume.array.copy()


def labels():
    """Give the clean label map."""
    return a_case().label_map.array.copy()


def shifted():
    """Move the labels' origin by 50 mm."""
    matrix = GRID.matrix
    matrix[0, 3] += 50
    return with_labels(labels(), geometry=Geometry(GRID.shape, as_affine(matrix)))


def nan():
    """Plant one voxel that is no number."""
    array = image()
    array[0, 0, 0] = np.nan
    return with_image(array)


def drifted(**row):
    """Record a harmonization that changed a volume."""
    base = {"value": 1, "before_ml": 1.0, "after_ml": 1.0, "drift_percent": 0.0}
    lost = {"components": 3, "vanished": 0, "vanished_ml": 0.0}
    return a_case(steps=({"step": "label_volumes", "labels": [{**base, **lost, **row}]},))


def two_channels():
    """Give a case a second channel with fewer slices."""
    case = a_case()
    small = Geometry((20, 16, 9), GRID.affine_lps, GRID.frame_of_reference)
    second = replace(case.channels[0], name="PT", volume=Volume(image()[:9], small, "SUVbw"))
    return replace(case, channels=(*case.channels, second))


def in_a_cavity():
    """Outline a cavity of air inside the body."""
    array, mask = image(), a_mask(slice(3, 6), slice(6, 9), slice(8, 11))
    array[mask] = -1000
    case = with_labels(np.where(mask, 1, 0))
    return replace(case, channels=with_image(array).channels)


def after_outlining(array):
    """Let a label map change after its places were recorded."""
    return replace(with_labels(array), steps=outlined(a_case()).steps)


def blank_at_the_end():
    """Lose the last three slices."""
    array = image()
    array[7:] = 0
    return with_image(array)


PLANTED = {
    "image.non_finite": nan,
    "image.constant": lambda: with_image(np.zeros(GRID.array_shape, dtype=np.float32)),
    "image.no_rescale": lambda: with_image(image() + 1024),
    "image.grid_mismatch": two_channels,
    "label.grid_mismatch": shifted,
    "label.unexpected_value": lambda: with_labels(np.where(labels() == 2, 9, labels())),
    "label.empty": lambda: with_labels(np.zeros_like(labels())),
    "label.in_air": in_a_cavity,
    "label.outside_body": lambda: with_labels(np.where(a_mask(slice(0, 1), slice(0, 4), slice(0, 4)), 1, 0)),
    "label.mirrored": lambda: after_outlining(labels()[:, :, ::-1]),
    "label.moved": lambda: after_outlining(np.roll(labels(), (3, 3), axis=(1, 2))),
    "label.wrong_side": lambda: with_labels(
        np.where(a_mask(slice(2, 5), slice(5, 8), slice(14, 16)), 4, 0), annotated=SIDES
    ),
    "label.fits_mirrored": lambda: with_labels(np.where(labels() == 1, 1, 0)[:, :, ::-1]),
    "image.blank_ends": blank_at_the_end,
    "label.not_declared": lambda: with_labels(labels(), annotated=NAMES[:1]),
    "label.unmapped": lambda: a_case(unmapped=("Narbe (99PRIV:N/A)",)),
    "label.coverage_unknown": lambda: with_labels(labels(), annotated=()),
    "label.volume_drift": lambda: drifted(after_ml=0.8, drift_percent=-20.0),
    "label.lesion_lost": lambda: drifted(vanished=1, vanished_ml=0.02),
}


def test_a_clean_case_has_no_finding():
    """Clean data gives zero findings."""
    assert check_case(a_case(), SCHEMA) == ()
    assert check_case(a_case(label_map=None, annotations=()), SCHEMA) == ()


# A defect of the whole label map is told once for each of the two labels in it.
LABELS_HIT = {"label.mirrored": 2, "label.moved": 2}


@pytest.mark.parametrize("code", sorted(PLANTED))
def test_a_planted_defect_is_found(code):
    """The defect is found by its own code and nothing else is reported."""
    issues = check_case(PLANTED[code](), WITH_SIDES)

    assert [issue.code for issue in issues] == [code] * LABELS_HIT.get(code, 1)
    assert issues[0].severity == DEFECTS[code].severity
    assert issues[0].fix


def test_every_check_has_a_planted_defect():
    """No code that a single case can raise goes without a test."""
    single = {code for code in DEFECTS if code.startswith(("image.", "label.")) and not code.endswith("_outlier")}

    assert set(PLANTED) == single - {"image.duplicate", "image.mixed_orientation", "image.moved", "image.truncated"}
    assert len(CHECKS) == 13


def test_a_negative_case_is_no_defect():
    """A reader who looked and found nothing gives an empty label, and that is right."""
    case = with_labels(np.zeros_like(labels()))

    assert check_case(replace(case, annotations=()), SCHEMA) == ()


def test_a_label_map_that_resampling_emptied_is_a_failure():
    """The readers' masks vanished on the same grid, so only the volumes before tell that something was outlined."""
    case = drifted(after_ml=0.0, drift_percent=-100.0, vanished=1, vanished_ml=1.0)
    empty = replace(case.label_map, array=np.zeros_like(labels()))
    gone = tuple(
        replace(one, masks=tuple(replace(mask, drawn=np.zeros_like(mask.mask)) for mask in one.masks))
        for one in case.annotations
    )

    issues = check_case(replace(case, label_map=empty, annotations=gone), SCHEMA)

    assert "label.empty" in [issue.code for issue in issues]


def test_a_small_offset_of_hu_is_no_missing_rescale():
    """Scanners differ by tens of HU; only a whole missing intercept is reported."""
    assert check_case(with_image(image() + 40), SCHEMA) == ()


def test_values_without_unit_are_not_judged_as_hu():
    """A normalised image has no air peak, and nobody expects one."""
    case = a_case()
    scaled = replace(case.channels[0], volume=Volume(image() / 1000 + 2, GRID, "1"))

    assert check_case(replace(case, channels=(scaled,)), SCHEMA) == ()


def test_duplicates_name_each_other(tmp_path):
    """The same examination stored for two patients is found in the voxels; both sides are named, others are not."""
    a_dataset(tmp_path, [a_case(1), a_case(2), a_case(3, seed=1)])

    issues = [issue for issue in inspect(tmp_path).issues if issue.code == "image.duplicate"]

    assert [(issue.case.case_id, issue.message) for issue in issues] == [
        ("case-001", "same voxels as case-003"),
        ("case-003", "same voxels as case-001"),
    ]


def test_issues_come_back_as_written(tmp_path):
    """findings.jsonl is sorted, without repeats, and reads back."""
    issues = [*check_case(nan(), SCHEMA), *check_case(PLANTED["label.unmapped"](), SCHEMA)]

    write_issues(tmp_path, [*reversed(issues), *issues])

    assert read_issues(tmp_path) == tuple(issues)
