"""Regions of reports become masks with known truth, whatever their graphic type."""

import numpy as np
import pytest

from racoon_data.annotations.sr import SrReader
from racoon_data.errors import (
    BrokenItemError,
    DanglingReferenceError,
    EmptyItemError,
    GridMismatchError,
    OutsideImageError,
)
from racoon_data.labels import CodedConcept
from racoon_data.policies import Nesting, ReadingPolicies
from racoon_data.testing import report_items as built
from racoon_data.testing.contour_cases import a_grid
from racoon_data.testing.makers import a_series
from tests.annotations.helpers import box, masks_of, read_with

CORNERS = ((2.5, 3.5), (8.5, 3.5), (8.5, 7.5), (2.5, 7.5), (2.5, 3.5))


def read_regions(folder, made, *regions, reader=None):
    """Read a report of one group with regions."""
    length = built.number(CodedConcept("410668003", "SCT", "Length"), "12.5", built.MILLIMETRE)
    path, _ = built.a_report(
        folder, made, [built.container(built.MEASUREMENTS, built.tracked_group("one", *regions, length))]
    )
    return read_with(reader or SrReader(), path, made)


def centres(made):
    """The position (mm, LPS) of every voxel centre ``[k, j, i]``."""
    k, j, i = np.indices(made.geometry.array_shape)
    return np.stack([i, j, k], axis=-1) @ made.geometry.matrix[:3, :3].T + made.geometry.matrix[:3, 3]


def at(made, *ijk):
    """The position of an index."""
    return np.array(made.geometry.position_lps(ijk))


@pytest.mark.parametrize("kind", ["axial", "coronal", "sagittal", "oblique", "tilted"])
def test_closed_lines_on_an_image_and_in_space_are_exact(tmp_path, kind):
    """A polygon on a slice and the same polygon in space hold the same box of voxels, on every stack."""
    made = a_grid(tmp_path / "ct", kind)
    truth = box(made.geometry.array_shape, k=3, j=slice(4, 8), i=slice(3, 9))

    flat = read_regions(tmp_path / "a", made, built.on_image(made, 3, "POLYLINE", CORNERS))
    space = read_regions(tmp_path / "b", made, built.in_space(made, "POLYGON", [(i, j, 3) for i, j in CORNERS]))

    np.testing.assert_array_equal(masks_of(flat)["one"], truth)
    np.testing.assert_array_equal(masks_of(space)["one"], truth)
    assert flat.geometry == made.geometry
    assert flat.issues == space.issues == ()


def test_a_circle_holds_the_centres_within_its_radius(tmp_path):
    """Centre and a point on it, on square pixels: the disc, voxel for voxel."""
    made = a_series(tmp_path / "ct", slices=6, spacing_mm=(0.7, 0.7, 2.5))

    annotation = read_regions(tmp_path, made, built.on_image(made, 2, "CIRCLE", [(20.2, 15.1), (20.2, 22.3)]))

    k, j, i = np.indices(made.geometry.array_shape)
    truth = (k == 2) & (np.hypot(i - 20.2, j - 15.1) <= 7.2)
    np.testing.assert_array_equal(masks_of(annotation)["one"], truth)
    assert annotation.findings[0].region == "SCOORD CIRCLE"
    assert annotation.findings[0].group_kind == "planar"


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 2.5), (0.8, 0.6, 2.5)])
def test_an_ellipse_turned_on_the_image_is_exact(tmp_path, spacing):
    """The ends of both axes of a turned ellipse, on square pixels and on others."""
    made = a_series(tmp_path / "ct", slices=6, spacing_mm=spacing)
    middle, axes = np.array([20.2, 15.1]), np.array([[8.0, 3.0], [-1.8, 4.8]])
    ends = [middle - axes[0], middle + axes[0], middle - axes[1], middle + axes[1]]

    annotation = read_regions(tmp_path, made, built.on_image(made, 2, "ELLIPSE", [tuple(end) for end in ends]))

    k, j, i = np.indices(made.geometry.array_shape)
    part = np.stack([i - middle[0], j - middle[1]], axis=-1) @ np.linalg.inv(axes)
    truth = (k == 2) & ((part**2).sum(axis=-1) <= 1)
    np.testing.assert_array_equal(masks_of(annotation)["one"], truth)


