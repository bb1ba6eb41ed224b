"""The study in small, smaller still: the matrix is complete and its numbers right, whoever wins."""

import csv
import os
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from racoon_data.dataset.check import check_dataset
from racoon_data.errors import SettingsError
from racoon_data.files.manifest import load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.testing.slices import Thinness, ThinSite, styled, write_thin_site
from racoon_train.demo.protocol import load_protocol, run_protocol

PROTOCOL = Path(__file__).parents[2] / "benchmarks" / "study" / "protocol.toml"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """The frozen protocol with three of its hospitals, few patients, two seeds and two rounds of two steps."""
    protocol, _ = load_protocol(PROTOCOL)
    few = {"train": 3, "test": 2}
    protocol = protocol.model_copy(
        update={
            "seeds": (7, 8),
            "sites": tuple(site.model_copy(update=few) for site in protocol.sites[:3]),
            "external": protocol.external.model_copy(update={"test": 3}),
            "training": protocol.training.model_copy(update={"rounds": 2, "local_steps": 2, "batch_size": 2}),
            "rules": protocol.rules.model_copy(update={"fine_tune_steps": 2}),
        }
    )
    out = tmp_path_factory.mktemp("small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: 1)
        return run_protocol(protocol, out).document, out


def test_the_matrix_of_the_study_is_complete(small):
    """Every arm in every seed on every hospital, and no patient on two sides."""
    document = small[0]
    hospitals = ["site-1", "site-2", "site-3", "external"]
    arms = {"local", "ensemble", "ensemble-vote", "ensemble-weighted", "federated", "fine-tuned", "pooled"}

    assert [entry["name"] for entry in document["datasets"]] == hospitals
    assert [entry["patients"] for entry in document["datasets"]] == [2, 2, 2, 3]
    assert {entry["arm"] for entry in document["summary"]} == arms
    models = len(document["models"])
    assert models == 2 * 3 + 5
    assert [len(run["cells"]) for run in document["runs"]] == [models * len(hospitals)] * 2
    assert {row["rival"] for row in document["statistics"]["contests"]} == arms - {"federated"}


def test_the_statistics_are_those_of_the_patients(small):
    """The difference to local at home, recomputed from scores.csv: seeds averaged, then patients."""
    document, out = small
    row = next(
        r for r in document["statistics"]["contests"] if (r["place"], r["rival"], r["label"]) == ("own", "local", None)
    )

    means = {arm: patient_means(out / "scores.csv", arm) for arm in ("federated", "local")}

    gaps = [means["federated"][key] - means["local"][key] for key in means["federated"]]
    assert row["patients"] == len(gaps)
    assert row["difference"] == pytest.approx(fmean(gaps), abs=1e-5)
    assert row["low"] <= row["difference"] <= row["high"]
    assert row["better"] == sum(gap > 0 for gap in gaps)


def patient_means(path, arm):
    """Mean Dice by patient at home: over classes in a case, cases, seeds."""
    cases = {}
    with path.open() as stream:
        for row in csv.DictReader(stream):
            at_home = row["model"] in (arm, f"{arm}@{row['dataset']}") and row["dataset"] != "external"
            if at_home and row["dice"]:
                cases.setdefault((row["patient"], row["seed"], row["case"]), []).append(float(row["dice"]))
    by_seed = {}
    for (patient, seed, _), values in cases.items():
        by_seed.setdefault(patient, {}).setdefault(seed, []).append(fmean(values))
    return {patient: fmean(map(fmean, seeds.values())) for patient, seeds in by_seed.items()}


def test_the_same_protocol_gives_the_same_account(small):
    """Run again in the same place, nothing is trained, and the account is the same."""
    document, out = small
    weights = out / "seed-7" / "federated" / "model.safetensors"
    before = weights.stat().st_mtime_ns
    protocol, _ = load_protocol(PROTOCOL)

    assert document["job"]["name"] == protocol.name
    assert weights.stat().st_mtime_ns == before


def test_a_thin_site_is_a_whole_dataset(tmp_path):
    """It passes the dataset check, gives the same bytes again, and splits by patient as planned."""
    site = ThinSite(name="a", train=3, test=2, prevalence=(1, 1, 1), style_px=1)
    for name in ("one", "two"):
        write_thin_site(tmp_path / name, site, Thinness(pixels=32, pixel_mm=10), seed=4)

    assert check_dataset(tmp_path / "one") == ()
    manifests = [load_manifest(tmp_path / name) for name in ("one", "two")]
    assert manifests[0].dataset_sha256 == manifests[1].dataset_sha256
    assert [case.split for case in manifests[0].cases] == ["train"] * 6 + ["test"] * 4


def test_style_changes_training_outlines_only(tmp_path):
    """A wide reader outlines more in training cases; test cases carry the truth."""
    wide, plain = ThinSite(name="a", train=2, test=2, style_px=1), ThinSite(name="a", train=2, test=2)
    for name, site in (("wide", wide), ("plain", plain)):
        write_thin_site(tmp_path / name, site, Thinness(), seed=6)
    sizes = {}
    for name in ("wide", "plain"):
        for case in load_manifest(tmp_path / name).cases:
            voxels = int((read_nifti(tmp_path / name / str(case.label))[0] > 0).sum())
            sizes[name, case.split] = sizes.get((name, case.split), 0) + voxels

    assert sizes["wide", "test"] == sizes["plain", "test"] > 0
    assert sizes["wide", "train"] > 1.1 * sizes["plain", "train"]


def test_outlines_grow_and_shrink_by_pixels():
    """A square of 5 becomes a plus-shaped 45 or a square of 3; another class is not grown over."""
    labels = np.zeros((1, 11, 11), np.uint8)
    labels[0, 3:8, 3:8] = 2

    assert int((styled(labels, 1) == 2).sum()) == 45
    assert int((styled(labels, -1) == 2).sum()) == 9
    labels[0, 3:8, 8] = 1
    assert int((styled(labels, 1)[0, 3:8, 8] == 1).sum()) == 5


def test_a_wrong_protocol_is_refused(tmp_path):
    """Two hospitals of one name, or a key nobody knows."""
    text = PROTOCOL.read_text()
    (tmp_path / "twice.toml").write_text(text.replace('"site-2"', '"site-1"'))
    (tmp_path / "key.toml").write_text(text.replace("pooled = true", "tuned = true"))

    for name in ("twice.toml", "key.toml"):
        with pytest.raises(SettingsError):
            load_protocol(tmp_path / name)
