"""A finished dataset is valid for nnU-Net, reproducible, and any damage shows."""

import csv
import gzip
import json
import re
import shutil

import numpy as np
import pytest

from racoon_data import schemas
from racoon_data.dataset.check import check_dataset
from racoon_data.dataset.manifest import begin_dataset, load_manifest, write_manifest
from racoon_data.dataset.writer import write_case
from racoon_data.errors import DamagedDatasetError, DatasetError, SchemaError, SplitLeakError
from racoon_data.files.atomic import sha256_of, write_json
from racoon_data.files.nifti import read_nifti, write_nifti
from racoon_data.labels import IGNORE, LabelMap
from racoon_data.outcomes import Outcome, Status
from racoon_data.refs import CaseRef, FileRef, InstanceRef, StudyRef
from tests.dataset.makers import GRID, NAMES, SCHEMA, a_case, a_dataset, facts


def bytes_of(root):
    """Read every file below a folder."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def assert_nnunet_raw(root):
    """Hold a folder to the rules of nnU-Net v2's raw format (its documentation/dataset_format.md)."""
    head = json.loads((root / "dataset.json").read_text())
    assert set(head) == {"channel_names", "labels", "numTraining", "file_ending"}
    assert list(head["channel_names"]) == [str(number) for number in range(len(head["channel_names"]))]
    values = sorted(head["labels"].values())
    assert head["labels"]["background"] == 0
    assert values == list(range(len(values)))
    assert head["labels"].get("ignore", values[-1]) == values[-1]
    ending = re.escape(head["file_ending"])
    stems = {path.name for path in (root / "labelsTr").iterdir()}
    assert len(stems) == head["numTraining"]
    found = {}
    for path in (root / "imagesTr").iterdir():
        stem, channel = re.fullmatch(rf"(.+)_(\d{{4}}){ending}", path.name).groups()
        found.setdefault(f"{stem}{head['file_ending']}", set()).add(str(int(channel)))
    assert set(found) == stems
    for name, channels in found.items():
        assert channels == set(head["channel_names"])
        labels, grid = read_nifti(root / "labelsTr" / name)
        assert set(np.unique(labels).tolist()) <= set(values)
        image_grid = read_nifti(root / "imagesTr" / name.replace(".nii.gz", "_0000.nii.gz"))[1]
        assert grid.same_grid(image_grid, tol_mm=1e-3)


def test_it_is_a_valid_nnunet_dataset(tmp_path):
    """Folders, names, channels, labels, counts and grids follow nnU-Net's raw format."""
    a_dataset(tmp_path, [*map(a_case, range(1, 6)), a_case(9, label_map=None)])

    assert_nnunet_raw(tmp_path)


def test_an_ignore_label_is_declared_where_used(tmp_path):
    """``ignore`` stands in dataset.json and in the manifest exactly where a label file holds it."""
    array = a_case().label_map.array.copy()
    array[0] = IGNORE

    manifest = a_dataset(tmp_path, [a_case(1), a_case(2, label_map=LabelMap(array, GRID, NAMES))])

    assert json.loads((tmp_path / "dataset.json").read_text())["labels"]["ignore"] == 4
    assert manifest.ignore_value == 4
    assert_nnunet_raw(tmp_path)
    assert check_dataset(tmp_path) == ()


def test_same_input_same_bytes(tmp_path):
    """Two builds, cases written in another order, agree in every byte and in the dataset hash."""
    first = a_dataset(tmp_path / "a")
    second = a_dataset(tmp_path / "b", [a_case(number) for number in (3, 1, 2)])

    assert first.dataset_sha256 == second.dataset_sha256
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_the_hash_tells_datasets_apart(tmp_path):
    """One other voxel, recipe or split makes another dataset."""
    base = a_dataset(tmp_path / "a")
    voxel = a_dataset(tmp_path / "b", [a_case(1), a_case(2), a_case(3, seed=99)])
    begin_dataset(tmp_path / "a")
    recipe = write_manifest(tmp_path / "a", facts(recipe_sha256="1" * 64), base.cases)

    assert len({base.dataset_sha256, voxel.dataset_sha256, recipe.dataset_sha256}) == 3


