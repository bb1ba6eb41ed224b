"""A dataset goes back to DICOM: the SEG on the source images holds the voxels of the dataset."""

import json

import numpy as np
import pytest
from pydicom import dcmread

from racoon_data import schemas
from racoon_data.annotations.folder import find_annotations, read_found
from racoon_data.errors import NothingMatchedError
from racoon_data.files.nifti import read_nifti
from racoon_data.pipeline.dicom_seg import DicomSegExporter
from racoon_data.testing.contracts import ExporterContract
from tests.annotations.test_export_peers import output_of
from tests.journeys.steps import LABELS, a_patient, files_of, racoon, walk

CODED = {
    **LABELS,
    "labels": [
        {
            **LABELS["labels"][0],
            "written": {
                "category": {"value": "49755003", "scheme": "SCT", "meaning": "Morphologically abnormal structure"},
                "type": {"value": "52988006", "scheme": "SCT", "meaning": "Lesion"},
            },
        }
    ],
}


def walked(folder):
    """Walk two patients whose labels have codes, and give the dataset."""
    for name in ("GOOD-1", "OTHER-1"):
        a_patient(folder / "archive", name)
    (folder / "labels.json").write_text(json.dumps(CODED))
    walk(folder, expect=0)
    return folder / "site" / "datasets" / "lung"


class TestDicomSeg(ExporterContract):
    """The way back to DICOM keeps the exporter's contract."""

    def exporter(self):
        """Give the exporter."""
        return DicomSegExporter()

    def a_dataset(self, folder):
        """Walk to a small dataset; its site knows the images."""
        folder.mkdir(parents=True, exist_ok=True)
        return walked(folder)


def test_the_seg_holds_the_voxels_of_the_dataset(tmp_path):
    """Read onto the images again, each SEG gives the source's voxels: volume and place of the label file."""
    dataset = walked(tmp_path)
    out = tmp_path / "out"

    said = racoon("dataset", "export", dataset, "--to", "dicom-seg", "--out", out, "--json")

    assert said.exit_code == 0, said.err
    assert said.document["left_out"] == []
    schemas.validate("annotation-export", json.loads((out / "export.json").read_text()))
    manifest = json.loads((dataset / "racoon.json").read_text())
    assert len(list(out.rglob("*-seg.dcm"))) == len(manifest["cases"]) == 2
    for case in manifest["cases"]:
        study = tmp_path / "study" / case["case_id"]
        study.mkdir(parents=True)
        images = (tmp_path / "site" / "work" / case["patient"]).rglob("*.dcm")
        for path in [*(one for one in images if dcmread(one).Modality == "CT"), *(out / case["case_id"]).iterdir()]:
            (study / path.name).write_bytes(path.read_bytes())
        account = read_found(find_annotations(study), tmp_path / "read" / case["case_id"])
        (name,) = [mask["file"] for one in account.annotations if one["kind"] == "seg" for mask in one["masks"]]
        assert places(tmp_path / "read" / case["case_id"] / name) == places(dataset / case["label"])
        assert len(places(dataset / case["label"])) == 3 * 6 * 8


def places(path):
    """Give the position in space of every labelled voxel, to a hundredth of a millimetre."""
    array, grid = read_nifti(path)
    return {tuple(round(x, 2) for x in grid.position_lps((int(i), int(j), int(k)))) for k, j, i in np.argwhere(array)}


@pytest.mark.peers("dciodvfy")
def test_dciodvfy_finds_no_error_in_it(tmp_path):
    """The objects are valid DICOM for an independent judge."""
    dataset = walked(tmp_path)
    racoon("dataset", "export", dataset, "--to", "dicom-seg", "--out", tmp_path / "out")

    said = [output_of("dciodvfy", path)[1] for path in sorted((tmp_path / "out").rglob("*.dcm"))]

    assert len(said) == 4
    assert not [line for text in said for line in text.splitlines() if line.startswith("Error")]


def test_a_case_that_cannot_go_back_is_named(tmp_path):
    """Images of one patient are gone: its case is left out with a code and exit 5, the other is written."""
    dataset = walked(tmp_path)
    patient = json.loads((dataset / "racoon.json").read_text())["cases"][0]["patient"]
    (tmp_path / "site" / "work" / patient).rename(tmp_path / "aside")

    said = racoon("dataset", "export", dataset, "--to", "dicom-seg", "--out", tmp_path / "out", "--json")

    assert said.exit_code == 5
    (left,) = said.document["left_out"]
    assert left["code"] == NothingMatchedError.code
    assert len(list((tmp_path / "out").rglob("*-seg.dcm"))) == 1
    account = json.loads((tmp_path / "out" / "racoon-export.json").read_text())
    assert account["outcomes"] == [left]


def test_labels_without_codes_cannot_go_back(tmp_path):
    """A label language without codes is refused with the place to mend; nothing is written."""
    a_patient(tmp_path / "archive", "GOOD-1")
    (tmp_path / "labels.json").write_text(json.dumps(LABELS))
    walk(tmp_path, expect=0)

    said = racoon("dataset", "export", tmp_path / "site" / "datasets" / "lung", "--to", "dicom-seg",
                  "--out", tmp_path / "out")  # fmt: skip

    assert said.exit_code == 8
    assert "no true code" in said.err
    assert "written" in said.err
    assert not (tmp_path / "out").exists()


def test_a_dataset_outside_a_site_names_its_images(tmp_path):
    """Copied away from its site, the dataset needs the folder of its images, and gives the same objects."""
    dataset = walked(tmp_path)
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    assert racoon("dataset", "export", dataset, "--to", "dicom-seg", "--out", inside).exit_code == 0
    dataset.rename(tmp_path / "lung")
    command = ("dataset", "export", tmp_path / "lung", "--to", "dicom-seg", "--out", outside)

    refused = racoon(*command)
    done = racoon(*command, "-o", f"images={tmp_path / 'site' / 'work'}")

    assert (refused.exit_code, done.exit_code) == (3, 0)
    assert "images=DIR" in refused.err
    objects = {name: data for name, data in files_of(inside).items() if name.endswith(".dcm")}
    assert objects == {name: data for name, data in files_of(outside).items() if name.endswith(".dcm")}
