"""The cache reads only what is asked for, survives a kill, does without blosc2, and names what is broken."""

import json

import numpy as np
import pytest

from racoon_data.errors import DamagedDatasetError, DatasetError
from racoon_data.events import ignore
from racoon_train.data import cache as cache_room
from racoon_train.data import dataset as dataset_room
from racoon_train.data import stored
from racoon_train.data.cache import build_cache, cache_home, open_cache
from racoon_train.data.dataset import open_dataset, read_arrays
from racoon_train.data.loaders import batches, class_examples, crop
from racoon_train.data.stored import StoredArray, open_array, write_array
from racoon_train.federated.contract import join
from racoon_train.job.job import Job
from racoon_train.networks import initial_weights
from tests.train.makers import a_dataset, a_job


def a_cache(tmp_path, **options):
    """A dataset and its cache."""
    dataset = open_dataset(a_dataset(tmp_path / "d"))
    return dataset, build_cache(dataset, tmp_path / "cache", **options)


def test_the_second_round_reads_no_image(two_sites, tmp_path, monkeypatch):
    """With every NIfTI of the dataset gone, round 2 trains as if it were there."""
    import shutil

    root = tmp_path / "d"
    shutil.copytree(two_sites["site-a"], root)
    site = join("site-a", root, a_job(), tmp_path / "home")
    site.begin()
    first = site.train(initial_weights(site.job), 1)
    for path in root.rglob("*.nii.gz"):
        path.unlink()
    monkeypatch.setattr(dataset_room, "read_nifti", None)

    second = site.train(first.weights, 2)

    assert second.examples == 3
    assert second.class_examples == {"lesion": 3, "fluid": 3}


def test_a_patch_decodes_only_its_blocks(tmp_path, monkeypatch):
    """Drawing patches never asks for a whole volume, in two dimensions or three."""
    loaded = a_cache(tmp_path)[1].load("train", hold_bytes=0)
    asked = []
    real = StoredArray.__getitem__
    monkeypatch.setattr(StoredArray, "__getitem__", lambda self, key: asked.append(key) or real(self, key))
    whole = AssertionError("the whole volume was decoded")
    monkeypatch.setattr(StoredArray, "__array__", lambda self, *args, **kw: (_ for _ in ()).throw(whole))
    job3d = Job.model_validate({**a_job().model_dump(), "network": {"name": "unet3d", "channels": (4, 8)}})
    small = job3d.model_copy(update={"training": job3d.training.model_copy(update={"patch": (4, 16, 16)})})

    assert next(batches(loaded, a_job(), site="a", round_=1)).images.shape == (4, 1, 24, 24)
    assert next(batches(loaded, small, site="a", round_=1)).images.shape == (4, 1, 4, 16, 16)
    assert all(isinstance(key, tuple) and key[-1] != slice(None) for key in asked)


def test_held_and_lazy_cases_give_the_same_patches(tmp_path):
    """Whether a case is decoded once or block by block changes no voxel; nor do threads that draw ahead."""
    built = a_cache(tmp_path)[1]
    drawn = []
    for hold, threads in ((0, 0), (1 << 30, 0), (0, 2)):
        stream = batches(built.load("train", hold_bytes=hold), a_job(), site="a", round_=1, threads=threads)
        drawn.append([next(stream) for _ in range(6)])
        stream.close()

    for other in drawn[1:]:
        for one, two in zip(drawn[0], other, strict=True):
            np.testing.assert_array_equal(one.images, two.images)
            np.testing.assert_array_equal(one.targets, two.targets)


def test_a_batch_depends_on_its_number_alone(tmp_path):
    """The sixth batch is the sixth, whether or not five were drawn before it."""
    loaded = a_cache(tmp_path)[1].load("train")
    stream = batches(loaded, a_job(), site="a", round_=1)
    sixth = [next(stream) for _ in range(6)][-1]

    np.testing.assert_array_equal(next(batches(loaded, a_job(), site="a", round_=1, first=5)).images, sixth.images)


def test_a_killed_build_goes_on(tmp_path, monkeypatch):
    """What was decoded before the kill is not decoded again; torn files are swept."""
    dataset = open_dataset(a_dataset(tmp_path / "d"))
    decoded = []

    def dies(case):
        decoded.append(case.case_id)
        if len(decoded) == 3:
            raise KeyboardInterrupt
        return read_arrays(case)

    monkeypatch.setattr(cache_room, "read_arrays", dies)
    with pytest.raises(KeyboardInterrupt):
        build_cache(dataset, tmp_path / "cache")
    torn = cache_home(dataset.sha256, tmp_path / "cache") / ".a-2.image.b2nd.999999999.partial"
    torn.write_bytes(b"torn")

    built = build_cache(dataset, tmp_path / "cache")

    assert decoded == ["a-0", "a-1", "a-2", "a-2", "a-3"]
    assert len(built.cases) == 4
    assert not torn.exists()