def test_a_sound_dataset_has_no_defect(tmp_path):
    """Clean data gives zero findings, and the manifest reads back as written."""
    manifest = a_dataset(tmp_path)

    assert check_dataset(tmp_path) == ()
    assert load_manifest(tmp_path) == manifest


def test_files_fit_their_schemas(tmp_path):
    """Manifest, sidecars and labels.json validate against the shipped schemas."""
    manifest = a_dataset(tmp_path)

    for name, path in [
        ("dataset-manifest", "racoon.json"),
        ("labels", "labels.json"),
        *(("case-sidecar", case.sidecar) for case in manifest.cases),
    ]:
        schemas.validate(name, json.loads((tmp_path / path).read_text()))
    assert manifest.counts.used == 3


@pytest.mark.parametrize("path", ["imagesTr/case-001_0000.nii.gz", "sidecars/case-001.json", "labels.json"])
def test_a_changed_byte_is_found(tmp_path, path):
    """Any changed byte shows, and the file is named."""
    a_dataset(tmp_path)
    target = tmp_path / path
    data = bytearray(target.read_bytes())
    data[len(data) // 2] ^= 1
    target.write_bytes(data)

    defects = check_dataset(tmp_path)

    assert [(defect.ref, defect.code) for defect in defects] == [(FileRef(path), "dataset.damaged")]


def test_missing_and_extra_files_are_found(tmp_path):
    """A lost file and a file of no case are both named."""
    a_dataset(tmp_path)
    (tmp_path / "labelsTr" / "case-001.nii.gz").rename(tmp_path / "labelsTr" / "case-900.nii.gz")

    messages = {str(defect.ref): defect.message for defect in check_dataset(tmp_path)}

    assert messages == {
        "file labelsTr/case-001.nii.gz": "the file is missing",
        "file labelsTr/case-900.nii.gz": "the file belongs to no case",
    }


def test_a_label_on_another_grid_is_found(tmp_path):
    """A label file moved by 50 mm is found although its checksum was forged."""
    a_dataset(tmp_path)
    array, grid = read_nifti(tmp_path / "labelsTr" / "case-001.nii.gz")
    matrix = grid.matrix
    matrix[0, 3] += 50
    array[0, 0, 0] = 9
    write_nifti(tmp_path / "labelsTr" / "case-001.nii.gz", array, type(grid)(grid.shape, tuple(map(tuple, matrix))))
    document = json.loads((tmp_path / "racoon.json").read_text())
    label = "labelsTr/case-001.nii.gz"
    document["cases"][0]["sha256"][label] = sha256_of(tmp_path / label)
    write_json(tmp_path / "racoon.json", document)

    messages = [defect.message for defect in check_dataset(tmp_path)]

    assert messages == [
        "dataset_sha256 differs from what the manifest lists",
        "label values [9] are not in the label schema",
        "images and label lie on different grids",
    ]


def test_a_forged_split_is_found(tmp_path):
    """A patient on both sides of the split is found in a manifest somebody edited."""
    a_dataset(tmp_path)
    document = json.loads((tmp_path / "racoon.json").read_text())
    document["cases"][0]["patient"] = document["cases"][2]["patient"]
    write_json(tmp_path / "racoon.json", document)

    assert "dataset.split_leak" in {defect.code for defect in check_dataset(tmp_path)}


def test_a_leak_is_refused_at_writing(tmp_path):
    """No manifest is written over a leak, so the dataset stays unfinished."""
    begin_dataset(tmp_path)
    records = [
        write_case(a_case(1, patient="P1"), tmp_path, schema=SCHEMA, split="train", fold=0),
        write_case(a_case(2, patient="P1"), tmp_path, schema=SCHEMA, split="test"),
    ]

    with pytest.raises(SplitLeakError):
        write_manifest(tmp_path, facts(), records)

    with pytest.raises(DamagedDatasetError):
        load_manifest(tmp_path)


def test_the_sums_agree(tmp_path):
    """Used, skipped and failed cases add up to what came in; files and instances are listed beside them."""
    outcomes = [
        Outcome(StudyRef("1.2"), "select", Status.SKIPPED, "case.ambiguous", "two series fit", "name a kernel"),
        Outcome(CaseRef("case-9"), "harmonize", Status.FAILED, "case.error", "no", ""),
        Outcome(InstanceRef("1.2", "3", "4"), "read", Status.SKIPPED, "annotation.dangling_reference", "x", ""),
        Outcome(CaseRef("case-001"), "write"),
    ]

    manifest = a_dataset(tmp_path, outcomes=outcomes)

    assert manifest.counts.model_dump() == {"cases_in": 5, "used": 3, "skipped": 1, "failed": 1}
    assert len(manifest.outcomes) == 3


def test_a_case_that_vanished_is_noticed(tmp_path):
    """Where the sums disagree with what came in, the dataset is not finished."""
    begin_dataset(tmp_path)
    record = write_case(a_case(), tmp_path, schema=SCHEMA)

    with pytest.raises(DatasetError, match="2 cases came in"):
        write_manifest(tmp_path, facts(cases_in=2), [record])

    assert not (tmp_path / "racoon.json").exists()


def test_files_of_dropped_cases_are_removed(tmp_path):
    """A build with fewer cases leaves no file of the others."""
    manifest = a_dataset(tmp_path)
    begin_dataset(tmp_path)

    write_manifest(tmp_path, facts(), manifest.cases[:1])

    assert check_dataset(tmp_path) == ()
    assert not [path for path in bytes_of(tmp_path) if "case-002" in path]


def test_a_foreign_dataset_is_left_alone(tmp_path):
    """A folder with somebody else's nnU-Net dataset is never written into."""
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "imagesTr" / "theirs_0000.nii.gz").write_bytes(b"x")

    with pytest.raises(DatasetError):
        begin_dataset(tmp_path)
    with pytest.raises(DatasetError):
        write_case(a_case(), tmp_path, schema=SCHEMA)

    assert bytes_of(tmp_path) == {"imagesTr/theirs_0000.nii.gz": b"x"}