@pytest.mark.parametrize("kind", ["axial", "oblique"])
def test_an_ellipse_in_space_lies_on_the_nearest_slice(tmp_path, kind):
    """Axes along the slice, its plane 0.3 slices beside the centres."""
    made = a_grid(tmp_path / "ct", kind)
    ends = [(10, 15, 3.3), (26, 15, 3.3), (18, 9, 3.3), (18, 21, 3.3)]

    annotation = read_regions(tmp_path, made, built.in_space(made, "ELLIPSE", ends))

    k, j, i = np.indices(made.geometry.array_shape)
    np.testing.assert_array_equal(
        masks_of(annotation)["one"], (k == 3) & (((i - 18) / 8) ** 2 + ((j - 15) / 6) ** 2 <= 1 + 1e-5)
    )


@pytest.mark.parametrize("kind", ["axial", "sagittal", "oblique"])
def test_an_ellipsoid_is_a_volume(tmp_path, kind):
    """The ends of three axes, in millimetres, hold the centres that satisfy the equation."""
    made = a_grid(tmp_path / "ct", kind)
    middle = at(made, 18, 15, 3.6)
    axes = np.array([[6.1, 0, 0], [0, 5.2, 0], [0, 0, 7.3]])
    ends = [middle + sign * axis for axis in axes for sign in (-1, 1)]
    region = built.in_space(made, "ELLIPSOID", [], name=built.VOLUME_SURFACE)
    region.GraphicData = [float(value) for end in ends for value in end]

    annotation = read_regions(tmp_path, made, region)

    truth = (((centres(made) - middle) / [6.1, 5.2, 7.3]) ** 2).sum(axis=-1) <= 1
    np.testing.assert_array_equal(masks_of(annotation)["one"], truth)
    assert annotation.findings[0].group_kind == "volumetric"


def test_a_volume_surface_of_polygons_is_a_stack(tmp_path):
    """A polygon on each of three slices is one volume."""
    made = a_series(tmp_path / "ct", slices=6)
    polygons = [
        built.in_space(made, "POLYGON", [(i, j, k) for i, j in CORNERS], name=built.VOLUME_SURFACE) for k in (1, 2, 3)
    ]

    annotation = read_regions(tmp_path, made, *polygons)

    truth = box(made.geometry.array_shape, k=slice(1, 4), j=slice(4, 8), i=slice(3, 9))
    np.testing.assert_array_equal(masks_of(annotation)["one"], truth)


def test_points_and_open_lines_are_a_mask_of_their_own(tmp_path):
    """A point, several points and a measured line mark the voxels they touch, beside the area of the group."""
    made = a_series(tmp_path / "ct", slices=6)
    regions = [
        built.on_image(made, 1, "POINT", [(4.2, 5.9)]),
        built.on_image(made, 1, "MULTIPOINT", [(10, 10), (12, 14)]),
        built.in_space(made, "POLYLINE", [(20, 5, 2), (24, 5, 2)]),
        built.on_image(made, 3, "POLYLINE", CORNERS),
    ]

    masks = masks_of(read_regions(tmp_path, made, *regions))

    shape = made.geometry.array_shape
    lines = box(shape, k=1, j=6, i=4) | box(shape, k=1, j=10, i=10) | box(shape, k=1, j=14, i=12)
    lines |= box(shape, k=2, j=5, i=slice(20, 25))
    np.testing.assert_array_equal(masks["one (lines)"], lines)
    np.testing.assert_array_equal(masks["one"], box(shape, k=3, j=slice(4, 8), i=slice(3, 9)))


def test_a_line_under_a_measurement_belongs_to_it(tmp_path):
    """A length inferred from a line keeps the line's image, type and mask, as viewers on the web write it."""
    made = a_series(tmp_path / "ct", slices=6)
    line = built.on_image(made, 4, "POLYLINE", [(3, 3), (9, 3)])
    line.RelationshipType = "INFERRED FROM"
    length = built.number(CodedConcept("G-A22A", "SRT", "Length"), "4.2", built.MILLIMETRE, line)
    path, _ = built.a_report(tmp_path, made, [built.tracked_group("long axis", length)])

    annotation = read_with(SrReader(), path, made)

    (row,) = annotation.findings
    assert (row.concept.key, row.value, row.unit) == (("SCT", "410668003"), "4.2", "mm")
    assert (row.referenced_sops, row.region) == ((made.sop_uids[4],), "SCOORD POLYLINE")
    truth = box(made.geometry.array_shape, k=4, j=3, i=slice(3, 10))
    np.testing.assert_array_equal(masks_of(annotation)["long axis (lines)"], truth)