def test_workers_build_the_same_cache(tmp_path):
    """Two processes write the bytes that one writes."""
    dataset, alone = a_cache(tmp_path)

    together = build_cache(dataset, tmp_path / "two", workers=2, on_event=ignore)

    files = sorted(path.name for path in alone.folder.iterdir())
    assert files == sorted(path.name for path in together.folder.iterdir())
    for name in files:
        if not name.endswith(".npz"):
            assert (alone.folder / name).read_bytes() == (together.folder / name).read_bytes(), name


def test_without_blosc2_arrays_are_npy(tmp_path, monkeypatch):
    """The fallback gives back the same voxels, and a later b2nd takes its place."""
    values = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
    real = stored._write_blocks
    monkeypatch.setattr(stored, "_write_blocks", lambda path, array: (_ for _ in ()).throw(RuntimeError("refused")))
    assert write_array(tmp_path / "a", values).name == "a.npy"
    np.testing.assert_array_equal(StoredArray(tmp_path / "a")[1:3, :, 2], values[1:3, :, 2])
    monkeypatch.setattr(stored, "_write_blocks", real)

    assert write_array(tmp_path / "a", values).name == "a.b2nd"

    assert not (tmp_path / "a.npy").exists()
    np.testing.assert_array_equal(np.asarray(StoredArray(tmp_path / "a")), values)


@pytest.mark.parametrize("suffix", [".b2nd", ".npy"])
def test_a_damaged_or_missing_array_is_named(tmp_path, suffix):
    """The refusal says what helps."""
    (tmp_path / f"a.image{suffix}").write_bytes(b"half an array")

    for name, word in (("a.image", "damaged"), ("b.image", "gone")):
        with pytest.raises(DamagedDatasetError, match=word) as caught:
            open_array(tmp_path / name)
        assert "built again" in caught.value.hint


def test_another_transform_is_another_cache(tmp_path, monkeypatch):
    """A change in what is done to a case does not meet files of before."""
    dataset, _ = a_cache(tmp_path)
    monkeypatch.setitem(cache_room.TRANSFORM, "layout", 999)

    with pytest.raises(DatasetError, match="not built"):
        open_cache(dataset.sha256, tmp_path / "cache")


def test_the_validation_fold_is_no_longer_trained_on(tmp_path):
    """Cases of the fold are validation, the others training, and the test split is neither."""
    root = a_dataset(tmp_path / "d")
    built = build_cache(open_dataset(root), tmp_path / "cache")
    entries = json.loads((built.folder / "cases.json").read_text())
    for number, case in enumerate(entries["cases"]):
        case["fold"] = number % 2 if case["split"] == "train" else None
    (built.folder / "cases.json").write_text(json.dumps(entries))
    opened = open_cache(open_dataset(root).sha256, tmp_path / "cache")

    parts = {
        part: {c.case_id for c in opened.load(part, validation_fold=1)} for part in ("train", "validation", "test")
    }

    assert parts == {"train": {"a-2"}, "validation": {"a-1", "a-3"}, "test": {"a-0"}}
    assert len(opened.load("train")) == 3


def test_class_examples_count_what_was_looked_for(tmp_path):
    """Cases without an annotated class do not speak for it."""
    dataset = open_dataset(a_dataset(tmp_path / "d", annotated=("lesion",)))

    assert class_examples(build_cache(dataset, tmp_path / "c").load("train"), a_job()) == {"lesion": 3, "fluid": 0}


def test_a_patch_stays_inside_its_volume(tmp_path):
    """A centre at a corner gives the corner's patch; a patch larger than the volume gives the volume."""
    (case, *_) = a_cache(tmp_path)[1].load("test")

    image, label = crop(case, (0, 31, 0), (8, 8))
    deep, _ = crop(case, (3, 0, 31), (8, 8, 8))

    np.testing.assert_array_equal(image, case.image[:, 0, 24:32, 0:8])
    np.testing.assert_array_equal(label, case.label[0, 24:32, 0:8])
    np.testing.assert_array_equal(deep, case.image[:, 0:4, 0:8, 24:32])


def test_a_changed_label_language_or_manifest_is_refused(tmp_path):
    """Hashes of the whole are compared before any case: splits, labels and recipe are in them."""
    root = a_dataset(tmp_path / "d")
    manifest = json.loads((root / "racoon.json").read_text())
    moved = json.loads(json.dumps(manifest))
    moved["cases"][0]["split"] = "train"
    named = {**manifest, "files": {"labels.json": "0" * 64}}

    for document in (moved, named):
        (root / "racoon.json").write_text(json.dumps(document))
        with pytest.raises(DamagedDatasetError):
            open_dataset(root)


def test_a_label_outside_the_schema_sets_its_case_aside(tmp_path):
    """A value nobody named cannot be learned: the case is counted, the others go on."""
    from dataclasses import replace

    dataset = open_dataset(a_dataset(tmp_path / "d"))
    strange = replace(dataset, cases=(replace(dataset.cases[0], values=frozenset({1})), *dataset.cases[1:]))

    built = build_cache(strange, tmp_path / "cache")

    assert [(str(one.ref), one.code) for one in built.quarantined] == [("case a-0", "dataset.damaged")]
    assert [entry.case_id for entry in built.cases] == ["a-1", "a-2", "a-3"]
