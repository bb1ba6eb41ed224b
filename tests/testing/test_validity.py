"""David Clunie's validator finds no error in what the makers write."""

import shutil
import subprocess

import pytest
from test_makers import everything

from racoon_data.testing.makers import a_series

pytestmark = [
    pytest.mark.peers,
    pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed"),
]


def errors_in(path):
    """Lines of the validator that start with Error."""
    run = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, timeout=60, check=False)
    return [line for line in (run.stderr + run.stdout).splitlines() if line.startswith("Error")]


def test_objects_are_valid(tmp_path):
    """CT, MR, PT, SEG, RTSTRUCT and SR pass dciodvfy without an error."""
    everything(tmp_path)
    for modality in ("MR", "PT"):
        a_series(tmp_path / modality, slices=2, modality=modality)
    found = {path.name: errors_in(path) for path in sorted(tmp_path.rglob("*.dcm"))}

    assert len(found) >= 6
    assert not any(found.values()), found
