"""dciodvfy and dcmqi accept what racoon writes back."""

import json
import subprocess

import numpy as np
import pytest
import SimpleITK

from racoon_data.testing.makers import a_series
from tests.annotations.test_export import SIZE, a_label_map, exported, object_of


@pytest.fixture(scope="module", params=["axial", "oblique"])
def written(request, tmp_path_factory):
    """An export of two labels on one stack: folder and labels."""
    folder = tmp_path_factory.mktemp("export")
    series = a_series(folder / "ct", orientation=request.param, **SIZE)
    path, labels = a_label_map(folder, series)
    for kind in ("binary", "fractional", "labelmap"):
        exported(folder / "ct", path, folder / kind, kind=kind)
    return folder, labels


def output_of(*command):
    """Run a peer and give what it says."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.peers("dciodvfy")
@pytest.mark.parametrize("kind", ["binary", "fractional"])
def test_dciodvfy_finds_no_error(written, kind):
    """Segmentation and report are valid objects of their SOP class."""
    for name in ("seg", "sr"):
        _, said = output_of("dciodvfy", object_of(written[0] / kind, name))
        assert "Error" not in said


@pytest.mark.peers("segimage2itkimage")
@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_dcmqi_reads_the_same_segments(written, kind, tmp_path):
    """dcmqi's masks hold as many voxels, and its metadata the same codes."""
    folder, labels = written
    path = object_of(folder / kind, "seg")

    code, said = output_of("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", tmp_path)

    assert code == 0, said
    meta = json.loads((tmp_path / "meta.json").read_text())
    types = [
        one["SegmentedPropertyTypeCodeSequence"]["CodeValue"] for item in meta["segmentAttributes"] for one in item
    ]
    assert {"1217294009", "95436008"} <= set(types)
    counts = [
        (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(nrrd))) != 0).sum() for nrrd in tmp_path.glob("*.nrrd")
    ]
    assert sum(counts) == np.count_nonzero(labels)


@pytest.mark.peers("tid1500reader")
def test_dcmqi_reads_the_report(written, tmp_path):
    """dcmqi finds each measurement group with its tracking identity and its three numbers."""
    code, said = output_of(
        "tid1500reader", "--inputDICOM", object_of(written[0] / "binary", "sr"), "--outputMetadata", tmp_path / "m.json"
    )

    assert code == 0, said
    groups = json.loads((tmp_path / "m.json").read_text())["Measurements"]
    names = [[item["quantity"]["CodeMeaning"] for item in group["measurementItems"]] for group in groups]
    assert names == [["Volume", "Long Axis", "Short Axis"]] * 2
