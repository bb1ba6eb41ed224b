"""Local training: each site alone, with the federation's start, batches, steps and schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from racoon_data.errors import FederationError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.outcomes import Status
from racoon_data.refs import FileRef
from racoon_data.runner.run import run_items
from racoon_train.checkpoints import Model, save_model, save_weights
from racoon_train.federated.contract import SiteClient, open_site_client
from racoon_train.federated.rounds import RoundLog, round_file
from racoon_train.networks import initial_weights


def train_local(site: SiteClient, out: Path, *, on_event: OnEvent = ignore) -> Path:
    """Train one site alone for as many rounds as the federation runs.

    A federation of one: the same code and the same batches, without an average in between.

    Args:
        site: The site.
        out: Folder for the model and its rounds.
        on_event: Listener (kind ``train``).

    Returns:
        The model (safetensors).
    """
    alone = replace(site, state=out / "state")
    alone.begin()
    weights, log, rounds = initial_weights(site.job), RoundLog(out, anew=True), site.job.training.rounds
    for round_ in range(1, rounds + 1):
        update = alone.train(weights, round_)
        weights = update.weights
        save_weights(round_file(out, round_), weights)
        log.write(round_, losses={site.alias: update.metrics["loss"]}, lost={})
        on_event(Event("train", site.alias, round_, rounds))
    model = Model(out / "model.safetensors", site.job, "local", site.annotated, ((site.alias, site.dataset_sha256),))
    save_model(model, weights)
    return model.weights


def train_each(
    sites: Sequence[SiteClient], out: Path, *, workers: int = 1, on_event: OnEvent = ignore
) -> dict[str, Path]:
    """Train every site alone, some at a time.

    Args:
        sites: The sites.
        out: Parent folder; each model lies in the folder of its alias.
        workers: Processes at a time.
        on_event: Listener (kind ``train-local``).

    Returns:
        Model by alias.

    Raises:
        FederationError: A site could not be trained.
    """
    items = []
    for site in sites:
        paper = out / site.alias / "site.json"
        site.save(paper)
        items.append((FileRef(site.alias), paper))
    results = list(run_items("train-local", items, _train_paper, workers=workers, on_event=on_event))
    failed = [result.outcome for result in results if result.outcome.status is not Status.DONE]
    if failed:
        named = ", ".join(f"{outcome.ref} ({outcome.code})" for outcome in failed)
        raise FederationError(f"local training failed: {named}", hint=failed[0].hint)
    return {site.alias: out / site.alias / "model.safetensors" for site in sites}


def _train_paper(paper: Path) -> str:
    return str(train_local(open_site_client(paper), paper.parent))
