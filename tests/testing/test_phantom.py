"""Phantoms look like what they stand for, everywhere the same."""

import hashlib
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from racoon_data.geometry import Geometry, as_affine
from racoon_data.testing.phantom import NAMES, Scanner, a_phantom, render

ROOT = Path(__file__).parents[2]
CLEAN = Scanner(noise_hu=0, blur_mm=0)


def a_grid(*, spacing=3.3, thickness=4.0, size=96, slices=40):
    """A grid centred on the phantom."""
    matrix = np.diag([spacing, spacing, thickness, 1.0])
    matrix[:3, 3] = [-spacing * (size - 1) / 2, -spacing * (size - 1) / 2, -thickness * (slices - 1) / 2]
    return Geometry((size, size, slices), as_affine(matrix))


def digest(number):
    """A hash of one rendered person."""
    rendered = render(a_phantom(5, number=number), a_grid(size=48, spacing=6.6), Scanner(), seed=3)
    return hashlib.sha256(rendered.hu.tobytes() + rendered.labels.tobytes()).hexdigest()


def test_lesions_have_the_density_of_their_class():
    """Ground glass, consolidation and fluid lie in their ranges of Hounsfield units."""
    ranges = {1: (-560, -340), 2: (-60, 60), 3: (0, 25)}
    for number in range(6):
        rendered = render(a_phantom(2, number=number), a_grid(), CLEAN)
        for value in set(np.unique(rendered.labels)) - {0}:
            low, high = ranges[int(value)]
            assert low < np.median(rendered.hu[rendered.labels == value]) < high


def test_lungs_are_air_and_confounders_are_not_labelled():
    """Most lung is near -850 HU, and as much dense tissue lies outside the labels as inside."""
    rendered = render(a_phantom(2, number=0), a_grid(), CLEAN)
    healthy = rendered.hu[(rendered.hu < -700) & (rendered.hu > -990)]
    dense = (rendered.hu > 0) & (rendered.hu < 60)

    assert -900 < np.median(healthy) < -800
    assert np.count_nonzero(dense & (rendered.labels == 0)) > np.count_nonzero(dense & (rendered.labels > 0))


def test_some_people_lack_a_class():
    """Of four people one has all three diseases and the others lack a different one each."""
    lacking = []
    for number in range(4):
        found = set(np.unique(render(a_phantom(9, number=number), a_grid(), CLEAN).labels)) - {0}
        lacking.append(tuple(sorted(set(NAMES) - found)))

    assert sorted(lacking) == [(), (1,), (2,), (3,)]


def test_people_differ():
    """Volumes and places vary from person to person."""
    volumes = [np.count_nonzero(render(a_phantom(4, number=n), a_grid(), CLEAN).labels) for n in range(5)]

    assert len(set(volumes)) == 5


def test_fluid_lies_at_the_back():
    """An effusion is dependent: its centre lies behind the body's centre and on one side."""
    geometry = a_grid()
    rendered = render(a_phantom(2, number=1), geometry, CLEAN)
    k, j, i = np.nonzero(rendered.labels == 3)
    x, y, _ = geometry.matrix[:3] @ np.array([i.mean(), j.mean(), k.mean(), 1])

    assert len(k) > 100
    assert y > 25
    assert abs(x) > 25


def test_truth_does_not_depend_on_the_grid():
    """The same person has the same volumes on a fine and on a coarse grid."""
    person = a_phantom(2, number=2)
    fine, coarse = a_grid(spacing=2.2, size=144, thickness=2, slices=84), a_grid(thickness=6, slices=28)
    in_ml = [np.count_nonzero(render(person, grid, CLEAN).labels) * grid.voxel_ml for grid in (fine, coarse)]

    assert in_ml[1] == pytest.approx(in_ml[0], rel=0.05)


def test_scanner_changes_values_and_not_truth():
    """Noise, blur and offset show in the image; labels stay."""
    person, grid = a_phantom(2, number=0), a_grid(size=64, spacing=5)
    clean = render(person, grid, CLEAN)
    noisy = render(person, grid, Scanner(noise_hu=30, blur_mm=0, offset_hu=20))
    soft = render(person, grid, Scanner(noise_hu=0, blur_mm=6))
    inner = (slice(10, 20), slice(30, 34), slice(30, 34))

    assert np.array_equal(clean.labels, noisy.labels)
    assert np.std(noisy.hu[inner] - clean.hu[inner]) == pytest.approx(30, rel=0.25)
    assert np.mean(noisy.hu[inner] - clean.hu[inner]) == pytest.approx(20, abs=8)
    assert np.abs(np.diff(soft.hu, axis=2)).max() < np.abs(np.diff(clean.hu, axis=2)).max()


def test_same_seed_same_voxels_in_another_process():
    """A person is drawn the same way in every process."""
    command = [sys.executable, "-c", "from tests.testing.test_phantom import digest; print(digest(1))"]
    there = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout.strip()

    assert there == digest(1)
    assert there != digest(2)


def test_one_volume_is_quick():
    """A volume of 96 x 96 x 40 voxels takes well under half a second of CPU."""
    person, grid = a_phantom(1), a_grid()
    start = time.process_time()
    render(person, grid, Scanner())

    assert time.process_time() - start < 0.5
