"""A folder becomes masks, a table and an account that leaves nothing out."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from racoon_data import schemas
from racoon_data.annotations.folder import find_annotations, read_found
from racoon_data.cli.main import app
from racoon_data.files.nifti import read_nifti
from racoon_data.outcomes import tally
from racoon_data.testing.makers import Contour, Measured, SegStyle, a_seg, a_series, an_rtstruct, an_sr, rectangle
from racoon_data.testing.segmentations import LESION
from tests.annotations.helpers import box


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A CT with a SEG, an RTSTRUCT and a report, a SEG of images that are not there, and a text file."""
    folder = tmp_path_factory.mktemp("study")
    made = a_series(folder / "ct", slices=6)
    mask = box(made.geometry.array_shape, k=slice(1, 4), j=slice(3, 8), i=slice(2, 9))
    segs = a_seg(folder, made, {"Größe/../1": mask})
    an_rtstruct(folder, made, {"tumour": [rectangle(2, columns=(2.5, 5.5), rows=(2.5, 5.5))]})
    an_sr(folder, made, [Measured("Größe/../1", LESION, 1.0)], segs=segs)
    absent = a_series(folder.with_name("absent"), slices=6, seed="absent")
    a_seg(folder, absent, {"lost": mask}, style=SegStyle(series_number=101))
    (folder / "readme.txt").write_text("no DICOM")
    return folder, made, mask


def test_every_file_is_accounted_for(study, tmp_path):
    """Three annotations read, one without its images and one text file set aside: the sum is all of them."""
    folder, _, _ = study

    read = read_found(find_annotations(folder), tmp_path)

    counts = tally(read.outcomes)
    assert (counts.done, counts.skipped, counts.failed) == (3, 2, 0)
    assert {outcome.code for outcome in read.outcomes} == {"", "annotation.dangling_reference", "dicom.not_dicom"}


def test_masks_lie_on_the_image_grid(study, tmp_path):
    """A written mask has the image's grid and the truth's voxels, and its name cannot leave the folder."""
    folder, made, mask = study

    read = read_found(find_annotations(folder), tmp_path)
    seg = next(one for one in read.annotations if one["kind"] == "seg")
    array, geometry = read_nifti(tmp_path / seg["masks"][0]["file"])

    np.testing.assert_array_equal(array, mask)
    assert array.dtype == np.uint8
    assert geometry.same_grid(made.geometry, tol_mm=1e-3)
    assert seg["masks"][0]["file"].endswith("/001-gr-e-1.nii.gz")
    assert seg["masks"][0]["ml"] == pytest.approx(mask.sum() * made.geometry.voxel_ml)


