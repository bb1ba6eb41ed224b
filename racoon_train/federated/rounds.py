"""What a federation leaves on disk: the model of every round, who took part, the final model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from racoon_data.documents import read_json
from racoon_data.files.atomic import write_json
from racoon_train.checkpoints import Model, save_model
from racoon_train.federated.contract import SiteClient
from racoon_train.job.job import Job
from racoon_train.networks import Weights


@dataclass(frozen=True, slots=True)
class Round:
    """One finished round.

    Attributes:
        number: Counted from 1.
        losses: Mean training loss by alias; ``None`` from a site that trains privately and tells none.
        lost: Error code by alias of each site without a good update.
    """

    number: int
    losses: Mapping[str, float | None]
    lost: Mapping[str, str]


class RoundLog:
    """Writes ``rounds.json``, whole after every round."""

    def __init__(self, out: Path) -> None:
        self._path = out / "rounds.json"
        self._rounds: list[dict[str, object]] = []

    def write(self, number: int, *, losses: Mapping[str, float | None], lost: Mapping[str, str]) -> None:
        """Add a round."""
        entry = {"round": number, "losses": dict(sorted(losses.items())), "lost": dict(sorted(lost.items()))}
        self._rounds.append(entry)
        write_json(self._path, {"rounds": self._rounds})


def read_rounds(out: Path) -> tuple[Round, ...]:
    """Read the rounds finished so far; none where nothing was written yet."""
    path = out / "rounds.json"
    if not path.is_file():
        return ()
    document = read_json(path)
    return tuple(Round(entry["round"], entry["losses"], entry["lost"]) for entry in document["rounds"])


def round_file(out: Path, round_: int) -> Path:
    """Name the weights after a round."""
    return out / "rounds" / f"{round_:04d}.safetensors"


def finish(out: Path, weights: Weights, job: Job, sites: Sequence[SiteClient]) -> Path:
    """Write the final model with its card and return its file."""
    annotated = {name for site in sites for name in site.annotated}
    learned = tuple(name for name in job.class_names if name in annotated)
    datasets = tuple((site.alias, site.dataset_sha256) for site in sites)
    model = Model(out / "model.safetensors", job, "federated", learned, datasets)
    save_model(model, weights)
    return model.weights
