"""One round of training that survives a kill: where it stands is on disk, and it goes on bit for bit on a CPU."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from racoon_data.documents import read_json
from racoon_data.files.atomic import sha256_of, write_json
from racoon_data.settings import Frozen
from racoon_train import engine
from racoon_train.checkpoints import load_weights, save_weights
from racoon_train.data.loaders import Batch
from racoon_train.job.job import Job
from racoon_train.networks import Weights, set_weights, weights_of
from racoon_train.optimizer import AdamW

PROGRESS_NAME = "progress.json"
_NETWORK, _OPTIMIZER, _CHANCE = "network.", "optimizer.", "chance."
_SHA = r"^[0-9a-f]{64}$"


class Progress(Frozen):
    """Where an unfinished round stands (``progress.json``, beside the file of its arrays).

    Attributes:
        schema_version: Version of this layout.
        round: The round, counted from 1.
        done: Steps of it that are done.
        losses: Loss of each.
        start_sha256: Hash of the weights the round started from; it goes on from the same start only.
        job_sha256: Hash of the job.
        state: File with network, optimizer and random state.
        state_sha256: Its hash.
    """

    schema_version: Literal["1.0"] = "1.0"
    round: Annotated[int, Field(ge=1)]
    done: Annotated[int, Field(ge=1)]
    losses: tuple[float, ...]
    start_sha256: Annotated[str, Field(pattern=_SHA)]
    job_sha256: Annotated[str, Field(pattern=_SHA)]
    state: Annotated[str, Field(pattern=r"^[\w.-]+$")]
    state_sha256: Annotated[str, Field(pattern=_SHA)]


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """What a round needs beside network and data.

    Attributes:
        number: The round, counted from 1.
        home: Folder for its progress.
        on_step: Called after each step, once its progress is written, with the next step and the loss.
    """

    number: int
    home: Path
    on_step: engine.OnStep | None = None


def train_round(
    network: Any, optimizer: AdamW, stream: Callable[[int], Iterator[Batch]], job: Job, plan: RoundPlan
) -> list[float]:
    """Train a round, from where it stood if it was interrupted, and write progress as the job says.

    Args:
        network: Network in place, with the weights the round starts from.
        optimizer: Its optimizer, as the last round left it.
        stream: Gives the round's batches from a number on.
        job: Steps and schedule; ``checkpoint_steps`` says how often progress is written.
        plan: Round, folder and listener.

    Returns:
        Loss of every step of the round, those before the interruption too.

    Raises:
        DivergedError: A loss is not finite.
        StorageError: Progress cannot be written.
    """
    every = job.training.checkpoint_steps
    is_kept = every or (plan.home / PROGRESS_NAME).is_file()
    start = digest_of(weights_of(network)) if is_kept else ""  # 0.3 s for 30 million parameters, so only on demand
    losses = restore(network, optimizer, job, plan, start=start)
    first = (plan.number - 1) * job.training.local_steps + len(losses)

    def on_step(step: int, loss: float) -> None:
        losses.append(loss)
        if every and len(losses) % every == 0 and len(losses) < job.training.local_steps:
            write(network, optimizer, job, plan, start=start, losses=losses)
        if plan.on_step:
            plan.on_step(step, loss)

    if len(losses) < job.training.local_steps:
        engine.train_steps(network, optimizer, stream(len(losses)), job, first_step=first, on_step=on_step)
    forget(plan.home)
    return losses


def write(network: Any, optimizer: AdamW, job: Job, plan: RoundPlan, *, start: str, losses: list[float]) -> None:
    """Write where the round stands: arrays first, then the JSON that names them; a kill leaves the last one whole."""
    path = plan.home / f"progress-{plan.number:06d}-{len(losses):06d}.safetensors"
    arrays = {
        **{_NETWORK + name: array for name, array in weights_of(network).items()},
        **{_OPTIMIZER + name: array for name, array in optimizer.arrays().items()},
        **{_CHANCE + name: array for name, array in _chance().items()},
    }
    save_weights(path, arrays)
    progress = Progress(
        round=plan.number,
        done=len(losses),
        losses=tuple(losses),
        start_sha256=start,
        job_sha256=job.sha256,
        state=path.name,
        state_sha256=sha256_of(path),
    )
    write_json(plan.home / PROGRESS_NAME, progress.model_dump(mode="json"))
    _sweep(plan.home, keep=path.name)


def restore(network: Any, optimizer: AdamW, job: Job, plan: RoundPlan, *, start: str) -> list[float]:
    """Put back where this round stood; give the losses so far, none where there is nothing fitting.

    Progress of another round, job or start is of no use and left out; so is a damaged file, since the
    round can always begin again.
    """
    try:
        progress = Progress.model_validate(read_json(plan.home / PROGRESS_NAME))
    except (OSError, ValueError, ValidationError):
        return []
    path = plan.home / progress.state
    fits = (progress.round, progress.start_sha256, progress.job_sha256) == (plan.number, start, job.sha256)
    if not fits or not path.is_file() or sha256_of(path) != progress.state_sha256:
        return []
    arrays = load_weights(path)
    set_weights(network, _part(arrays, _NETWORK))
    optimizer.load(_part(arrays, _OPTIMIZER))
    _set_chance(_part(arrays, _CHANCE))
    return list(progress.losses)


def forget(home: Path) -> None:
    """Remove the progress of a round that is over."""
    (home / PROGRESS_NAME).unlink(missing_ok=True)
    _sweep(home, keep="")


def digest_of(weights: Weights) -> str:
    """Hash named arrays: names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        array = np.ascontiguousarray(weights[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _sweep(home: Path, *, keep: str) -> None:
    for path in home.glob("progress-*.safetensors"):
        if path.name != keep:
            path.unlink()


def _part(arrays: Weights, prefix: str) -> Weights:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _chance() -> Weights:
    """Give PyTorch's random state, which dropout draws from."""
    import torch

    cuda = {f"cuda{n}": state.numpy() for n, state in enumerate(torch.cuda.get_rng_state_all())} if _has_cuda() else {}
    return {"cpu": torch.get_rng_state().numpy(), **cuda}


def _set_chance(arrays: Weights) -> None:
    import torch

    torch.set_rng_state(torch.from_numpy(np.array(arrays["cpu"])))
    for number in range(len(arrays) - 1) if _has_cuda() else ():
        torch.cuda.set_rng_state(torch.from_numpy(np.array(arrays[f"cuda{number}"])), number)


def _has_cuda() -> bool:
    import torch

    return bool(torch.cuda.is_available())
