"""Every exporter keeps the contract, and the tool it writes for accepts what it wrote."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from racoon_data import plugins, schemas
from racoon_data.cases import Channel
from racoon_data.dataset.exporters.croissant import CroissantExporter
from racoon_data.dataset.exporters.datalist import DatalistExporter
from racoon_data.dataset.exporters.msd import MsdExporter
from racoon_data.dataset.exporters.nnunet import NnunetExporter
from racoon_data.errors import DiskFullError, NothingMatchedError, SettingsError
from racoon_data.events import ignore
from racoon_data.files.atomic import share_file
from racoon_data.files.nifti import read_nifti
from racoon_data.labels import IGNORE, LabelMap
from racoon_data.testing.contracts import ExporterContract
from racoon_data.volumes import Volume
from tests.dataset.makers import GRID, NAMES, a_case, a_dataset
from tests.journeys.steps import racoon

MANY = range(1, 9)


def two_channels(number):
    """A case of two channels; the second holds twice the values of the first."""
    case = a_case(number)
    (first,) = case.channels
    second = Volume((first.volume.array * 2).astype(np.float32), GRID, "")
    return replace(case, channels=(first, Channel("PT", second, first.series, first.acquisition, ())))


def export(exporter, dataset, out, **options):
    """Export and give what was written."""
    return exporter.export(dataset, out, options=options, on_event=ignore)


class TestDatalist(ExporterContract):
    """The MONAI datalist keeps the exporter's contract."""

    def exporter(self):
        """Give the exporter."""
        return DatalistExporter()

    def a_dataset(self, folder):
        """Write a small valid dataset."""
        a_dataset(folder / "d")
        return folder / "d"


class TestCroissant(TestDatalist):
    """Croissant metadata keep the exporter's contract."""

    def exporter(self):
        """Give the exporter."""
        return CroissantExporter()


class TestNnunet(TestDatalist):
    """The nnU-Net dataset keeps the exporter's contract."""

    out_name = "Dataset001_Thorax"

    def exporter(self):
        """Give the exporter."""
        return NnunetExporter()


class TestMsd(TestDatalist):
    """The decathlon task keeps the exporter's contract."""

    def exporter(self):
        """Give the exporter."""
        return MsdExporter()


@pytest.mark.parametrize("name", ["datalist", "croissant"])
def test_a_view_is_what_the_build_wrote(tmp_path, name):
    """An exporter found by its name writes the bytes of the build again."""
    a_dataset(tmp_path)
    before = (tmp_path / f"{name}.json").read_bytes()
    (tmp_path / f"{name}.json").unlink()

    exported = export(plugins.load(plugins.EXPORTERS, name)(), tmp_path, tmp_path)

    assert exported.path == tmp_path / f"{name}.json"
    assert exported.path.read_bytes() == before


def test_monai_loads_the_datalist(tmp_path):
    """MONAI's own loader gives every labelled training case with paths that exist, and folds go by patient."""
    from monai.data import load_decathlon_datalist

    manifest = a_dataset(tmp_path, [*map(a_case, MANY), a_case(9, label_map=None)])

    loaded = load_decathlon_datalist(str(tmp_path / "datalist.json"), is_segmentation=True, data_list_key="training")
    tested = load_decathlon_datalist(str(tmp_path / "datalist.json"), is_segmentation=False, data_list_key="testing")

    wanted = [case for case in manifest.cases if case.split == "train" and case.label]
    assert [(one["case_id"], one["fold"]) for one in loaded] == [(case.case_id, case.fold) for case in wanted]
    assert all(Path(one[kind]).is_file() for one in loaded for kind in ("image", "label"))
    assert len(tested) == sum(case.split == "test" for case in manifest.cases)


