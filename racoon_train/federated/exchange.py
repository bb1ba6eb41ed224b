"""A site's side of a round: take what came, add what stays here, train, send what may leave, write it down."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from racoon_data.documents import parse_json, read_json
from racoon_data.files.atomic import write_json
from racoon_train import checkpoints
from racoon_train.federated.contract import SiteClient
from racoon_train.federated.corrections import Correction, proximal
from racoon_train.federated.guards import check_update, check_weights
from racoon_train.federated.transport import Parcel, as_sent, as_used
from racoon_train.federated.update import Update
from racoon_train.job.rules import FedProx
from racoon_train.networks import Weights, initial_weights

_KEPT = 3  # a server may go back by a round or two

Correct = Callable[[Weights], Correction]


def take_part(site: SiteClient, received: Weights, round_: int, *, correct: Correct | None = None) -> Update:
    """Train one round on what an aggregator sent and give back what may leave.

    Args:
        site: The site.
        received: Arrays that travel, in the job's transport.
        round_: Number of the round, from 1.
        correct: Makes an engine's own correction of gradients from the round's start.

    Raises:
        PayloadError: What came, or what training made of it, does not pass the guards.
        DatasetError: The dataset changed since approval.
    """
    job = site.job
    start = opened(site, received, round_)
    if correct is None and isinstance(job.rules.strategy, FedProx):
        correct = partial(proximal, mu=job.rules.strategy.mu)
    trained = site.train(start, round_, correction=correct(start) if correct else None)
    sent = replace(trained, weights=as_sent(trained.weights, job.rules))
    check_update(sent, as_sent(start, job.rules), max_norm_ratio=job.rules.max_norm_ratio)
    _keep(site, trained, round_)
    _write_down(site, round_, received, sent)
    return sent


def opened(site: SiteClient, received: Weights, round_: int) -> Weights:
    """Check what came for a round and complete it with the layers that stay here.

    Raises:
        PayloadError: It does not fit the job's network.
    """
    reference = initial_weights(site.job)
    wanted = as_sent(reference, site.job.rules)
    check_weights(received, wanted, max_norm_ratio=site.job.rules.max_norm_ratio**2)
    return as_used(received, {**reference, **personal_layers(site, round_)})


def personal_layers(site: SiteClient, round_: int) -> Weights:
    """Give the layers that stay at this site, as the last round before this one left them; none before the first."""
    earlier = [path for path in site.state.glob("personal-*.safetensors") if path.name < _personal(round_)]
    return checkpoints.load_weights(max(earlier)) if earlier else {}


def receive_model(site: SiteClient, received: Weights) -> Path:
    """Take the final model in: with this site's own layers, trained on here where the job says so.

    Returns:
        The site's model, with its card beside it.

    Raises:
        PayloadError: It does not fit the job's network.
    """
    weights = opened(site, received, site.job.training.rounds + 1)
    if site.job.rules.fine_tune_steps:
        weights = site.fine_tune(weights)
    path = site.state.parent / f"{site.alias}-model.safetensors"
    card = checkpoints.Model(path, site.job, "federated", site.annotated, ((site.alias, site.dataset_sha256),))
    checkpoints.save_model(card, weights)
    _append(site, {"model_sha256": Parcel.of(received).sha256})
    return path


def exchanges(state: Path) -> tuple[dict[str, str | int | float], ...]:
    """Read a site's account: a line for every round it answered, hashes and bytes of both ways."""
    path = state / "exchanges.jsonl"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return tuple(parse_json(line) for line in text.split("\n")[:-1])  # a line that is not whole yet is not read


def _personal(round_: int) -> str:
    return f"personal-{round_:06d}.safetensors"


def _keep(site: SiteClient, update: Update, round_: int) -> None:
    rules = site.job.rules
    stays = {name: array for name, array in update.weights.items() if not rules.travels(name)}
    if stays:
        checkpoints.save_weights(site.state / _personal(round_), stays)
        for older in sorted(site.state.glob("personal-*.safetensors"))[:-_KEPT]:
            older.unlink()
    best = site.state / "best.json"
    if update.loss is not None and (not best.is_file() or update.loss < float(read_json(best)["loss"])):
        checkpoints.save_weights(site.state / "best.safetensors", update.weights)
        write_json(best, {"round": round_, "loss": update.loss})


def _write_down(site: SiteClient, round_: int, received: Weights, sent: Update) -> None:
    came, left = Parcel.of(received), Parcel.of(sent.weights)
    _append(
        site,
        {
            "round": round_,
            "received_sha256": came.sha256,
            "received_bytes": came.size,
            "sent_sha256": left.sha256,
            "sent_bytes": left.size,
            "examples": sent.examples,
            **sent.metrics,
        },
    )


def _append(site: SiteClient, facts: Mapping[str, str | int | float]) -> None:
    with (site.state / "exchanges.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(facts) + "\n")