def test_nested_regions_follow_the_policy(tmp_path):
    """A polygon inside another one is a hole, or joined where asked."""
    made = a_series(tmp_path / "ct", slices=6)
    inner = ((4.5, 4.5), (6.5, 4.5), (6.5, 6.5), (4.5, 6.5), (4.5, 4.5))
    regions = [built.on_image(made, 3, "POLYLINE", points) for points in (CORNERS, inner)]

    hole = read_regions(tmp_path / "a", made, *regions)
    joined = read_regions(tmp_path / "b", made, *regions, reader=SrReader(ReadingPolicies(Nesting.UNION)))

    assert (masks_of(hole)["one"].sum(), masks_of(joined)["one"].sum()) == (24 - 4, 24)


# What is written into a region: attributes by keyword; an empty ContentSequence takes its image away.
BROKEN = {
    "unknown type": {"GraphicType": "SPLINE"},
    "odd number": {"GraphicData": [1.0, 2.0, 3.0]},
    "nan": {"GraphicData": [float("nan")] * 10},
    "too few": {"GraphicType": "ELLIPSE", "GraphicData": [1.0, 2.0, 3.0, 4.0]},
    "flat": {"GraphicType": "ELLIPSE", "GraphicData": [1.0, 2.0, 1.0, 2.0, 5.0, 6.0, 7.0, 8.0]},
    "no image": {"ContentSequence": []},
    "outside": {"GraphicData": [502.5, 503.5, 508.5, 503.5, 508.5, 507.5, 502.5, 507.5, 502.5, 503.5]},
    "between the centres": {"GraphicData": [5.6, 5.6, 5.9, 5.6, 5.9, 5.9, 5.6, 5.9, 5.6, 5.6]},
    "other frame": {"ReferencedFrameOfReferenceUID": "9.9.9"},
    "across": {},
}


def broken(made, case):
    """One region that cannot be drawn."""
    region = built.on_image(made, 3, "POLYLINE", CORNERS)
    if case in ("other frame", "across"):
        region = built.in_space(made, "ELLIPSE", [(1, 1, 1), (9, 1, 1), (5, 1, -9), (5, 1, 9)])
    for keyword, value in BROKEN[case].items():
        setattr(region, keyword, value)
    return region


@pytest.mark.parametrize(
    ("case", "code"),
    [("unknown type", BrokenItemError), ("odd number", BrokenItemError), ("nan", BrokenItemError),
     ("too few", BrokenItemError), ("flat", BrokenItemError), ("across", BrokenItemError),
     ("no image", DanglingReferenceError), ("outside", OutsideImageError), ("other frame", GridMismatchError),
     ("between the centres", EmptyItemError)],
)  # fmt: skip
def test_a_broken_region_costs_itself_alone(tmp_path, case, code):
    """Whatever is wrong with one region is a coded issue; its group's other region and number are kept."""
    made = a_series(tmp_path / "ct", slices=6)
    good = built.on_image(made, 1, "POLYLINE", CORNERS)

    annotation = read_regions(tmp_path, made, broken(made, case), good)

    assert [issue.code for issue in annotation.issues] == [code.code]
    assert annotation.issues[0].item == "item 1.1.1.3"
    assert masks_of(annotation)["one"].sum() == 24
    assert [row.value for row in annotation.findings] == ["12.5"]


def test_without_its_image_a_region_is_an_issue(tmp_path):
    """The measurement is kept; the region cannot be drawn and is said so."""
    made = a_series(tmp_path / "ct", slices=6)
    path, _ = built.a_report(tmp_path, made, [built.tracked_group("one", built.on_image(made, 3, "POLYLINE", CORNERS))])

    annotation = read_with(SrReader(), path, made, geometry=None, image=None, sop_uids=())

    assert (annotation.masks, annotation.geometry) == ((), None)
    assert [issue.code for issue in annotation.issues] == [DanglingReferenceError.code]
