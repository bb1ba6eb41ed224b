"""The site contract: what every aggregator may ask of a site, and what a site keeps to itself."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from racoon_data.documents import read_json
from racoon_data.errors import ChangedDatasetError, JobMismatchError, RacoonError, SettingsError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_data.files.manifest import load_manifest
from racoon_train.data.cache import CachedCase, build_cache, open_cache
from racoon_train.data.dataset import Dataset, open_dataset
from racoon_train.data.loaders import Batch, batches, class_examples
from racoon_train.federated.corrections import Corrected, Correction
from racoon_train.federated.guards import check_weights
from racoon_train.federated.update import Update
from racoon_train.fingerprint.document import Fingerprint
from racoon_train.job.job import Job, job_from
from racoon_train.networks import Weights, network_of, set_weights, weights_of
from racoon_train.optimizer import AdamW
from racoon_train.privacy.accounting import check_budget, spent

logger = logging.getLogger(__name__)

Value = TypeVar("Value")
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}")


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
        state: Folder for the optimizer and the layers that stay here; it never leaves the site.
    """

    alias: str
    job: Job
    dataset: Path
    dataset_sha256: str
    annotated: tuple[str, ...]
    cache: Path
    state: Path

    def train(self, weights: Weights, round_: int, *, correction: Correction | None = None) -> Update:
        """Train one round from the given weights (rounds count from 1).

        The order of the cases follows from seed, alias and round; the optimizer goes on from the last
        round that was written. So a site that was killed repeats its round to the same bytes.

        Args:
            weights: Every array of the network.
            round_: Number of the round.
            correction: What changes the gradients before each step, such as FedProx' pull.

        Raises:
            PayloadError: The weights do not fit the job's network.
            ChangedDatasetError: The dataset changed since approval.
            DatasetError: Its cache is gone.
        """
        from racoon_train import checkpoints, engine

        network = network_of(self.job)
        check_weights(weights, weights_of(network), max_norm_ratio=self.job.rules.max_norm_ratio**2)
        cases = self.cases("train")
        engine.be_a_good_neighbour()
        network.to(engine.device())
        set_weights(network, weights)
        optimizer = AdamW(network, weight_decay=self.job.training.weight_decay)
        kept = [path for path in self._optimizer_files() if path.name < _optimizer_name(round_)]
        if kept:
            optimizer.load(checkpoints.load_weights(kept[-1]))
        corrected = cast(AdamW, Corrected(optimizer, network, correction)) if correction else optimizer
        metrics = self._round(network, corrected, cases, round_)
        checkpoints.save_weights(self.state / _optimizer_name(round_), optimizer.arrays())
        for older in kept[:-1]:
            older.unlink()
        return Update(weights_of(network), len(cases), metrics, class_examples(cases, self.job))

    def _round(self, network: Any, optimizer: AdamW, cases: Sequence[CachedCase], round_: int) -> dict[str, float]:
        """Train a round and give its metrics; a private one tells what it spent, and no loss, which is not private."""
        if (privacy := spent(self.job, round_)) is not None:
            from racoon_train.privacy.dp_sgd import private_round

            patients = {case.case_id: case.patient for case in load_manifest(self.dataset).cases}
            private_round(network, optimizer, cases, patients, self.job, round_=round_)
            return {"epsilon": privacy.epsilon, "delta": privacy.delta}
        from racoon_train.resume import RoundPlan, train_round

        plan = RoundPlan(round_, self.state)
        losses = train_round(network, optimizer, partial(self.stream, cases, round_), self.job, plan)
        return {"loss": sum(losses) / len(losses)}

    def fine_tune(self, weights: Weights) -> Weights:
        """Train the final model on here, ``fine_tune_steps`` from the middle of the schedule, with a new optimizer."""
        from racoon_train import engine

        job, training = self.job, self.job.training
        steps = training.model_copy(update={"local_steps": job.rules.fine_tune_steps})
        engine.be_a_good_neighbour()
        network = network_of(job).to(engine.device())
        set_weights(network, weights)
        engine.train_steps(
            network,
            AdamW(network, weight_decay=training.weight_decay),
            self.stream(self.cases("train"), training.rounds + 1),
            job.model_copy(update={"training": steps}),
            first_step=training.rounds // 2 * job.rules.fine_tune_steps,
        )
        return weights_of(network)

    def evaluate(self, weights: Weights) -> Mapping[str, float]:
        """Give the mean Dice per class on this site's test cases (``dice.NAME``; only what is annotated)."""
        from racoon_train.evaluation.metrics import mean_dice, score_cases

        network = network_of(self.job)
        set_weights(network, weights)
        scores = score_cases(network, self.cases("test"), self.job)
        means = mean_dice(scores)
        return {f"dice.{name}": value for name, value in means.items() if value is not None}

    def fingerprint(self) -> Fingerprint:
        """Tell what may be told of the training cases before round 0, small cells kept back.

        Raises:
            DatasetError: The dataset changed since approval, or a case cannot be read.
        """
        from racoon_train.fingerprint.counting import fingerprint_of

        self.require_unchanged()
        return fingerprint_of(open_dataset(self.dataset), self.job)

    def cases(self, split: str) -> tuple[CachedCase, ...]:
        """Open the cases of ``train``, ``validation``, ``test`` or ``all`` in the cache.

        Raises:
            ChangedDatasetError: The dataset changed since approval.
            DatasetError: Its cache is gone.
        """
        self.require_unchanged()
        kept = open_cache(self.dataset_sha256, self.cache)
        return kept.load(split, validation_fold=self.job.training.validation_fold)

    def require_unchanged(self) -> None:
        """Refuse a dataset that is another than when the job was approved.

        Raises:
            ChangedDatasetError: See above.
        """
        if load_manifest(self.dataset).dataset_sha256 != self.dataset_sha256:
            raise ChangedDatasetError("the dataset changed since the job was approved", hint="approve the job again")

    def stream(self, cases: Sequence[CachedCase], round_: int, first: int = 0) -> Iterator[Batch]:
        """Draw this site's batches of a round, from a number on; the same in every arm of a comparison."""
        from racoon_train.engine import loader_threads

        options = {"round_": round_, "first": first, "threads": loader_threads()}
        return batches(cases, self.job, site=self.alias, **options)

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

    def begin(self) -> None:
        """Start a run anew: forget what an earlier one left."""
        self.state.mkdir(parents=True, exist_ok=True)
        for path in {*self.state.glob("*.safetensors"), *self.state.glob("progress*")}:
            path.unlink()

    def _optimizer_files(self) -> list[Path]:
        return sorted(self.state.glob("optimizer-*.safetensors"))


def _optimizer_name(round_: int) -> str:
    return f"optimizer-{round_:06d}.safetensors"


def open_site_client(path: Path) -> SiteClient:
    """Be the site that a paper describes."""
    paper = read_json(path)
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
        SettingsError: The alias could not name a file.
    """
    if not _ALIAS.fullmatch(alias):
        raise SettingsError(f"{alias!r} is no alias", hint="use letters, digits, - and _, at most 31")
    check_budget(job)
    dataset = open_dataset(root, on_event=on_event)
    check_fit(dataset, job)
    cache = build_cache(dataset, home / "cache", on_event=on_event)
    for outcome in (*dataset.quarantined, *cache.quarantined):
        logger.warning("%s set aside %s: %s", alias, outcome.ref, outcome.code)
    state = home / "state" / alias
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
