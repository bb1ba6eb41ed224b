"""What a federation leaves on disk: the model of every round, who took part, the final model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from racoon_data.documents import read_json
from racoon_data.files.atomic import write_json
from racoon_train.checkpoints import Model, save_model
from racoon_train.job.job import Job
from racoon_train.networks import Weights


@dataclass(frozen=True, slots=True)
class Round:
    """One finished round.

    Attributes:
        number: Counted from 1.
        losses: Mean training loss by alias; ``None`` from a site that trains privately and tells none.
        lost: Error code by alias of each site without a good update.
        failed: How often it was tried in vain before, with the sites that were lost then.
    """

    number: int
    losses: Mapping[str, float | None]
    lost: Mapping[str, str]
    failed: tuple[Mapping[str, str], ...] = ()


class RoundLog:
    """Writes ``rounds.json``, whole after every round; goes on where an earlier server ended."""

    def __init__(self, out: Path, *, anew: bool = False) -> None:
        self._path = out / "rounds.json"
        known = {"rounds": []} if anew or not self._path.is_file() else read_json(self._path)
        self._rounds: list[dict[str, Any]] = known["rounds"]
        self._failed: dict[int, list[dict[str, str]]] = {}

    def write(
        self, number: int, *, losses: Mapping[str, float | None], lost: Mapping[str, str], failed: bool = False
    ) -> None:
        """Add a round, or remember that it was tried in vain."""
        named = dict(sorted(lost.items()))
        entry = {"round": number, "losses": dict(sorted(losses.items())), "lost": named}
        if failed:
            self._failed.setdefault(number, []).append(named)
            write_json(self._path, {"rounds": self._rounds, "failed": entry})
            return
        if number in self._failed:
            entry["failed"] = self._failed[number]
        self._rounds = [*(each for each in self._rounds if each["round"] < number), entry]
        write_json(self._path, {"rounds": self._rounds})


def read_rounds(out: Path) -> tuple[Round, ...]:
    """Read the rounds finished so far; none where nothing was written yet."""
    path = out / "rounds.json"
    if not path.is_file():
        return ()
    document = read_json(path)
    return tuple(
        Round(each["round"], each["losses"], each["lost"], tuple(each.get("failed", ()))) for each in document["rounds"]
    )


def last_failure(out: Path) -> Mapping[str, str]:
    """Give the sites that were lost when the run ended in a round without a quorum; none where it did not."""
    path = out / "rounds.json"
    failed: Mapping[str, str] = read_json(path).get("failed", {}).get("lost", {}) if path.is_file() else {}
    return failed


def last_round(out: Path) -> int:
    """Give the number of the last round that is whole on disk, 0 before the first."""
    done = [each.number for each in read_rounds(out) if round_file(out, each.number).is_file()]
    return max(done, default=0)


def state_file(out: Path, round_: int) -> Path:
    """Name what the server remembers after a round beside the weights, such as momentum."""
    return out / "rounds" / f"{round_:04d}.server.safetensors"


def round_file(out: Path, round_: int) -> Path:
    """Name the weights after a round."""
    return out / "rounds" / f"{round_:04d}.safetensors"


class TookPart(Protocol):
    """What the final card tells of a site: a ``SiteClient``, or the pre-flight of one on another machine."""

    @property
    def alias(self) -> str:
        """Its name."""
        ...

    @property
    def annotated(self) -> tuple[str, ...]:
        """Class names annotated there."""
        ...

    @property
    def dataset_sha256(self) -> str:
        """Identity of its dataset."""
        ...


def finish(out: Path, weights: Weights, job: Job, sites: Sequence[TookPart]) -> Path:
    """Write the final model with its card and return its file."""
    annotated = {name for site in sites for name in site.annotated}
    learned = tuple(name for name in job.class_names if name in annotated)
    datasets = tuple((site.alias, site.dataset_sha256) for site in sites)
    model = Model(out / "model.safetensors", job, "federated", learned, datasets)
    save_model(model, weights)
    return model.weights
