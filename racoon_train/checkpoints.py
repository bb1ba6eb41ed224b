"""Weights, optimizer state and model cards on disk: safetensors and JSON, nothing that can run code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon_data import schemas
from racoon_data.documents import read_json
from racoon_data.errors import DatasetError, PayloadError
from racoon_data.files.atomic import write_bytes, write_json
from racoon_train.job.job import Job, job_from
from racoon_train.networks import Weights, network_of, set_weights


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model on disk: ``NAME.safetensors`` with its card ``NAME.json``.

    Attributes:
        weights: The file of weights.
        job: What it was trained by.
        kind: ``local``, ``federated`` or ``pooled``.
        learned: Class names that at least one of its sites annotated; the others it cannot know.
        datasets: Hash of each training dataset by site.
        examples: Training cases of each site.
    """

    weights: Path
    job: Job
    kind: str
    learned: tuple[str, ...]
    datasets: tuple[tuple[str, str], ...] = ()
    examples: tuple[tuple[str, int], ...] = ()

    @property
    def learned_numbers(self) -> tuple[int, ...]:
        """Class numbers of the learned classes."""
        return tuple(number for number, name in enumerate(self.job.class_names, start=1) if name in self.learned)

    def network(self) -> Any:
        """Build the network with these weights (a ``torch.nn.Module``)."""
        network = network_of(self.job)
        set_weights(network, load_weights(self.weights))
        return network


def save_weights(path: Path, weights: Weights) -> None:
    """Write named arrays as safetensors; the same weights give the same bytes."""
    from safetensors.numpy import save

    write_bytes(path, save({name: weights[name] for name in sorted(weights)}))


def load_weights(path: Path) -> Weights:
    """Read named arrays from safetensors.

    Raises:
        PayloadError: The file is missing, truncated or no safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        weights: Weights = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise PayloadError(f"{path.name} holds no readable weights", hint="train again") from error
    return weights


def save_model(model: Model, weights: Weights) -> None:
    """Write weights and card."""
    save_weights(model.weights, weights)
    write_json(model.weights.with_suffix(".json"), card_of(model))


def card_of(model: Model) -> dict[str, Any]:
    """Give the card that lies beside the weights (``schemas/model-card``)."""
    return {
        "schema_version": "1.0",
        "kind": model.kind,
        "learned": list(model.learned),
        "datasets": dict(model.datasets),
        "examples": dict(model.examples),
        "job": model.job.to_json(),
        "job_sha256": model.job.sha256,
    }


def load_model(path: Path) -> Model:
    """Open a model by its weights file; the card lies beside it.

    Raises:
        DatasetError: The card is missing.
        SchemaError: The card does not validate.
    """
    try:
        card = read_json(path.with_suffix(".json"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path.name} has no model card", hint="keep NAME.json beside NAME.safetensors") from error
    schemas.validate("model-card", card)
    datasets = tuple(sorted(card["datasets"].items()))
    examples = tuple(sorted(card.get("examples", {}).items()))
    return Model(path, job_from(card["job"]), card["kind"], tuple(card["learned"]), datasets, examples)
