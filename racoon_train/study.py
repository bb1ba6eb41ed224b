"""One study: train together and alone, once per seed, put the models to the test, write the account."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from racoon_data import plugins
from racoon_data.documents import read_json
from racoon_data.errors import FederationError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_data.files.manifest import load_manifest
from racoon_train.baselines.finetune import fine_tune
from racoon_train.baselines.local import train_each
from racoon_train.baselines.pooled import train_pooled
from racoon_train.checkpoints import load_model
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

    Every arm starts from the same weights and takes the same steps on the same batches. An arm that an
    earlier run left in ``out``, by the same job on the same data, is not trained again. The account is
    written to ``out/comparison.json`` and ``out/comparison.html``, every case's values to
    ``out/scores.csv``, the model card to ``out/model-card.json``.

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
        home = out / f"seed-{seed}"
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
        """Train every arm that is not there yet, and judge all of them."""
        clock = _clock_of(self.home)
        federated = self._federate(self.datasets, self.home / "federated", clock, "federated")
        sites = [join(alias, root, self.job, federated.parent) for alias, root in sorted(self.datasets.items())]
        models = self._arms(sites, federated, clock)
        if self.plan.is_rotated:
            models |= self._rotate(clock)
        write_json(self.home / "seconds.json", clock)
        everything = [*_own_tests(sites), *_external_sets(self.job, self.external, federated.parent)]
        judgement = self._judge(everything, models)
        return replace(judgement, rounds=read_rounds(federated.parent), seconds=clock)

    def _judge(self, test_sets: Sequence[TestSet], models: Mapping[str, Path]) -> Judgement:
        yardstick, workers = self.plan.yardstick, _workers(test_sets)
        return compare(self.job, test_sets, models, yardstick=yardstick, workers=workers, on_event=self.on_event)

    def _federate(self, datasets: Mapping[str, Path], out: Path, clock: dict[str, float], arm: str) -> Path:
        model = out / "model.safetensors"
        if not _is_there(model, self.job, datasets):
            engine = plugins.load(plugins.AGGREGATORS, self.plan.aggregator)()
            with _timed(clock, arm):
                model = engine.run(self.job.to_json(), datasets=datasets, out=out, on_event=self.on_event)
        return model

    def _arms(self, sites: Sequence[SiteClient], federated: Path, clock: dict[str, float]) -> dict[str, Path]:
        home, listen, models = self.home, self.on_event, {"federated": federated}
        missing = [site for site in sites if not _is_there(_model(home / "local" / site.alias), self.job, _own(site))]
        if missing:
            with _timed(clock, "local"):
                train_each(missing, home / "local", workers=_workers(missing), on_event=listen)
        models |= {LOCAL_PREFIX + site.alias: _model(home / "local" / site.alias) for site in sites}
        if self.job.privacy.dp_sgd is None:  # it adds no noise: beside private arms it would be no like for like
            with _timed(clock, "fine-tuned"):
                for site in sites:
                    tuned = fine_tune(site, federated, home / "fine-tuned" / site.alias, on_event=listen)
                    models[TUNED_PREFIX + site.alias] = tuned
        if self.plan.is_pooled:
            models["pooled"] = _model(home / "pooled")
            if not _is_there(models["pooled"], self.job, self.datasets):
                with _timed(clock, "pooled"):
                    train_pooled(sites, home / "pooled", on_event=listen)
        return models

    def _rotate(self, clock: dict[str, float]) -> dict[str, Path]:
        models = {}
        for alias in sorted(self.datasets):
            others = {name: root for name, root in self.datasets.items() if name != alias}
            turn = self.home / "without" / alias
            _share_cache((self.home / "federated" / "cache").resolve(), turn)
            models["federated" + WITHOUT + alias] = self._federate(others, turn, clock, f"without {alias}")
        return models


def _model(folder: Path) -> Path:
    return folder / "model.safetensors"


def _own(site: SiteClient) -> dict[str, Path]:
    return {site.alias: site.dataset}


def _is_there(model: Path, job: Job, datasets: Mapping[str, Path]) -> bool:
    """Tell whether an earlier run left this very model: by this job, on these data."""
    if not (model.is_file() and model.with_suffix(".json").is_file()):
        return False
    found = load_model(model)
    data = {alias: load_manifest(root).dataset_sha256 for alias, root in datasets.items()}
    return found.job.sha256 == job.sha256 and dict(found.datasets) == data


def _clock_of(home: Path) -> dict[str, float]:
    """Read what an earlier run took for its arms."""
    path = home / "seconds.json"
    return {arm: float(seconds) for arm, seconds in read_json(path).items()} if path.is_file() else {}


@contextmanager
def _timed(clock: dict[str, float], arm: str) -> Iterator[None]:
    """Note the seconds an arm takes."""
    started = time.monotonic()
    yield
    clock[arm] = round(time.monotonic() - started, 1)


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
