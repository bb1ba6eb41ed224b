"""Predictions lie on their image's grid, resume, refuse what does not fit, and come back from SEG the same."""

import json

import numpy as np
import pytest

from racoon_data import schemas
from racoon_data.errors import DamagedDatasetError, JobMismatchError, NothingMatchedError, PayloadError
from racoon_data.files.nifti import read_nifti, write_nifti
from racoon_data.geometry import Geometry, as_affine
from racoon_data.grid.reorient import reorient_array
from racoon_data.testing.lung_codes import LABELS_PATH
from racoon_data.testing.makers import a_series
from racoon_train.checkpoints import Model, load_model, save_model, save_weights
from racoon_train.data.sources import SourceCase, source_cases
from racoon_train.job.demo import LUNG_LABELS
from racoon_train.job.job import Job
from racoon_train.networks import initial_weights
from racoon_train.predict import Predicted, predict_cases, predict_image
from tests.annotations.test_export import SIZE, read_back
from tests.journeys.steps import racoon
from tests.train.makers import a_dataset, a_job

pytest.importorskip("torch")

LPS_GRID = Geometry((20, 24, 6), as_affine(np.diag([1.5, 1.5, 4.0, 1.0])))


def a_model(folder, job: Job | None = None, *, learned=None) -> Model:
    """A model with the weights it starts from: its labels are nonsense, but always the same nonsense."""
    job = job or a_job()
    model = Model(folder / "model.safetensors", job, "local", learned or job.class_names)
    save_model(model, initial_weights(job))
    return model


def training(job: Job, **changes) -> Job:
    """The job with other training settings."""
    return Job.model_validate({**job.model_dump(), "training": {**job.training.model_dump(), **changes}})


def volume(seed: int = 0) -> np.ndarray:
    """Smooth HU values on ``LPS_GRID``."""
    rng = np.random.default_rng(seed)
    return np.kron(rng.normal(-500, 300, (6, 6, 5)), np.ones((1, 4, 4))).astype(np.float32)


def images(folder, *names):
    """Images named as nnU-Net names them."""
    for number, name in enumerate(names):
        write_nifti(folder / name, volume(number), LPS_GRID)
    return folder


def run(model: Model, source, out) -> Predicted:
    """Predict every case of a source."""
    return predict_cases(model.weights, source_cases(source), out)


def test_labels_lie_on_the_grid_of_their_image(tmp_path):
    """Same affine and size, only the values of the label schema, and an account that is valid and right."""
    model = a_model(tmp_path)

    found = run(model, images(tmp_path / "in", "one_0000.nii.gz", "two.nii.gz"), tmp_path / "out")

    assert sorted(found.predictions) == ["one", "two"]
    labels, grid = read_nifti(tmp_path / "out" / "one.nii.gz")
    assert grid.same_grid(LPS_GRID, tol_mm=1e-4)
    assert set(np.unique(labels)) <= {0, 1, 2}
    account = json.loads((tmp_path / "out" / "one.json").read_text())
    schemas.validate("prediction", account)
    assert account["label_ml"]["lesion"] == pytest.approx((labels == 1).sum() * 0.009)


def test_the_orientation_an_image_is_stored_in_does_not_matter(tmp_path):
    """The same anatomy stored in other axes gives the same labels in these axes."""
    model = a_model(tmp_path)
    network = model.network()
    straight = predict_image(network, volume()[None], LPS_GRID, model)
    for code in ("RAS", "SAR", "ILP"):
        turned, grid = reorient_array(volume(), LPS_GRID, code)

        found = predict_image(network, turned[None], grid, model)

        np.testing.assert_array_equal(reorient_array(found, grid, "LPS")[0], straight)


def test_a_model_of_another_spacing_predicts_on_the_images_grid(tmp_path):
    """With a spacing in the job the network sees that spacing, and the labels still lie on the image's grid."""
    model = a_model(tmp_path, training(a_job(), spacing_mm=(0.75, 0.75, 2.0)))
    coarse = a_model(tmp_path / "coarse")

    found = predict_image(model.network(), volume()[None], LPS_GRID, model)

    assert found.shape == LPS_GRID.array_shape
    assert not np.array_equal(found, predict_image(coarse.network(), volume()[None], LPS_GRID, coarse))


def test_classes_never_learned_are_never_predicted(tmp_path):
    """A site that annotated lesions only does not guess at fluid."""
    model = a_model(tmp_path, learned=("lesion",))

    found = run(model, images(tmp_path / "in", "one.nii.gz"), tmp_path / "out")

    assert set(np.unique(read_nifti(tmp_path / "out" / "one.nii.gz")[0])) <= {0, 1}
    assert found.predictions["one"].labels == {"lesion": 1}


def test_a_second_run_predicts_only_what_is_missing_or_changed(tmp_path):
    """Whole label maps of the same model and image are kept; a damaged one and a new image are predicted."""
    model = a_model(tmp_path)
    source = images(tmp_path / "in", "one.nii.gz", "two.nii.gz", "three.nii.gz")
    first = run(model, source, tmp_path / "out")
    before = (tmp_path / "out" / "one.nii.gz").read_bytes()
    (tmp_path / "out" / "one.nii.gz").write_bytes(b"torn")
    write_nifti(source / "two.nii.gz", volume(9), LPS_GRID)

    second = run(model, source, tmp_path / "out")

    assert first.reused == ()
    assert second.reused == ("three",)
    assert (tmp_path / "out" / "one.nii.gz").read_bytes() == before


