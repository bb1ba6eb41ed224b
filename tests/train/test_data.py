"""Datasets are verified, bad cases set aside, and batches depend on the seed alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from racoon_data.errors import DatasetError, SplitLeakError
from racoon_train.data.cache import build_cache, compact, open_cache
from racoon_train.data.dataset import open_dataset, read_arrays
from racoon_train.data.loaders import batches
from racoon_train.data.transforms import to_classes, windowed
from tests.train.makers import a_dataset, a_job


def test_a_damaged_case_is_set_aside_and_counted(tmp_path):
    """A file that differs from its checksum keeps its case out; the others stay."""
    root = a_dataset(tmp_path / "d")
    (root / "imagesTr" / "a-2_0000.nii.gz").write_bytes(b"not what was hashed")

    dataset = open_dataset(root)

    assert [case.case_id for case in dataset.cases] == ["a-0", "a-1", "a-3"]
    assert [(str(out.ref), out.code) for out in dataset.quarantined] == [("case a-2", "dataset.damaged")]


def test_a_patient_in_both_splits_is_refused(tmp_path):
    """Leakage between train and test stops before the first batch."""
    root = a_dataset(tmp_path / "d")
    manifest = json.loads((root / "racoon.json").read_text())
    for case in manifest["cases"]:
        case["patient"] = "p-one"
    (root / "racoon.json").write_text(json.dumps(manifest))

    with pytest.raises(SplitLeakError):
        open_dataset(root)


def test_a_folder_without_manifest_is_no_dataset(tmp_path):
    """The refusal names what is missing."""
    with pytest.raises(DatasetError, match=r"racoon\.json"):
        open_dataset(tmp_path)


def test_the_cache_gives_back_every_voxel_without_the_dataset(tmp_path):
    """A second process reads no NIfTI: the cache answers when the images are gone."""
    dataset = open_dataset(a_dataset(tmp_path / "d"))
    truth = {case.case_id: read_arrays(case) for case in dataset.cases}
    build_cache(dataset, tmp_path / "cache")
    shutil.rmtree(dataset.root / "imagesTr")

    cached = open_cache(dataset.sha256, tmp_path / "cache").load("all")

    assert [case.image.dtype for case in cached] == [np.int16] * 4
    for case in cached:
        np.testing.assert_array_equal(case.image, truth[case.case_id][0])
        np.testing.assert_array_equal(case.label, truth[case.case_id][1])
        assert {value: bool((case.label[tuple(p.T)] == value).all()) for value, p in case.foreground.items()} == {
            1: True,
            2: True,
        }


def test_cases_annotated_differently_are_not_mixed(tmp_path):
    """A batch says which classes were looked for in its cases, and that holds for each of them."""
    from dataclasses import replace

    cases = build_cache(open_dataset(a_dataset(tmp_path / "d")), tmp_path / "cache").load("train")
    mixed = [replace(cases[0], annotated=("lesion",)), *cases[1:]]
    stream = batches(mixed, a_job(), site="site", round_=1)

    assert {next(stream).annotated for _ in range(30)} == {(1,), (1, 2)}


def test_the_datasets_ignore_value_becomes_ours(tmp_path):
    """nnU-Net wants the ignore label last in line; training marks such voxels 255."""
    root = a_dataset(tmp_path / "d")
    manifest = json.loads((root / "racoon.json").read_text())
    (root / "racoon.json").write_text(json.dumps({**manifest, "ignore_value": 2}))

    label = read_arrays(open_dataset(root).cases[0])[1]

    assert set(np.unique(label)) == {0, 1, 255}


def test_fractions_are_kept_as_floats():
    """int16 is used only where it loses nothing."""
    assert compact(np.array([1.0, -1000.0], np.float32)).dtype == np.int16
    assert compact(np.array([1.5], np.float32)).dtype == np.float32
    assert compact(np.array([40000.0], np.float32)).dtype == np.float32


def test_a_cache_that_was_not_built_is_named(tmp_path):
    """Opening it says so instead of reading the dataset silently."""
    with pytest.raises(DatasetError, match="not built"):
        open_cache("0" * 64, tmp_path)


def test_the_same_seed_gives_the_same_batches(tmp_path):
    """Batches depend on seed, site and round; another round draws others."""
    dataset = open_dataset(a_dataset(tmp_path / "d"))
    cases = build_cache(dataset, tmp_path / "cache").load("train")
    job = a_job()

    first, again, other = (next(batches(cases, job, site="site", round_=round_)) for round_ in (1, 1, 2))

    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.targets, again.targets)
    assert not np.array_equal(first.images, other.images)
    assert first.images.shape == (4, 1, 24, 24)


def test_window_and_classes():
    """-1000..400 HU becomes 0..1; values become class numbers in the job's order, ignore stays."""
    np.testing.assert_allclose(windowed(np.array([-2000, -300, 400]), (-1000.0, 400.0)), [0, 0.5, 1])
    label = np.array([0, 7, 3, 255, 9], np.uint8)
    np.testing.assert_array_equal(to_classes(label, [3, 7]), [0, 2, 1, 255, 0])


def test_importing_the_package_is_light():
    """A data steward's machine may have racoon_train without torch."""
    import subprocess
    import sys

    code = (
        "import sys, racoon_train.cli.train; sys.exit(any(name in sys.modules for name in ('torch', 'monai', 'flwr')))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