def test_monai_loads_the_msd_task(tmp_path):
    """The decathlon's loader reads a task of two channels; they are stacked, each with its own values."""
    import nibabel
    from monai.data import load_decathlon_datalist

    a_dataset(tmp_path / "d", [two_channels(number) for number in MANY])
    manifest = json.loads((tmp_path / "d" / "racoon.json").read_text())
    (tmp_path / "d" / "racoon.json").write_text(json.dumps({**manifest, "channels": ["CT", "PT"]}))

    export(MsdExporter(), tmp_path / "d", tmp_path / "Task01", license="CC-BY-4.0")

    head = json.loads((tmp_path / "Task01" / "dataset.json").read_text())
    loaded = load_decathlon_datalist(str(tmp_path / "Task01" / "dataset.json"), True, "training")
    assert (head["tensorImageSize"], head["modality"]) == ("4D", {"0": "CT", "1": "PT"})
    assert (head["licence"], head["numTraining"], head["numTest"]) == ("CC-BY-4.0", 6, 2)
    assert len(loaded) == 6
    image = nibabel.load(loaded[0]["image"])
    label = nibabel.load(loaded[0]["label"])
    values = np.asarray(image.dataobj)
    assert image.shape == (*GRID.shape, 2)
    np.testing.assert_allclose(image.affine, label.affine)
    np.testing.assert_allclose(values[..., 1], values[..., 0] * 2)
    assert sorted(path.name for path in (tmp_path / "Task01" / "labelsTs").iterdir()) == sorted(
        Path(path).name for path in head["test"]
    )