def test_one_bad_image_does_not_stop_the_others(tmp_path):
    """A file that is no image, and a case with a channel too many, are counted with their codes."""
    source = images(tmp_path / "in", "good.nii.gz", "both_0000.nii.gz", "both_0001.nii.gz")
    (source / "bad.nii.gz").write_bytes(b"no image")

    found = run(a_model(tmp_path), source, tmp_path / "out")

    assert [(str(one.ref), one.code) for one in found.outcomes] == [
        ("case bad", "dataset.damaged"),
        ("case both", "case.no_channel"),
        ("case good", ""),
    ]


def test_a_dataset_is_predicted_as_its_manifest_says(tmp_path):
    """Its test split alone on request; an image that differs from its checksum is refused."""
    root = a_dataset(tmp_path / "d")
    (case,) = source_cases(root, split="test")
    case.images[0].write_bytes(b"changed")

    assert len(source_cases(root)) == 4
    with pytest.raises(DamagedDatasetError):
        case.read(1)


def test_a_folder_without_images_is_refused(tmp_path):
    """Nothing to predict is said, not passed over."""
    with pytest.raises(NothingMatchedError):
        source_cases(tmp_path)
    with pytest.raises(DamagedDatasetError):
        SourceCase("gone", (tmp_path / "gone.nii.gz",)).read(1)


def test_weights_of_another_network_and_cut_ones_are_refused(tmp_path):
    """Before the first image: the card says what the weights have to be."""
    model, source = a_model(tmp_path), images(tmp_path / "in", "one.nii.gz")
    save_weights(model.weights, {"w": np.ones(3, np.float32)})
    with pytest.raises(PayloadError, match="another network"):
        run(model, source, tmp_path / "out")
    save_model(model, initial_weights(model.job))
    model.weights.write_bytes(model.weights.read_bytes()[:-7])

    said = racoon("train", "predict", model.weights, source, "--out", tmp_path / "out")

    assert (said.exit_code, "federation.payload" in said.err) == (7, True)
    assert not (tmp_path / "out").exists()


def test_a_three_dimensional_network_slides_over_the_volume(tmp_path):
    """Deep supervision trains several outputs and predicts with one; windows cover every voxel."""
    network = {"name": "dynunet3d", "channels": (4, 8, 8), "deep_supervision": 1, "residual_units": 0}
    job = Job.model_validate({**a_job().model_dump(), "network": network})
    model = a_model(tmp_path, training(job, patch=(8, 16, 16)))

    found = run(model, images(tmp_path / "in", "one.nii.gz"), tmp_path / "out")

    assert found.outcomes[0].code == ""
    assert read_nifti(tmp_path / "out" / "one.nii.gz")[0].shape == (6, 24, 20)


@pytest.fixture
def lungs(tmp_path):
    """A DICOM stack, the NIfTI file of it, and a model of lung labels."""
    series = a_series(tmp_path / "ct", orientation="oblique", **SIZE)
    rng = np.random.default_rng(3)
    image = np.kron(rng.normal(-500, 300, (3, 10, 11)), np.ones((3, 4, 4))).astype(np.float32)
    write_nifti(tmp_path / "in" / "p1.nii.gz", image, series.geometry)
    job = Job.model_validate({**a_job().model_dump(), "labels": [one.model_dump() for one in LUNG_LABELS]})
    return a_model(tmp_path, job)


def test_a_prediction_goes_to_dicom_and_comes_back_the_same(tmp_path, lungs):
    """One command writes label map, SEG and SR; the SEG read back is the label map, voxel for voxel."""
    said = racoon(
        *("train", "predict", lungs.weights, tmp_path / "in", "--out", tmp_path / "out"),
        *("--dicom", tmp_path / "ct", "--labels", LABELS_PATH, "--json"),
    )

    assert said.exit_code == 0, said.err
    labels = read_nifti(tmp_path / "out" / "p1.nii.gz")[0]
    masks, account = read_back(tmp_path / "ct", tmp_path / "out" / "dicom" / "p1", tmp_path / "back")
    values = {label.name: label.value for label in lungs.job.labels}
    assert set(masks) == {name for name, value in values.items() if (labels == value).any()} != set()
    for name, mask in masks.items():
        np.testing.assert_array_equal(mask, labels == values[name], err_msg=name)
    assert {one["kind"] for one in account.annotations} == {"seg", "sr"}
    assert said.document["exports"]["p1"]["files"] == sorted(
        path.name for path in (tmp_path / "out" / "dicom" / "p1").glob("*.dcm")
    )


def test_a_dry_run_predicts_nothing(tmp_path, lungs):
    """The plan names the cases; no folder is made."""
    said = racoon("train", "predict", lungs.weights, tmp_path / "in", "--out", tmp_path / "out", "--dry-run", "--json")

    assert said.document["cases"] == [{"case_id": "p1", "channels": 1}]
    assert not (tmp_path / "out").exists()


def test_codes_of_another_label_language_are_refused(tmp_path):
    """Before anything is predicted: the model's labels are not those of the schema."""
    from racoon_train.cli.predict import _schema

    with pytest.raises(JobMismatchError, match="lesion: model 1, schema absent"):
        _schema(LABELS_PATH, load_model(a_model(tmp_path).weights))
