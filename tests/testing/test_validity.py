"""David Clunie's validator finds no error in what the makers write."""

import subprocess

import pytest

from racoon_data.testing.makers import a_series
from racoon_data.testing.sites import default_plans, write_site
from tests.testing.test_makers import everything

pytestmark = pytest.mark.peers("dciodvfy")


def errors_in(path):
    """Lines of the validator that start with Error."""
    run = subprocess.run(["dciodvfy", str(path)], capture_output=True, encoding="latin-1", timeout=60, check=False)
    return [line for line in (run.stderr + run.stdout).splitlines() if line.startswith("Error")]


def test_objects_are_valid(tmp_path):
    """CT, MR, PT, SEG, RTSTRUCT and SR pass dciodvfy without an error."""
    everything(tmp_path)
    for modality in ("MR", "PT"):
        a_series(tmp_path / modality, slices=2, modality=modality)
    found = {path.name: errors_in(path) for path in sorted(tmp_path.rglob("*.dcm"))}

    assert len(found) >= 6
    assert not any(found.values()), found


@pytest.mark.parametrize("plan", default_plans(3), ids=lambda plan: plan.name)
def test_sites_are_valid(tmp_path, plan):
    """A slice of every series, the SEG files and the report of a patient pass, in every coding."""
    write_site(tmp_path, plan, patients=1, seed=2)
    found = {}
    for folder in sorted({path.parent for path in tmp_path.rglob("*.dcm")}):
        paths = sorted(folder.glob("*.dcm"))
        for path in paths if folder.name == "annotations" else paths[:1]:
            found[path.relative_to(tmp_path)] = errors_in(path)

    assert len(found) >= 4
    assert not any(found.values()), found
