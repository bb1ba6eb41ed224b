"""The site contract: what every aggregator may ask of a site, and what a site keeps to itself."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from racoon_data.errors import DatasetError, JobMismatchError, RacoonError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_train.data.cache import CachedCase, build_cache, open_cache
from racoon_train.data.dataset import MANIFEST_NAME, Dataset, open_dataset
from racoon_train.data.loaders import Batch, batches, rng_of
from racoon_train.federated.guards import check_weights
from racoon_train.federated.job import Job, job_from
from racoon_train.federated.update import Update
from racoon_train.networks import Weights, initial_weights, network_of, set_weights, weights_of

logger = logging.getLogger(__name__)

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class SiteClient:
    """One site of a job.

    Attributes:
        alias: Pseudonymous name, the only one an aggregator learns.
        job: The approved job.
        dataset: Dataset folder.
        dataset_sha256: Its identity when the job was approved.
        annotated: Class names annotated here.
        cache: Folder of decoded cases.
        state: Folder for the optimizer; it never leaves the site.
    """

    alias: str
    job: Job
    dataset: Path
    dataset_sha256: str
    annotated: tuple[str, ...]
    cache: Path
    state: Path

    def train(self, weights: Weights, round_: int) -> Update:
        """Train one round from the given weights (rounds count from 1).

        Raises:
            PayloadError: The weights do not fit the job's network.
            DatasetError: The dataset changed since approval or its cache is gone.
        """
        from racoon_train import checkpoints, engine

        check_weights(weights, initial_weights(self.job), max_norm_ratio=self.job.rules.max_norm_ratio**2)
        cases = self.cases("train")
        engine.be_a_good_neighbour()
        network = network_of(self.job).to(engine.device())
        set_weights(network, weights)
        optimizer = engine.optimizer_of(network, self.job)
        if round_ > 1:
            checkpoints.load_optimizer(self._optimizer_file(round_ - 1), optimizer)
        losses = engine.train_steps(
            network,
            optimizer,
            self.stream(cases, round_),
            self.job,
            first_step=(round_ - 1) * self.job.training.local_steps,
        )
        checkpoints.save_optimizer(self._optimizer_file(round_), optimizer)
        self._optimizer_file(round_ - 2).unlink(missing_ok=True)
        return Update(weights_of(network), len(cases), {"loss": sum(losses) / len(losses)})

    def evaluate(self, weights: Weights) -> Mapping[str, float]:
        """Give the mean Dice per class on this site's test cases (``dice.NAME``; only what is annotated)."""
        from racoon_train.evaluation.metrics import mean_dice, score_cases

        network = network_of(self.job)
        set_weights(network, weights)
        scores = score_cases(network, self.cases("test"), self.job, annotated=self.annotated)
        means = mean_dice(scores)
        return {f"dice.{name}": value for name, value in means.items() if value is not None}

    def cases(self, split: str) -> tuple[CachedCase, ...]:
        """Load the cases of ``train``, ``test`` or ``all`` from the cache.

        Raises:
            DatasetError: The dataset changed since approval, or its cache is gone.
        """
        manifest = json.loads((self.dataset / MANIFEST_NAME).read_text(encoding="utf-8"))
        if manifest["dataset_sha256"] != self.dataset_sha256:
            raise DatasetError("the dataset changed since the job was approved", hint="approve the job again")
        return open_cache(self.dataset_sha256, self.cache).load(split)

    def stream(self, cases: Sequence[CachedCase], round_: int) -> Iterator[Batch]:
        """Draw this site's batches of a round; the same in every arm of a comparison."""
        numbers = tuple(n for n, name in enumerate(self.job.class_names, start=1) if name in self.annotated)
        return batches(cases, self.job, rng_of(self.job.seed, self.alias, round_), annotated=numbers)

    def save(self, path: Path) -> None:
        """Write the site's paper: what a new process needs to be this site again."""
        document = {
            "alias": self.alias,
            "dataset": str(self.dataset),
            "dataset_sha256": self.dataset_sha256,
            "annotated": list(self.annotated),
            "cache": str(self.cache),
            "state": str(self.state),
            "job": self.job.to_json(),
        }
        write_json(path, document)

    def _optimizer_file(self, round_: int) -> Path:
        return self.state / f"optimizer-{round_:04d}.safetensors"


def open_site_client(path: Path) -> SiteClient:
    """Be the site that a paper describes."""
    paper = json.loads(path.read_text(encoding="utf-8"))
    return SiteClient(
        alias=paper["alias"],
        job=job_from(paper["job"]),
        dataset=Path(paper["dataset"]),
        dataset_sha256=paper["dataset_sha256"],
        annotated=tuple(paper["annotated"]),
        cache=Path(paper["cache"]),
        state=Path(paper["state"]),
    )


def join(alias: str, root: Path, job: Job, home: Path, *, on_event: OnEvent = ignore) -> SiteClient:
    """Pre-flight of one site: verify the dataset, compare its labels with the job, build the cache.

    Args:
        alias: Pseudonymous name of the site.
        root: Dataset folder.
        job: The job to join.
        home: Folder for cache and state.
        on_event: Listener.

    Raises:
        DatasetError: The dataset cannot be used.
        JobMismatchError: Its label language or channels are not the job's.
    """
    dataset = open_dataset(root, on_event=on_event)
    check_fit(dataset, job)
    cache = build_cache(dataset, home / "cache", on_event=on_event)
    for outcome in (*dataset.quarantined, *cache.quarantined):
        logger.warning("%s set aside %s: %s", alias, outcome.ref, outcome.code)
    state = home / "state" / alias
    state.mkdir(parents=True, exist_ok=True)
    annotated = tuple(name for name in job.class_names if name in dataset.annotated)
    return SiteClient(
        alias, job, root.resolve(), dataset.sha256, annotated, (home / "cache").resolve(), state.resolve()
    )


def check_fit(dataset: Dataset, job: Job) -> None:
    """Refuse a dataset whose labels or channels differ from the job's, with the difference.

    Raises:
        JobMismatchError: See above.
    """
    wrong = [
        f"{label.name}: job {label.value}, dataset {dataset.labels.get(label.name, 'absent')}"
        for label in job.labels
        if dataset.labels.get(label.name) != label.value
    ]
    if wrong:
        raise JobMismatchError(
            f"labels differ: {'; '.join(wrong)}", ref=dataset.name, hint="use the job's label schema"
        )
    if not any(name in dataset.annotated for name in job.class_names):
        raise JobMismatchError("no class of the job is annotated here", ref=dataset.name, hint="leave this site out")
    channels = len(dataset.cases[0].images)
    if channels != job.network.in_channels:
        raise JobMismatchError(
            f"the job reads {job.network.in_channels} channel(s), the dataset has {channels}",
            ref=dataset.name,
            hint="harmonize with the job's recipe",
        )


def scrubbed(work: Callable[[], Value]) -> Value | str:
    """Do a site's work; an exception becomes its code, so that no text of it leaves the site.

    The full account stays in the site's own log.
    """
    try:
        return work()
    except RacoonError as error:
        logger.exception("the round failed here (%s)", error.code)
        return error.code
    except Exception:
        logger.exception("the round failed here")
        return "federation.site_error"
