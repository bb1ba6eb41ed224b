"""Fine-tuning: the federated model, trained on at one site."""

from __future__ import annotations

from pathlib import Path

from racoon_data.events import Event, OnEvent, ignore
from racoon_train import engine
from racoon_train.checkpoints import Model, load_weights, save_model
from racoon_train.federated.contract import SiteClient
from racoon_train.networks import network_of, set_weights, weights_of
from racoon_train.optimizer import AdamW


def steps_of(site: SiteClient) -> int:
    """Give the steps of fine-tuning: the job's, or a round's worth where it names none."""
    return site.job.rules.fine_tune_steps or site.job.training.local_steps


def fine_tune(site: SiteClient, federated: Path, out: Path, *, on_event: OnEvent = ignore) -> Path:
    """Train the federated model on at one site, with a fresh optimizer from the middle of the schedule.

    Args:
        site: The site.
        federated: The federated model.
        out: Folder for the model.
        on_event: Listener (kind ``fine-tune``).

    Returns:
        The model (safetensors).
    """
    job, steps = site.job, steps_of(site)
    schedule = job.model_copy(update={"training": job.training.model_copy(update={"local_steps": steps})})
    engine.be_a_good_neighbour()
    network = network_of(job).to(engine.device())
    set_weights(network, load_weights(federated))
    optimizer = AdamW(network, weight_decay=job.training.weight_decay)
    cases = site.cases("train")
    stream = site.stream(cases, job.training.rounds + 1)
    engine.train_steps(network, optimizer, stream, schedule, first_step=job.training.rounds // 2 * steps)
    data = ((site.alias, site.dataset_sha256),)
    counts = ((site.alias, len(cases)),)
    model = Model(out / "model.safetensors", job, "fine-tuned", site.annotated, data, counts)
    save_model(model, weights_of(network))
    on_event(Event("fine-tune", site.alias, 1, 1))
    return model.weights
