"""A model and images to label maps on the images' own grid, each whole, with an account of how it came to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, ValidationError

from racoon_data.documents import read_json
from racoon_data.errors import GridMismatchError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import sha256_of, sweep_partials, write_json
from racoon_data.files.nifti import write_nifti
from racoon_data.files.sidecar import software
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.grid.reorient import orientation_of, reorient_array
from racoon_data.grid.resample import resample_image, target_grid
from racoon_data.outcomes import Outcome
from racoon_data.refs import CaseRef
from racoon_data.runner.run import run_items
from racoon_data.settings import Frozen
from racoon_data.volumes import Volume
from racoon_train import engine
from racoon_train.checkpoints import Model, load_model
from racoon_train.data.sources import SourceCase
from racoon_train.evaluation.metrics import merge_unlearned
from racoon_train.job.job import Job

Labels = npt.NDArray[np.uint8]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Prediction(Frozen):
    """How one label map came to be (``CASE.json`` beside ``CASE.nii.gz``).

    Attributes:
        schema_version: Version of this layout.
        case_id: The case.
        model_sha256: Hash of the weights.
        job_sha256: Hash of the job the model was trained by.
        images: Hash of every image it was made on, by file name.
        label: File name of the label map.
        label_sha256: Its hash.
        labels: Voxel value by label name; those the model never learned are left out.
        label_ml: Predicted volume by label name, in millilitres.
        software: Versions of what made it.
    """

    schema_version: Literal["1.0"] = "1.0"
    case_id: Annotated[str, Field(min_length=1)]
    model_sha256: Sha256
    job_sha256: Sha256
    images: dict[str, Sha256]
    label: Annotated[str, Field(min_length=1)]
    label_sha256: Sha256
    labels: dict[str, Annotated[int, Field(ge=1, le=254)]]
    label_ml: dict[str, Annotated[float, Field(ge=0)]]
    software: dict[str, str]


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a run of predictions left behind.

    Attributes:
        folder: Where the label maps lie.
        predictions: Those there, by case.
        outcomes: One per case.
        reused: Cases whose label map was there already, of the same model and images.
    """

    folder: Path
    predictions: Mapping[str, Prediction]
    outcomes: tuple[Outcome, ...]
    reused: tuple[str, ...] = ()


def predict_cases(model: Path, cases: Sequence[SourceCase], out: Path, *, on_event: OnEvent = ignore) -> Predicted:
    """Predict label maps, one case after the other; a case that fails does not stop the others.

    Args:
        model: Weights with the model card beside them.
        cases: Images.
        out: Folder for ``CASE.nii.gz`` and ``CASE.json``.
        on_event: Listener (kind ``predict``).

    Raises:
        DatasetError: The model has no card.
        PayloadError: The weights are damaged or of another network than the card says.
        StorageError: The disk is full or closed to us.
    """
    opened, model_sha256 = load_model(model), sha256_of(model)
    engine.be_a_good_neighbour()
    network = opened.network().to(engine.device())
    out.mkdir(parents=True, exist_ok=True)
    sweep_partials(out)
    work = partial(_predict_case, opened, network, model_sha256, out)
    items = [(CaseRef(case.case_id), case) for case in cases]
    results = list(run_items("predict", items, work, on_event=on_event))
    done = [result.value for result in results if result.value is not None]
    return Predicted(
        folder=out,
        predictions={prediction.case_id: prediction for prediction, _ in done},
        outcomes=tuple(result.outcome for result in results),
        reused=tuple(prediction.case_id for prediction, is_old in done if is_old),
    )


def predict_image(network: Any, image: npt.NDArray[np.float32], grid: Geometry, model: Model) -> Labels:
    """Predict one case on its own grid.

    The image is turned to the orientation the network was trained on and, where the job names a
    spacing, resampled to it; probabilities return to the image's grid before the strongest is chosen.

    Args:
        network: The model's network.
        image: ``[c, k, j, i]``.
        grid: Its grid.
        model: Job and learned classes.

    Returns:
        Label values of the job's schema, uint8 ``[k, j, i]``.

    Raises:
        GridMismatchError: The grid cannot be turned and turned back exactly.
    """
    training = model.job.training
    code = orientation_of(grid) if training.orientation == "native" else training.orientation
    channels = [reorient_array(channel, grid, code) for channel in image]
    turned = channels[0][1]
    inner = target_grid(turned, training.spacing_mm) if training.spacing_mm else turned
    values = np.stack([_carried(array, turned, inner) for array, _ in channels])
    scores = merge_unlearned(engine.predict(network, values, model.job), model.learned_numbers)
    numbers = np.stack([_carried(score, inner, turned, outside=0.0) for score in scores]).argmax(axis=0)
    labels, back = reorient_array(_values_of(numbers, model.job), turned, orientation_of(grid))
    if not back.same_grid(grid, tol_mm=SAME_GRID_MM):
        raise GridMismatchError("the prediction does not lie on its image's grid", hint="report it with the image")
    return labels


def _carried(
    array: npt.NDArray[np.float32], source: Geometry, target: Geometry, *, outside: float | None = None
) -> npt.NDArray[np.float32]:
    if source == target:
        return array
    sampled: npt.NDArray[np.float32] = resample_image(
        Volume(np.ascontiguousarray(array), source), target, outside=outside
    ).array.astype(np.float32, copy=False)
    return sampled


def _values_of(numbers: npt.NDArray[Any], job: Job) -> Labels:
    lookup = np.array([0, *(label.value for label in job.labels)], np.uint8)
    values: Labels = lookup[numbers]
    return values


def _predict_case(
    model: Model, network: Any, model_sha256: str, out: Path, case: SourceCase
) -> tuple[Prediction, bool]:
    path, account = out / f"{case.case_id}.nii.gz", out / f"{case.case_id}.json"
    images = {image.name: sha256_of(image) for image in case.images if image.is_file()}
    if (old := _kept(account, path)) and (old.model_sha256, old.images) == (model_sha256, images):
        return old, True
    image, grid = case.read(model.job.network.in_channels)
    labels = predict_image(network, image, grid, model)
    write_nifti(path, labels, grid)
    learned = {label.name: label.value for label in model.job.labels if label.name in model.learned}
    prediction = Prediction(
        case_id=case.case_id,
        model_sha256=model_sha256,
        job_sha256=model.job.sha256,
        images=images,
        label=path.name,
        label_sha256=sha256_of(path),
        labels=learned,
        label_ml={name: round(int((labels == v).sum()) * grid.voxel_ml, 6) for name, v in learned.items()},
        software=software(),
    )
    write_json(account, prediction.model_dump(mode="json"))
    return prediction, False


def _kept(account: Path, label: Path) -> Prediction | None:
    """Give the account of a label map that is still what it says; it is written last, so it speaks of a whole one."""
    try:
        prediction = Prediction.model_validate(read_json(account))
    except (OSError, ValueError, ValidationError):
        return None
    is_same = label.is_file() and sha256_of(label) == prediction.label_sha256
    return prediction if is_same else None
