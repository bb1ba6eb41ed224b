"""Pooled training: all data in one place, where that is allowed; the mark the others are held against."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from racoon_data.events import Event, OnEvent, ignore
from racoon_train import engine
from racoon_train.checkpoints import Model, save_model, save_weights
from racoon_train.data.loaders import Batch
from racoon_train.federated.contract import SiteClient
from racoon_train.federated.rounds import RoundLog, round_file
from racoon_train.networks import network_of, weights_of
from racoon_train.optimizer import AdamW


def train_pooled(sites: Sequence[SiteClient], out: Path, *, on_event: OnEvent = ignore) -> Path:
    """Train one model on all sites' batches in turn, with as many steps as all sites take together.

    Args:
        sites: The sites; their data must be allowed to lie in one place.
        out: Folder for the model and its rounds.
        on_event: Listener (kind ``train-pooled``).

    Returns:
        The model (safetensors).
    """
    job = sites[0].job
    longer = job.longer(len(sites))
    engine.be_a_good_neighbour()
    network = network_of(job).to(engine.device())
    optimizer = AdamW(network, weight_decay=job.training.weight_decay)
    log = RoundLog(out)
    for round_ in range(1, job.training.rounds + 1):
        first = (round_ - 1) * longer.training.local_steps
        losses = engine.train_steps(network, optimizer, _in_turn(sites, round_), longer, first_step=first)
        log.write(round_, losses={"pooled": sum(losses) / len(losses)}, lost={})
        save_weights(round_file(out, round_), weights_of(network))
        on_event(Event("train-pooled", "round", round_, job.training.rounds))
    annotated = {name for site in sites for name in site.annotated}
    learned = tuple(name for name in job.class_names if name in annotated)
    data = tuple((site.alias, site.dataset_sha256) for site in sites)
    counts = tuple((site.alias, len(site.cases("train"))) for site in sites)
    model = Model(out / "model.safetensors", job, "pooled", learned, data, counts)
    save_model(model, weights_of(network))
    return model.weights


def _in_turn(sites: Sequence[SiteClient], round_: int) -> Iterator[Batch]:
    streams = [site.stream(site.cases("train"), round_) for site in sites]
    return chain.from_iterable(zip(*streams, strict=True))
