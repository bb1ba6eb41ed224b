"""One study: train together and alone, put the models to the test, write the account."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from racoon_data import plugins, schemas
from racoon_data.errors import FederationError
from racoon_data.events import OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_train.baselines.local import train_each
from racoon_train.baselines.pooled import train_pooled
from racoon_train.data.cache import build_cache
from racoon_train.data.dataset import open_dataset
from racoon_train.evaluation.compare import Comparison, compare
from racoon_train.evaluation.judging import LOCAL_PREFIX, TestSet
from racoon_train.evaluation.report import write_page
from racoon_train.federated.contract import SiteClient, check_fit, join
from racoon_train.federated.rounds import read_rounds
from racoon_train.job.job import Job


def run_study(
    job: Job,
    datasets: Mapping[str, Path],
    external: Mapping[str, Path],
    out: Path,
    *,
    aggregator: str = "flower",
    on_event: OnEvent = ignore,
) -> Comparison:
    """Compare federated learning with local training and with their ensemble.

    Every arm starts from the same weights and takes the same steps on the same batches. The
    account is written to ``out/comparison.json`` and ``out/comparison.html``.

    Args:
        job: What to train.
        datasets: Dataset folder by site alias.
        external: Datasets no site trains on, by name.
        out: Folder for models, logs and account.
        aggregator: Plug-in of ``racoon.aggregators``.
        on_event: Listener (kinds ``federate``, ``train-local``, ``compare``).

    Raises:
        FederationError: Training or judging failed.
        SettingsError: There is no such aggregator.
    """
    engine = plugins.load(plugins.AGGREGATORS, aggregator)()
    federated = engine.run(job.to_json(), datasets=datasets, out=out / "federated", on_event=on_event)
    return finish_study(job, datasets, external, out, federated=federated, on_event=on_event)


def finish_study(
    job: Job,
    datasets: Mapping[str, Path],
    external: Mapping[str, Path],
    out: Path,
    *,
    federated: Path,
    on_event: OnEvent = ignore,
) -> Comparison:
    """Train the local arms and compare them with a federated model that is there already.

    Raises:
        FederationError: Training or judging failed.
    """
    sites = join_all(job, datasets, out)
    workers = min(os.cpu_count() or 1, len(sites))
    local = train_each(sites, out / "local", workers=workers, on_event=on_event)
    models = {**{LOCAL_PREFIX + alias: path for alias, path in local.items()}, "federated": federated}
    everything = [*own_tests(sites), *external_sets(job, external, out)]
    comparison = compare(job, everything, models, workers=workers, on_event=on_event)
    return publish(comparison, out, federated=federated.parent)


def publish(comparison: Comparison, out: Path, *, federated: Path | None = None) -> Comparison:
    """Write ``comparison.json`` and ``comparison.html``.

    Args:
        comparison: The outcome.
        out: Folder.
        federated: Folder of the federation, whose rounds are added to the account.
    """
    rounds = read_rounds(federated) if federated else ()
    comparison.document["rounds"] = [
        {"round": each.number, "losses": dict(each.losses), "lost": dict(each.lost)} for each in rounds
    ]
    schemas.validate("comparison", comparison.document)
    write_json(out / "comparison.json", comparison.document)
    write_page(comparison, out / "comparison.html")
    return comparison


def pooled_model(job: Job, datasets: Mapping[str, Path], out: Path, *, on_event: OnEvent = ignore) -> Path:
    """Train on all data in one place; only where that is allowed."""
    return train_pooled(join_all(job, datasets, out), out / "pooled", on_event=on_event)


def join_all(job: Job, datasets: Mapping[str, Path], out: Path) -> list[SiteClient]:
    """Open every site's dataset, on the cache the federation built.

    Raises:
        FederationError: No site was named.
    """
    if not datasets:
        raise FederationError("no site takes part", hint="name datasets as SITE=FOLDER")
    return [join(alias, root, job, out / "federated") for alias, root in sorted(datasets.items())]


def own_tests(sites: Sequence[SiteClient]) -> list[TestSet]:
    """Give each site's test split."""
    return [TestSet(site.alias, "site", site.dataset_sha256, site.cache, site.annotated) for site in sites]


def external_sets(job: Job, external: Mapping[str, Path], out: Path) -> list[TestSet]:
    """Open, verify and decode the datasets no site trains on.

    Raises:
        DatasetError: One cannot be used.
        JobMismatchError: One speaks another label language.
    """
    found = []
    for name, root in sorted(external.items()):
        dataset = open_dataset(root)
        check_fit(dataset, job)
        build_cache(dataset, out / "federated" / "cache")
        annotated = tuple(label for label in job.class_names if label in dataset.annotated)
        found.append(TestSet(name, "external", dataset.sha256, (out / "federated" / "cache").resolve(), annotated))
    return found
