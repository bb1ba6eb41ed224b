"""One study: train together and alone, once per seed, put the models to the test, write the account."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from racoon_data import plugins
from racoon_data.errors import FederationError
from racoon_data.events import OnEvent, ignore
from racoon_train.baselines.finetune import fine_tune
from racoon_train.baselines.local import train_each
from racoon_train.baselines.pooled import train_pooled
from racoon_train.data.cache import build_cache
from racoon_train.data.dataset import open_dataset
from racoon_train.evaluation.account import Comparison, account_of
from racoon_train.evaluation.compare import Judgement, compare
from racoon_train.evaluation.judging import LOCAL_PREFIX, TUNED_PREFIX, WITHOUT, TestSet
from racoon_train.evaluation.metrics import Yardstick
from racoon_train.evaluation.publish import publish
from racoon_train.evaluation.statistics import StatisticSettings
from racoon_train.federated.contract import SiteClient, check_fit, join
from racoon_train.federated.rounds import read_rounds
from racoon_train.job.job import Job

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class StudyPlan:
    """What is compared and how.

    Attributes:
        aggregator: Plug-in of ``racoon.aggregators``.
        seeds: Seeds to train everything with; none for the job's own.
        is_pooled: Also train on all data in one place; only where that is allowed.
        is_rotated: Also leave out each site in turn.
        yardstick: Tolerances of the measures.
        statistics: How differences are tested.
        has_images: Show slices of losing cases on the page.
    """

    aggregator: str = "flower"
    seeds: tuple[int, ...] = ()
    is_pooled: bool = False
    is_rotated: bool = False
    yardstick: Yardstick = field(default_factory=Yardstick)
    statistics: StatisticSettings = field(default_factory=StatisticSettings)
    has_images: bool = True


def run_study(
    job: Job,
    datasets: Mapping[str, Path],
    external: Mapping[str, Path],
    out: Path,
    plan: StudyPlan = StudyPlan(),
    *,
    on_event: OnEvent = ignore,
) -> Comparison:
    """Compare federated learning with local training, its ensembles, fine-tuning and, where allowed, pooling.

    Every arm starts from the same weights and takes the same steps on the same batches. The
    account is written to ``out/comparison.json`` and ``out/comparison.html``, every case's values
    to ``out/scores.csv``, the model card to ``out/model-card.json``.

    Args:
        job: What to train.
        datasets: Dataset folder by site alias.
        external: Datasets no site trains on, by name.
        out: Folder for models, logs and account.
        plan: What is compared and how.
        on_event: Listener (kinds ``federate``, ``train-local``, ``fine-tune``, ``compare``).

    Raises:
        FederationError: Training or judging failed.
        SettingsError: There is no such aggregator.
    """
    if not datasets:
        raise FederationError("no site takes part", hint="name datasets as SITE=FOLDER")
    if plan.is_rotated and len(datasets) < 3:
        raise FederationError("a rotation leaves one site out of three or more", hint="name more datasets")
    seeds = plan.seeds or (job.seed,)
    judgements = []
    for seed in seeds:
        home = out if len(seeds) == 1 else out / f"seed-{seed}"
        one = _OneSeed(job.model_copy(update={"seed": seed}), datasets, external, home, plan, on_event)
        _share_cache(out / "cache", home / "federated")
        judgements.append(one.judged())
    comparison = account_of(judgements, yardstick=plan.yardstick, settings=plan.statistics)
    return publish(comparison, judgements, out, has_images=plan.has_images)


@dataclass(frozen=True, slots=True)
class _OneSeed:
    job: Job
    datasets: Mapping[str, Path]
    external: Mapping[str, Path]
    home: Path
    plan: StudyPlan
    on_event: OnEvent

    def judged(self) -> Judgement:
        """Train every arm and judge it."""
        clock: dict[str, float] = {}
        federated = _timed(clock, "federated", lambda: self._federate(self.datasets, self.home / "federated"))
        sites = [join(alias, root, self.job, federated.parent) for alias, root in sorted(self.datasets.items())]
        models = self._arms(sites, federated, clock)
        if self.plan.is_rotated:
            models |= _timed(clock, "rotation", self._rotate)
        everything = [*_own_tests(sites), *_external_sets(self.job, self.external, federated.parent)]
        judgement = _timed(clock, "judging", lambda: self._judge(everything, models))
        return replace(judgement, rounds=read_rounds(federated.parent), seconds=clock)

    def _judge(self, test_sets: Sequence[TestSet], models: Mapping[str, Path]) -> Judgement:
        yardstick, workers = self.plan.yardstick, _workers(test_sets)
        return compare(self.job, test_sets, models, yardstick=yardstick, workers=workers, on_event=self.on_event)

    def _federate(self, datasets: Mapping[str, Path], out: Path) -> Path:
        engine = plugins.load(plugins.AGGREGATORS, self.plan.aggregator)()
        model: Path = engine.run(self.job.to_json(), datasets=datasets, out=out, on_event=self.on_event)
        return model

    def _arms(self, sites: Sequence[SiteClient], federated: Path, clock: dict[str, float]) -> dict[str, Path]:
        home, listen = self.home, self.on_event
        local = _timed(
            clock, "local", lambda: train_each(sites, home / "local", workers=_workers(sites), on_event=listen)
        )
        tuned = _timed(
            clock,
            "fine-tuned",
            lambda: {s.alias: fine_tune(s, federated, home / "fine-tuned" / s.alias, on_event=listen) for s in sites},
        )
        models = {LOCAL_PREFIX + alias: path for alias, path in local.items()} | {"federated": federated}
        models |= {TUNED_PREFIX + alias: path for alias, path in tuned.items()}
        if self.plan.is_pooled:
            pooled = _timed(clock, "pooled", lambda: train_pooled(sites, home / "pooled", on_event=listen))
            models["pooled"] = pooled
        return models

    def _rotate(self) -> dict[str, Path]:
        models = {}
        for alias in sorted(self.datasets):
            others = {name: root for name, root in self.datasets.items() if name != alias}
            turn = self.home / "without" / alias
            _share_cache((self.home / "federated" / "cache").resolve(), turn)
            models["federated" + WITHOUT + alias] = self._federate(others, turn)
        return models


def pooled_model(job: Job, datasets: Mapping[str, Path], out: Path, *, on_event: OnEvent = ignore) -> Path:
    """Train on all data in one place; only where that is allowed."""
    sites = [join(alias, root, job, out / "federated") for alias, root in sorted(datasets.items())]
    return train_pooled(sites, out / "pooled", on_event=on_event)


def _timed(clock: dict[str, float], arm: str, work: Callable[[], _Value]) -> _Value:
    """Note the CPU seconds of an arm, of the processes it started and waited for too."""
    before = os.times()
    value = work()
    after = os.times()
    clock[arm] = sum(after[:4]) - sum(before[:4])
    return value


def _share_cache(cache: Path, home: Path) -> None:
    """Let every federation of a study use one cache of decoded cases."""
    cache.mkdir(parents=True, exist_ok=True)
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "cache").exists():
        (home / "cache").symlink_to(cache.resolve(), target_is_directory=True)


def _workers(items: Sequence[object]) -> int:
    return max(1, min(os.cpu_count() or 1, len(items)))


def _own_tests(sites: Sequence[SiteClient]) -> list[TestSet]:
    return [TestSet(s.alias, "site", s.dataset_sha256, s.cache, s.annotated, s.dataset) for s in sites]


def _external_sets(job: Job, external: Mapping[str, Path], home: Path) -> list[TestSet]:
    """Open, verify and decode the datasets no site trains on.

    Raises:
        DatasetError: One cannot be used.
        JobMismatchError: One speaks another label language.
    """
    found = []
    for name, root in sorted(external.items()):
        dataset = open_dataset(root)
        check_fit(dataset, job)
        cache = (home / "cache").resolve()
        build_cache(dataset, cache)
        annotated = tuple(label for label in job.class_names if label in dataset.annotated)
        found.append(TestSet(name, "external", dataset.sha256, cache, annotated, root))
    return found
