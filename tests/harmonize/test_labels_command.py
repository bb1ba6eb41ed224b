"""``racoon labels`` on schemas and on folders as they lie on disk."""

import json
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from racoon_data import schemas
from racoon_data.cli.main import app
from racoon_data.labels import CodedConcept
from racoon_data.testing.makers import SegStyle, a_seg, a_series
from tests.harmonize.makers import DOCUMENT

EXAMPLE = schemas.folder() / "examples" / "label-schema.json"


def _schema(folder: Path) -> str:
    path = folder / "labels.json"
    path.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    return str(path)


def _a_folder(folder: Path, *names: str) -> Path:
    """A CT of six slices with one SEG of the named segments; ``ggo`` carries RACOON's private code."""
    made = a_series(folder / "dicom" / "ct", slices=6, rows=8, columns=9)
    masks = {name: np.zeros((6, 8, 9), dtype=bool) for name in names}
    for number, mask in enumerate(masks.values()):
        mask[1:3, number : number + 2, 2:4] = True
    codes = {
        "ggo": CodedConcept("N/A", "RACOON", "Milchglastrübung"),
        "effusion": CodedConcept("D2-80100", "SRT", "Pleural effusion"),
    }
    a_seg(folder / "dicom", made, masks, style=SegStyle(codes=codes, labels={"effusion": "Segment 2"}))
    return folder / "dicom"


def _run(*words: str):
    return CliRunner().invoke(app, ["labels", *words])


def test_show_lists_labels():
    """Values, names and codes are shown, as a table and as JSON."""
    shown = _run("show", str(EXAMPLE))

    assert shown.exit_code == 0
    assert "SCT:1217294009, DCM:112120" in shown.stdout
    assert json.loads(_run("show", str(EXAMPLE), "--json").stdout)["labels"][1]["name"] == "left_pleural_effusion"


def test_everything_that_maps_ends_well(tmp_path):
    """A private N/A code by its name and a legacy code by itself: exit 0."""
    done = _run("check", _schema(tmp_path), str(_a_folder(tmp_path, "ggo", "effusion")), "--json")

    rows = {row["label"]: row for row in json.loads(done.stdout)["segments"]}
    assert done.exit_code == 0
    assert rows["ggo"]["by"] == "name"
    assert (rows["effusion"]["by"], rows["effusion"]["segment"]) == ("code", "Segment 2 (SRT:D2-80100)")


def test_what_does_not_map_is_shown_with_the_nearest(tmp_path):
    """A misspelled segment exits with 6 and names the label that comes nearest."""
    done = _run("check", _schema(tmp_path), str(_a_folder(tmp_path, "ggo", "consolidatoin")))

    assert done.exit_code == 6
    assert "none" in done.stdout
    assert "consolidation" in done.stdout


def test_what_cannot_be_read_is_told(tmp_path):
    """A dangling segmentation is listed, not dropped; a folder without annotations exits with 8."""
    folder = _a_folder(tmp_path, "ggo")
    for path in (folder / "ct").iterdir():
        path.unlink()

    done = _run("check", _schema(tmp_path), str(folder), "--json")

    assert [one["code"] for one in json.loads(done.stdout)["unread"]] == ["annotation.dangling_reference"]
    assert _run("check", _schema(tmp_path), str(folder / "ct")).exit_code == 8