def nnunet_says(root, *arguments):
    """Run nnU-Net's own command on the datasets below a folder."""
    places = {name: str(root.parent / name) for name in ("nnUNet_preprocessed", "nnUNet_results")}
    environment = {**os.environ, **places, "nnUNet_raw": str(root), "OMP_NUM_THREADS": "1"}
    command = Path(sys.executable).with_name("nnUNetv2_extract_fingerprint")
    return subprocess.run([command, *arguments], env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.peers("nnUNetv2_extract_fingerprint")
def test_nnunet_accepts_the_dataset(tmp_path):
    """nnU-Net's own integrity check passes: two channels, an ignore label, files shared with the dataset."""
    array = a_case().label_map.array.copy()
    array[0] = IGNORE
    cases = [replace(two_channels(number), label_map=LabelMap(array, GRID, NAMES)) for number in MANY]
    a_dataset(tmp_path / "d", cases)
    document = json.loads((tmp_path / "d" / "racoon.json").read_text())
    (tmp_path / "d" / "racoon.json").write_text(json.dumps({**document, "channels": ["CT", "PT"]}))
    root = tmp_path / "nnUNet_raw" / "Dataset001_Thorax"

    exported = export(NnunetExporter(), tmp_path / "d", root)
    said = nnunet_says(root.parent, "-d", "1", "--verify_dataset_integrity", "-np", "1")

    assert said.returncode == 0, said.stderr
    assert "verify_dataset_integrity Done" in said.stdout
    assert not {"Error:", "Warning:", "WARNING"} & set(said.stdout.split())
    assert (tmp_path / "nnUNet_preprocessed" / root.name / "dataset_fingerprint.json").is_file()
    image = root / "imagesTr" / "case-001_0000.nii.gz"
    assert image.samefile(tmp_path / "d" / "imagesTr" / image.name)
    assert any("splits_final.json" in note for note in exported.notes)


def test_nnunet_folds_are_ours(tmp_path):
    """Every training case validates once, in the fold the manifest gives; a copy shares no file."""
    manifest = a_dataset(tmp_path / "d", list(map(a_case, MANY)))

    export(NnunetExporter(), tmp_path / "d", tmp_path / "Dataset007_T", copy="yes")

    folds = json.loads((tmp_path / "Dataset007_T" / "splits_final.json").read_text())
    validated = {case_id: number for number, fold in enumerate(folds) for case_id in fold["val"]}
    assert validated == {case.case_id: case.fold for case in manifest.cases if case.split == "train"}
    assert all(not set(fold["train"]) & set(fold["val"]) for fold in folds)
    image = manifest.cases[0].images[0]
    assert not (tmp_path / "Dataset007_T" / image).samefile(tmp_path / "d" / image)


def test_nnunet_asks_for_its_name_and_for_labels(tmp_path):
    """A name nnU-Net would not find, and a dataset without labelled cases, are refused before anything is written."""
    a_dataset(tmp_path / "d", [a_case(1, label_map=None)])

    with pytest.raises(SettingsError, match="nnU-Net finds no dataset"):
        export(NnunetExporter(), tmp_path / "d", tmp_path / "out")
    with pytest.raises(NothingMatchedError):
        export(NnunetExporter(), tmp_path / "d", tmp_path / "Dataset001_T")

    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_an_export_that_stands_is_replaced_whole(tmp_path):
    """What a former export held and this one does not is gone, and the account fits its schema."""
    a_dataset(tmp_path / "d")
    out = tmp_path / "Dataset001_T"
    export(NnunetExporter(), tmp_path / "d", out)
    (out / "imagesTr" / "left.nii.gz").write_bytes(b"x")

    export(NnunetExporter(), tmp_path / "d", out)

    assert not (out / "imagesTr" / "left.nii.gz").exists()
    account = json.loads((out / "racoon-export.json").read_text())
    schemas.validate("dataset-export", account)
    assert account["files"] == sum(path.is_file() for path in out.rglob("*")) - 1


def test_a_full_disk_leaves_the_old_export(tmp_path, monkeypatch):
    """Where a copy fails half way, the export that stood there stands and nothing half is beside it."""
    a_dataset(tmp_path / "d")
    out = tmp_path / "x" / "Dataset001_T"
    export(NnunetExporter(), tmp_path / "d", out)
    before = sorted(out.rglob("*"))

    def full(source, target, *, is_copy=False):
        if "case-002" in target.name:
            raise DiskFullError("the disk is full", hint="free space")
        share_file(source, target, is_copy=is_copy)

    monkeypatch.setattr("racoon_data.dataset.exporters.folder.share_file", full)
    with pytest.raises(DiskFullError):
        export(NnunetExporter(), tmp_path / "d", out)

    assert sorted(out.rglob("*")) == before
    assert [path.name for path in out.parent.iterdir()] == [out.name]


# What Croissant 1.1 requires of a dataset and of each resource (tables "Required" and "FileObject" of the format).
_REQUIRED = ("@context", "@type", "conformsTo", "name", "description", "license", "url", "creator", "datePublished")


def test_croissant_has_what_the_format_requires(tmp_path):
    """Required properties, unique ids, references that resolve, checksums that hold, globs that find files."""
    import hashlib

    a_dataset(tmp_path, list(map(a_case, MANY)))
    options = {"license": "https://spdx.org/licenses/CC-BY-4.0.html", "date": "2026-11-25", "url": "https://x.test/d"}

    export(CroissantExporter(), tmp_path, tmp_path, **options)

    document = json.loads((tmp_path / "croissant.json").read_text())
    assert all(document[name] for name in _REQUIRED)
    assert (document["@type"], document["conformsTo"]) == ("sc:Dataset", "http://mlcommons.org/croissant/1.1")
    parts = [*document["distribution"], *document["recordSet"], *document["recordSet"][0]["field"]]
    ids = [part["@id"] for part in parts]
    assert len(set(ids)) == len(ids)
    for part in document["distribution"]:
        assert part.get("containedIn", {"@id": "root"})["@id"] in ids
        if part["@type"] == "cr:FileSet":
            assert list(tmp_path.glob(part["includes"])), part["includes"]
        elif part["@id"] != "root":
            data = (tmp_path / part["contentUrl"]).read_bytes()
            assert part["sha256"] == hashlib.sha256(data).hexdigest()
    columns = (tmp_path / "index.csv").read_text().splitlines()[0].split(",")
    fields = document["recordSet"][0]["field"]
    assert [field["source"]["extract"]["column"] for field in fields] == columns
    assert {field["source"]["fileObject"]["@id"] for field in fields} <= set(ids)


def test_croissant_names_no_patient(tmp_path):
    """Croissant metadata leaves the house: no case id and no pseudonym stands in it, and no day of a build."""
    a_dataset(tmp_path)

    text = (tmp_path / "croissant.json").read_text()

    assert "case-0" not in text
    assert "P00" not in text
    assert "datePublished" not in text


def test_the_command_exports_and_explains(tmp_path):
    """A dry run lists the options and writes nothing; an unknown option and a missing folder are refused."""
    a_dataset(tmp_path / "d")
    target = tmp_path / "Dataset001_T"
    command = ("dataset", "export", tmp_path / "d", "--to", "nnunet")

    dry = racoon(*command, "--out", target, "--dry-run")
    refused = racoon(*command, "--out", target, "-o", "colour=red")
    homeless = racoon(*command)
    assert (dry.exit_code, refused.exit_code, homeless.exit_code, target.exists()) == (0, 3, 3, False)
    assert "hard links" in dry.out
    assert "copy" in refused.err

    done = racoon(*command, "--out", target, "-o", "copy=yes", "--json")
    assert done.document["path"] == str(target)
    assert read_nifti(target / "labelsTr" / "case-001.nii.gz")[0].max() == 2
