"""Polygons become exactly the voxel centres they hold."""

import numpy as np
import pytest
from matplotlib.path import Path as Outline

from racoon_data.annotations.rasterize import DUPLICATE, NESTED, OVERLAPPING, combine, edges_of, fill
from tests.annotations.helpers import box

SHAPE = (12, 14)


def rectangle(left, right, top, bottom):
    """Corners (i, j) of a rectangle."""
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=float)


def drawn(*polygons):
    """Fill polygons in one slice."""
    [found] = combine([polygons], [SHAPE])
    return found


def truth(j, i):
    """A box in one slice."""
    return box((1, *SHAPE), j=j, i=i)[0]


def test_a_square_holds_the_centres_inside_it():
    """Edges halfway between centres leave no doubt: 3 rows by 5 columns."""
    mask, counts = drawn(rectangle(1.5, 6.5, 3.5, 6.5))

    np.testing.assert_array_equal(mask, truth(slice(4, 7), slice(2, 7)))
    assert not counts


def test_centres_on_the_path_belong_to_the_region():
    """Corners at whole indices include all four edges (PS3.3 C.8.8.6.3)."""
    mask, _ = drawn(rectangle(2, 6, 4, 6))

    np.testing.assert_array_equal(mask, truth(slice(4, 7), slice(2, 7)))


@pytest.mark.parametrize("turn", [1, -1])
def test_a_hair_beside_a_centre_is_beside_it(turn):
    """A path a hundredth of a voxel inside the centres leaves them out, whichever way it runs."""
    mask, _ = drawn(rectangle(2.01, 5.99, 4.01, 5.99)[::turn])

    np.testing.assert_array_equal(mask, truth(slice(5, 6), slice(3, 6)))


def test_a_keyhole_leaves_its_hole_open():
    """A slit from the outer to the inner ring makes a hole; the slit itself leaves no trace."""
    outer = [(0.5, 0.5), (10.5, 0.5), (10.5, 9.5), (0.5, 9.5), (0.5, 5.2)]
    inner = [(3.5, 5.2), (3.5, 6.5), (7.5, 6.5), (7.5, 3.5), (3.5, 3.5), (3.5, 5.2)]
    mask, _ = drawn(np.array([*outer, *inner, (0.5, 5.2)]))

    expected = truth(slice(1, 10), slice(1, 11)) & ~truth(slice(4, 7), slice(4, 8))
    np.testing.assert_array_equal(mask, expected)


def test_nested_plain_contours_make_a_hole_and_an_island_in_it():
    """By policy a contour inside another is a hole, one inside the hole an island; both are counted."""
    mask, counts = drawn(rectangle(0.5, 11.5, 0.5, 10.5), rectangle(2.5, 9.5, 2.5, 8.5), rectangle(4.5, 6.5, 4.5, 6.5))

    ring = truth(slice(1, 11), slice(1, 12)) & ~truth(slice(3, 9), slice(3, 10))
    np.testing.assert_array_equal(mask, ring | truth(slice(5, 7), slice(5, 7)))
    assert counts[NESTED] == 2


def test_declared_xor_contours_cancel_where_they_overlap():
    """CLOSEDPLANAR_XOR keeps what an odd number of contours holds."""
    edges = edges_of([rectangle(0.5, 6.5, 0.5, 6.5), rectangle(4.5, 9.5, 4.5, 8.5)], [0, 0])

    mask = fill(edges, shape=(1, *SHAPE))[0]

    np.testing.assert_array_equal(mask, truth(slice(1, 7), slice(1, 7)) ^ truth(slice(5, 9), slice(5, 10)))


def test_groups_of_different_size_keep_apart():
    """Several groups in one stroke are what each is alone."""
    ring = [rectangle(0.5, 9.5, 0.5, 8.5), rectangle(2.5, 6.5, 2.5, 6.5)]
    crossing = [rectangle(0.5, 3.5, 0.5, 3.5), rectangle(2, 5, 2, 4)]

    together = combine([ring, crossing], [(10, 11), (6, 7)])

    for (mask, counts), group, shape in zip(together, (ring, crossing), ((10, 11), (6, 7)), strict=True):
        [(alone, said)] = combine([group], [shape])
        np.testing.assert_array_equal(mask, alone)
        assert counts == said


def test_islands_are_both_kept():
    """Contours that do not touch are one region in two parts."""
    mask, counts = drawn(rectangle(0.5, 3.5, 0.5, 3.5), rectangle(6.5, 9.5, 6.5, 9.5))

    np.testing.assert_array_equal(mask, truth(slice(1, 4), slice(1, 4)) | truth(slice(7, 10), slice(7, 10)))
    assert not counts


def test_plain_contours_that_cross_are_joined():
    """Two sloppy outlines of one lesion do not erase each other; the crossing is counted."""
    mask, counts = drawn(rectangle(0.5, 6.5, 0.5, 6.5), rectangle(4.5, 9.5, 4.5, 8.5))

    np.testing.assert_array_equal(mask, truth(slice(1, 7), slice(1, 7)) | truth(slice(5, 9), slice(5, 10)))
    assert counts[OVERLAPPING] == 1


def test_a_contour_written_twice_does_not_erase_itself():
    """A repeated contour is read once and counted."""
    mask, counts = drawn(rectangle(1.5, 6.5, 3.5, 6.5), rectangle(1.5, 6.5, 3.5, 6.5))

    np.testing.assert_array_equal(mask, truth(slice(4, 7), slice(2, 7)))
    assert counts[DUPLICATE] == 1


def test_what_leaves_the_image_is_cut_at_its_edge():
    """A square over the corner keeps the part on the image; one far outside keeps nothing."""
    mask, _ = drawn(rectangle(-5.5, 2.5, -3.5, 1.5))

    np.testing.assert_array_equal(mask, truth(slice(0, 2), slice(0, 3)))
    assert not drawn(rectangle(40, 50, 40, 50))[0].any()


@pytest.mark.parametrize("seed", range(20))
def test_random_polygons_agree_with_another_even_odd_test(seed):
    """Star-shaped polygons hold the same centres as matplotlib's point-in-polygon test finds."""
    random = np.random.default_rng(seed)
    angles = np.sort(random.uniform(0, 2 * np.pi, 25))
    radius = random.uniform(2, 9, 25)
    polygon = np.c_[6.3 + radius * np.cos(angles), 5.7 + radius * np.sin(angles)]
    rows, columns = np.indices(SHAPE)

    inside = Outline(polygon).contains_points(np.c_[columns.ravel(), rows.ravel()]).reshape(SHAPE)
    np.testing.assert_array_equal(fill(edges_of([polygon], [0]), shape=(1, *SHAPE))[0], inside)
