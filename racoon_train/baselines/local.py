"""Local training: each site alone, with the federation's start, batches, steps and schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path

from racoon_data.documents import read_json
from racoon_data.errors import FederationError, JobMismatchError
from racoon_data.events import Event, OnEvent, ignore
from racoon_data.files.atomic import write_json
from racoon_data.outcomes import Status
from racoon_data.refs import FileRef
from racoon_data.runner.run import run_items
from racoon_train.baselines.early_stop import Validation
from racoon_train.checkpoints import Model, load_weights, save_model, save_weights
from racoon_train.federated.contract import SiteClient, open_site_client
from racoon_train.federated.rounds import Round, RoundLog, read_rounds, round_file
from racoon_train.networks import initial_weights


def train_local(site: SiteClient, out: Path, *, resume: bool = False, on_event: OnEvent = ignore) -> Path:
    """Train one site alone for as many rounds as the federation runs.

    A federation of one: the same code and the same batches, without an average in between. Where the
    job keeps a validation fold back, the model is the best round's, and ``patience`` may end it early.

    Args:
        site: The site.
        out: Folder for the model and its rounds.
        resume: Go on where a run of the same job on the same data stopped, to the same bytes.
        on_event: Listener (kind ``train``).

    Returns:
        The model (safetensors).

    Raises:
        JobMismatchError: ``out`` holds a run of another job or dataset.
    """
    alone = replace(site, state=out / "state")
    earlier = _begun(alone, out, resume=resume)
    log, validation = RoundLog(out, anew=True), Validation(alone, out, done=len(earlier))
    for each in earlier:
        log.write(each.number, losses=each.losses, lost=each.lost)
    weights = load_weights(round_file(out, len(earlier))) if earlier else initial_weights(site.job)
    for round_ in range(len(earlier) + 1, site.job.training.rounds + 1):
        if validation.is_over:
            break
        update = alone.train(weights, round_)
        weights = update.weights
        validation.judge(weights)
        save_weights(round_file(out, round_), weights)
        log.write(round_, losses={site.alias: update.loss}, lost={})
        on_event(Event("train", site.alias, round_, site.job.training.rounds))
    best = load_weights(round_file(out, validation.best)) if validation.best else weights
    data, counts = ((site.alias, site.dataset_sha256),), ((site.alias, len(site.cases("train"))),)
    model = Model(out / "model.safetensors", site.job, "local", site.annotated, data, counts)
    save_model(model, best)
    return model.weights


def _begun(site: SiteClient, out: Path, *, resume: bool) -> tuple[Round, ...]:
    """Give the whole rounds of an interrupted run to go on from, or begin anew."""
    own = {"job_sha256": site.job.sha256, "dataset_sha256": site.dataset_sha256, "alias": site.alias}
    marker = out / "run.json"
    if not resume or not marker.is_file():
        site.begin()
        (out / "rounds.json").unlink(missing_ok=True)
        write_json(marker, own)
        return ()
    if read_json(marker) != own:
        raise JobMismatchError("this folder holds a run of another job or dataset", hint="name another, or use --anew")
    rounds = read_rounds(out)
    whole = takewhile(
        lambda pair: pair[1].number == pair[0] and round_file(out, pair[0]).is_file(), enumerate(rounds, 1)
    )
    return tuple(each for _, each in whole)


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