def test_the_account_is_valid_and_the_same_every_time(study, tmp_path):
    """annotations.json validates against its schema; two runs write the same bytes."""
    folder, _, _ = study
    for name in ("a", "b"):
        read_found(find_annotations(folder), tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*") if path.is_file())

    schemas.validate("annotations", json.loads((tmp_path / "a" / "annotations.json").read_text("utf-8")))
    assert len(files) == 5
    assert all((tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes() for file in files)


def test_the_example_validates():
    """The example beside the schema is one."""
    example = schemas.folder() / "examples" / "annotations.json"

    schemas.validate("annotations", json.loads(example.read_text("utf-8")))
    assert example.is_file()


def test_a_gap_in_the_images_does_not_cost_the_findings(tmp_path):
    """A report needs no grid: its rows are read where the series lacks a slice and the SEG cannot be placed."""
    made = a_series(tmp_path / "in" / "ct", slices=6, missing=[3])
    segs = a_seg(tmp_path / "in", made, {"a": box(made.geometry.array_shape, k=1, j=3, i=4)})
    an_sr(tmp_path / "in", made, [Measured("a", LESION, 1.0)], segs=segs)

    read = read_found(find_annotations(tmp_path / "in"), tmp_path / "out")

    assert len(read.findings) == 2
    assert [outcome.code for outcome in read.outcomes if outcome.code] == ["dicom.missing_slices"]


def run(*arguments):
    """Run the command line in this process."""
    return CliRunner().invoke(app, ["annotations", *map(str, arguments)])


def test_list_shows_what_lies_where(study):
    """The listing names kind and series as JSON, and what goes no further with its code."""
    folder, made, _ = study

    ended = run("list", folder, "--json")
    listed = json.loads(ended.stdout)

    assert ended.exit_code == 0
    assert {(row["kind"], row["image_series_uid"]) for row in listed["annotations"]} == {
        (kind, made.ref.series_uid) for kind in ("SEG", "RTSTRUCT", "SR")
    }
    assert len(listed["outcomes"]) == 2


def test_read_writes_masks_and_findings(study, tmp_path):
    """One command gives masks, table and account; skips are no failure."""
    folder, _, _ = study

    ended = run("read", folder, tmp_path / "out")

    assert ended.exit_code == 0, ended.output
    assert "tumour" in ended.stdout
    with (tmp_path / "out" / "findings.csv").open(encoding="utf-8", newline="") as stream:
        assert [row["concept"] for row in csv.DictReader(stream)] == ["Volume", "Severity"]


def test_the_table_is_written_as_json_lines_too(study, tmp_path):
    """measurements.jsonl holds the rows of findings.csv, each valid by its schema."""
    folder, _, _ = study

    read_found(find_annotations(folder), tmp_path)

    lines = [json.loads(line) for line in (tmp_path / "measurements.jsonl").read_text("utf-8").splitlines()]
    with (tmp_path / "findings.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == lines
    for line in lines:
        schemas.validate("measurement", line)


def test_policies_are_chosen_on_the_command_line(tmp_path):
    """Nested contours joined, a gap filled, a point as mask: each as asked, each in the notes."""
    made = a_series(tmp_path / "in" / "ct", slices=6)
    lines = [rectangle(k, columns=(2.5, 9.5), rows=(2.5, 9.5)) for k in (1, 3)]
    lines += [rectangle(1, columns=(4.5, 6.5), rows=(4.5, 6.5)), Contour(3, ((20, 20),), "POINT")]
    an_rtstruct(tmp_path / "in", made, {"tumour": lines})

    options = ("--nested-contours", "union", "--fill-gaps", 1, "--open-contours", "masks")
    ended = run("read", tmp_path / "in", tmp_path / "out", "--json", *options)

    (account,) = json.loads(ended.stdout)["annotations"]
    assert account["masks"][0]["voxels"] == 3 * 49 + 1
    assert sum("as asked" in note for note in account["notes"]) == 3


def test_a_dry_run_writes_nothing(study, tmp_path):
    """The plan is shown and the folder stays absent."""
    folder, _, _ = study

    ended = run("read", folder, tmp_path / "out", "--dry-run")

    assert ended.exit_code == 0
    assert not (tmp_path / "out").exists()


def test_failures_and_emptiness_have_their_exit_codes(tmp_path):
    """A SEG on another grid ends with 5; a folder without annotations with 8."""
    made = a_series(tmp_path / "in" / "ct", slices=6)
    assert run("read", tmp_path / "in", tmp_path / "out").exit_code == 8

    far = a_series(tmp_path / "far", slices=6, origin_lps=(-19.6, -15.0, 100.0), series_uid=made.ref.series_uid)
    a_seg(tmp_path / "in", far, {"a": box(far.geometry.array_shape, k=1, j=3, i=4)})
    ended = run("read", tmp_path / "in", tmp_path / "out", "--json")

    assert ended.exit_code == 5
    assert json.loads(ended.stdout)["outcomes"][-1]["code"] == "annotation.grid_mismatch"


def test_a_uid_that_is_a_path_writes_nothing_outside(tmp_path):
    """A segmentation whose SOPInstanceUID leads out of the folder is written inside it, under another name."""
    import numpy as np
    import pydicom

    from racoon_data.annotations.folder import find_annotations, read_found
    from racoon_data.testing.makers import a_seg, a_series

    series = a_series(tmp_path / "in", slices=3, rows=8, columns=8)
    (seg,) = a_seg(tmp_path / "in", series, {"x": np.ones((3, 8, 8), dtype=bool)})
    dataset = pydicom.dcmread(seg.path)
    dataset._dict[0x00080018] = pydicom.DataElement(0x00080018, "UI", "../../../escape", validation_mode=0)
    dataset.save_as(seg.path, enforce_file_format=False)

    read_found(find_annotations(tmp_path / "in"), tmp_path / "w" / "x" / "out")

    assert list((tmp_path / "w" / "x" / "out").rglob("*.nii.gz"))
    assert {path.name for path in tmp_path.iterdir()} == {"in", "w"}
    assert {path.name for path in (tmp_path / "w" / "x").iterdir()} == {"out"}
