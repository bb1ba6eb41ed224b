"""Train and evaluate, nothing else: marginal Dice and cross-entropy, whole-slice inference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.labels import IGNORE
from racoon_train.data.loaders import Batch
from racoon_train.data.transforms import windowed
from racoon_train.job.job import Job
from racoon_train.optimizer import AdamW

Probabilities = npt.NDArray[np.float32]
_SMOOTH = 1e-5
_SLICES_AT_ONCE = 16
_LONGEST_GRADIENT = 12.0


def device() -> Any:
    """Choose CUDA where present, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def be_a_good_neighbour() -> None:
    """Use one thread: sites that share a machine slow each other down many times otherwise."""
    import torch

    torch.set_num_threads(1)


def marginal_loss(logits: Any, target: Any, *, annotated: Sequence[int]) -> Any:
    """Dice plus cross-entropy where only some classes were annotated.

    Classes that this site never outlined are merged with background before the loss, so a voxel
    it calls background is never held against them (the marginal loss of Shi et al. 2021,
    doi:10.1016/j.media.2021.101979). Voxels marked 255 are left out.

    Args:
        logits: ``[b, classes, h, w]``, class 0 is background.
        target: Class numbers ``[b, h, w]``, 255 to ignore.
        annotated: Class numbers (without 0) that were looked for here.

    Returns:
        A scalar tensor.
    """
    import torch

    probabilities = torch.softmax(logits.float(), dim=1)
    kept = sorted(annotated)
    foreground = probabilities[:, kept]
    merged = torch.cat([1.0 - foreground.sum(dim=1, keepdim=True), foreground], dim=1)
    valid = (target != IGNORE).unsqueeze(1)
    truth = torch.cat([(target == number).unsqueeze(1) for number in kept], dim=1)
    truth = torch.cat([~truth.any(dim=1, keepdim=True), truth], dim=1) & valid
    count = valid.sum().clamp(min=1)
    cross_entropy = -(torch.log(merged.clamp(min=1e-6)) * truth).sum() / count
    masked = merged[:, 1:] * valid
    overlap = (masked * truth[:, 1:]).sum(dim=(0, 2, 3))
    total = masked.sum(dim=(0, 2, 3)) + truth[:, 1:].sum(dim=(0, 2, 3))
    dice = (2.0 * overlap + _SMOOTH) / (total + _SMOOTH)
    return cross_entropy + (1.0 - dice).mean()


def learning_rate(job: Job, step: int) -> float:
    """Give the cosine-decayed learning rate of a global step; every arm shares this schedule."""
    total = job.training.rounds * job.training.local_steps
    return job.training.learning_rate * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(step / total, 1.0))))


def train_steps(network: Any, optimizer: AdamW, stream: Iterator[Batch], job: Job, *, first_step: int) -> list[float]:
    """Train a round's worth of steps.

    Args:
        network: Network in place; it is changed.
        optimizer: Its optimizer.
        stream: Batches.
        job: Steps and schedule.
        first_step: Global step number of the first step, for the schedule.

    Returns:
        Loss of every step.
    """
    import torch

    where = next(network.parameters()).device
    network.train()
    losses: list[float] = []
    for step in range(first_step, first_step + job.training.local_steps):
        batch = next(stream)
        optimizer.zero_grad()
        logits = network(torch.from_numpy(batch.images).to(where))
        loss = marginal_loss(logits, torch.from_numpy(batch.targets).to(where), annotated=batch.annotated)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), _LONGEST_GRADIENT)
        optimizer.step(learning_rate(job, step))
        losses.append(float(loss.detach()))
    return losses


def predict(network: Any, image: npt.NDArray[Any], job: Job) -> Probabilities:
    """Predict a case slice by slice, each slice whole.

    Args:
        network: A trained network.
        image: ``[c, k, j, i]`` in the image's unit.
        job: Window and network depth.

    Returns:
        Softmax probabilities float32 ``[classes, k, j, i]``.
    """
    import torch

    where = next(network.parameters()).device
    height, width = image.shape[2:]
    multiple = 2 ** (len(job.network.channels) - 1)
    pad = ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple))
    slices = np.pad(windowed(image, job.training.window), pad).transpose(1, 0, 2, 3)
    network.eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(slices), _SLICES_AT_ONCE):
            part = torch.from_numpy(np.ascontiguousarray(slices[start : start + _SLICES_AT_ONCE])).to(where)
            parts.append(torch.softmax(network(part), dim=1).float().cpu().numpy())
    stacked: Probabilities = np.concatenate(parts)[:, :, :height, :width].transpose(1, 0, 2, 3)
    return stacked
