"""The example plug-in, installed without a network beside racoon, is found, reads, and keeps the contract."""

import json
import os
import shutil
import subprocess
import sys
import tomllib

import pytest

from racoon_data.testing.makers import a_series
from tests.house.code import ROOT

PLUGIN = ROOT / "examples" / "annotation_plugin"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A target folder as an installer leaves it: the module and its dist-info with the entry point."""
    target = tmp_path_factory.mktemp("site-packages")
    project = tomllib.loads((PLUGIN / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    shutil.copy(PLUGIN / "racoon_boxes.py", target)
    info = target / f"racoon_boxes-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"]
    text = "\n".join(f"[{group}]\n{name} = {value}" for group in groups for name, value in groups[group].items())
    (info / "entry_points.txt").write_text(text)
    return target


def run(installed, cwd, *arguments):
    """Run a module with the plug-in on the path."""
    path = os.pathsep.join((str(installed), str(ROOT)))
    command = [sys.executable, "-m", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300, env=env)


def test_it_is_listed_and_read(installed, tmp_path):
    """``racoon plugins`` names it, and ``racoon annotations read`` writes its mask on the image grid."""
    series = a_series(tmp_path / "in" / "ct", slices=6)
    document = {
        "patient": series.plan.patient_id,
        "series_uid": series.ref.series_uid,
        "shape": series.geometry.shape,
        "affine_lps": series.geometry.affine_lps,
        "boxes": [{"name": "Lesion", "from": [2, 3, 1], "to": [9, 8, 4]}],
    }
    (tmp_path / "in" / "x.boxes.json").write_text(json.dumps(document))

    plugins = run(installed, tmp_path, "racoon_data", "plugins", "--json")
    read = run(installed, tmp_path, "racoon_data", "annotations", "read", "in", "out", "--json")

    assert ("racoon.annotation_readers", "boxes") in {(one["group"], one["name"]) for one in json.loads(plugins.stdout)}
    [annotation] = json.loads(read.stdout)["annotations"]
    assert (annotation["kind"], annotation["confidence"]) == ("boxes", "reference")
    assert annotation["masks"][0]["voxels"] == 7 * 5 * 3


def test_it_keeps_the_contract(installed, tmp_path):
    """A third party runs the contract test with pytest alone."""
    shutil.copy(PLUGIN / "test_racoon_boxes.py", tmp_path)

    done = run(installed, tmp_path, "pytest", "-q", "-p", "no:cacheprovider", "test_racoon_boxes.py")

    assert done.returncode == 0, done.stdout[-2000:]
    assert "7 passed" in done.stdout