def test_a_broken_manifest_names_the_place(tmp_path):
    """A manifest that is no JSON, or has a wrong value, says where."""
    a_dataset(tmp_path)
    document = json.loads((tmp_path / "racoon.json").read_text())
    document["cases"][0]["split"] = "both"
    write_json(tmp_path / "racoon.json", document)

    with pytest.raises(SchemaError, match="/cases/0/split"):
        load_manifest(tmp_path)

    (tmp_path / "racoon.json").write_text("{")
    with pytest.raises(SchemaError, match="not JSON"):
        load_manifest(tmp_path)


def test_index_and_findings_have_a_row_each(tmp_path):
    """index.csv has a row for each case, findings.csv one for each report row."""
    a_dataset(tmp_path)

    index = list(csv.DictReader((tmp_path / "index.csv").open()))
    findings = list(csv.DictReader((tmp_path / "findings.csv").open()))

    assert [row["case_id"] for row in index] == ["case-001", "case-002", "case-003"]
    assert index[0]["ml_consolidation"] == "0.182"
    assert index[0]["ml_pleural-effusion"] == ""
    assert [row["case_id"] for row in findings] == ["case-001", "case-002", "case-003"]


def test_text_cannot_become_a_formula(tmp_path):
    """Words of a reader that a spreadsheet would run are disarmed in the CSV files."""
    a_dataset(tmp_path, [a_case(unmapped=("=HYPERLINK(1)",))])

    row = next(csv.DictReader((tmp_path / "index.csv").open()))

    assert row["unmapped"] == "'=HYPERLINK(1)"


def test_no_time_stands_in_the_files(tmp_path):
    """gzip headers carry no time, so a build tomorrow gives the same bytes."""
    manifest = a_dataset(tmp_path)

    heads = [(tmp_path / case.images[0]).read_bytes()[:8] for case in manifest.cases]

    assert {head[4:8] for head in heads} == {b"\0\0\0\0"}
    assert gzip.decompress((tmp_path / manifest.cases[0].images[0]).read_bytes())


def test_a_copy_elsewhere_is_as_good(tmp_path):
    """Paths are relative: a copied folder checks the same."""
    a_dataset(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")

    assert check_dataset(tmp_path / "b") == ()
