"""Fine-tuning: the federated model, trained on at one site."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from racoon_data.events import Event, OnEvent, ignore
from racoon_train.checkpoints import Model, load_weights, save_model
from racoon_train.federated.contract import SiteClient


def fine_tune(site: SiteClient, federated: Path, out: Path, *, on_event: OnEvent = ignore) -> Path:
    """Train the federated model on at one site, for the job's steps of fine-tuning or, where it names none, a round's.

    Args:
        site: The site.
        federated: The federated model.
        out: Folder for the model.
        on_event: Listener (kind ``fine-tune``).

    Returns:
        The model (safetensors).
    """
    job = site.job
    rules = job.rules.model_copy(update={"fine_tune_steps": job.rules.fine_tune_steps or job.training.local_steps})
    tuned = replace(site, job=job.model_copy(update={"rules": rules})).fine_tune(load_weights(federated))
    data, counts = ((site.alias, site.dataset_sha256),), ((site.alias, len(site.cases("train"))),)
    model = Model(out / "model.safetensors", job, "fine-tuned", site.annotated, data, counts)
    save_model(model, tuned)
    on_event(Event("fine-tune", site.alias, 1, 1))
    return model.weights
