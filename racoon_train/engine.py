"""Train and predict, nothing else: marginal loss, mixed precision, deep supervision, sliding windows."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.errors import DivergedError
from racoon_data.labels import IGNORE
from racoon_train.data.loaders import Batch
from racoon_train.data.transforms import windowed
from racoon_train.job.job import Job
from racoon_train.optimizer import AdamW

Probabilities = npt.NDArray[np.float32]
OnStep = Callable[[int, float], None]
_SMOOTH = 1e-5
_SLICES_AT_ONCE = 16
_WINDOWS_AT_ONCE = 2
THREADS_VARIABLE = "RACOON_THREADS"


def device() -> Any:
    """Choose CUDA where present, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def loader_threads() -> int:
    """Give the threads that read patches ahead: some beside a GPU, none beside a CPU, which is busy already."""
    return min(8, max(1, (os.cpu_count() or 2) - 1)) if device().type == "cuda" else 0


def be_a_good_neighbour() -> None:
    """Use one thread, or as many as ``RACOON_THREADS`` says.

    Sites that share a machine slow each other down 7 to 13 times with two threads each on two cores.
    """
    import torch

    threads = os.environ.get(THREADS_VARIABLE, "1")
    torch.set_num_threads(max(1, int(threads)) if threads.isdigit() else 1)
    with suppress(RuntimeError):  # parallel work has begun in this process: it keeps its pool
        torch.set_num_interop_threads(1)


def loss_of(outputs: Any, target: Any, *, annotated: Sequence[int]) -> Any:
    """Give the marginal loss of a network's output; of deep supervision, the weighted mean of all heads.

    Args:
        outputs: Logits ``[b, classes, ...]``, or ``[b, heads, classes, ...]``, finest head first; each
            coarser head counts half of the one before it, as in nnU-Net.
        target: Class numbers ``[b, ...]``, 255 to ignore.
        annotated: Class numbers (without 0) that were looked for here.
    """
    if outputs.ndim == target.ndim + 1:
        return marginal_loss(outputs, target, annotated=annotated)
    weights = [0.5**head for head in range(outputs.shape[1])]
    losses = [marginal_loss(outputs[:, head], target, annotated=annotated) for head in range(outputs.shape[1])]
    return sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights)


def marginal_loss(logits: Any, target: Any, *, annotated: Sequence[int]) -> Any:
    """Dice plus cross-entropy where only some classes were annotated.

    Classes that this site never outlined are merged with background before the loss, so a voxel
    it calls background is never held against them (the marginal loss of Shi et al. 2021,
    doi:10.1016/j.media.2021.101979). Voxels marked 255 are left out.

    Args:
        logits: ``[b, classes, ...]`` in two or three dimensions, class 0 is background.
        target: Class numbers ``[b, ...]``, 255 to ignore.
        annotated: Class numbers (without 0) that were looked for here.

    Returns:
        A scalar tensor, float32 whatever the logits are.
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
    places = (0, *range(2, target.ndim + 1))
    overlap = (masked * truth[:, 1:]).sum(dim=places)
    total = masked.sum(dim=places) + truth[:, 1:].sum(dim=places)
    dice = (2.0 * overlap + _SMOOTH) / (total + _SMOOTH)
    return cross_entropy + (1.0 - dice).mean()


def learning_rate(job: Job, step: int) -> float:
    """Give the cosine-decayed learning rate of a global step; every arm shares this schedule."""
    total = job.training.rounds * job.training.local_steps
    return job.training.learning_rate * (0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * min(step / total, 1.0))))


def precision_of(job: Job, where: Any) -> str:
    """Give the precision that is used on a device: fp16 is for CUDA alone, so a CPU computes in fp32."""
    wanted = job.training.precision
    return "fp32" if wanted == "fp16" and where.type != "cuda" else wanted


def train_steps(
    network: Any, optimizer: AdamW, stream: Iterator[Batch], job: Job, *, first_step: int, on_step: OnStep | None = None
) -> list[float]:
    """Train to the end of the round.

    Args:
        network: Network in place; it is changed.
        optimizer: Its optimizer.
        stream: Batches.
        job: Steps, schedule, precision.
        first_step: Global number of the first step; within a round, what is left of it is trained.
        on_step: Called after each step with the number of the next step and the step's loss.

    Returns:
        Loss of every step.

    Raises:
        DivergedError: A loss is not finite; the network is then worth nothing.
    """
    network.train()
    losses: list[float] = []
    last = first_step - first_step % job.training.local_steps + job.training.local_steps
    for step in range(first_step, last):
        losses.append(_step(network, optimizer, next(stream), job, step))
        if on_step:
            on_step(step + 1, losses[-1])
    return losses


def _step(network: Any, optimizer: AdamW, batch: Batch, job: Job, step: int) -> float:
    import torch

    where = next(network.parameters()).device
    precision = precision_of(job, where)
    optimizer.zero_grad()
    with autocast(where, precision):
        outputs = network(_moved(batch.images, where))
    loss = loss_of(outputs, _moved(batch.targets, where), annotated=batch.annotated)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise DivergedError(f"the loss is not finite at step {step}", hint="lower the learning rate, look at the data")
    scale = optimizer.scaler.scale if precision == "fp16" else 1.0
    (loss * scale if scale != 1.0 else loss).backward()
    if precision == "fp16" and not optimizer.scaler.unscale(network):
        return value
    torch.nn.utils.clip_grad_norm_(network.parameters(), job.training.gradient_clip)
    optimizer.step(learning_rate(job, step))
    return value


def mean_loss(network: Any, stream: Iterator[Batch], *, count: int) -> float:
    """Give the mean loss over some batches without learning from them."""
    import torch

    where = next(network.parameters()).device
    network.eval()
    losses = []
    with torch.inference_mode():
        for batch in islice(stream, count):
            outputs = network(_moved(batch.images, where))
            losses.append(float(loss_of(outputs, _moved(batch.targets, where), annotated=batch.annotated)))
    return sum(losses) / len(losses)


def _moved(array: npt.NDArray[Any], where: Any) -> Any:
    """Copy to the device; to a GPU through pinned memory, so that the copy runs beside the computation."""
    import torch

    tensor = torch.from_numpy(array)
    return tensor.pin_memory().to(where, non_blocking=True) if where.type == "cuda" else tensor.to(where)


def autocast(where: Any, precision: str) -> AbstractContextManager[Any]:
    """Give the context in which a network computes in mixed precision; none for fp32."""
    import torch

    if precision == "fp32":
        return nullcontext()
    found: AbstractContextManager[Any] = torch.autocast(
        where.type, dtype=torch.float16 if precision == "fp16" else torch.bfloat16
    )
    return found


def predict(network: Any, image: Any, job: Job) -> Probabilities:
    """Predict a case: a 2D network slice by slice, each whole; a 3D one by windows that overlap.

    Args:
        network: A trained network.
        image: ``[c, k, j, i]`` in the image's unit, on the network's grid.
        job: Window, patch size, overlap and network.

    Returns:
        Softmax probabilities float32 ``[classes, k, j, i]``.
    """
    import torch

    network.eval()
    values = windowed(image, job.training.window)
    with torch.inference_mode():
        return _by_slice(network, values, job) if job.network.dimensions == 2 else _by_window(network, values, job)


def _softmax(network: Any, part: Any, job: Job) -> Any:
    import torch

    with autocast(part.device, precision_of(job, part.device)):
        outputs = network(part)
    return torch.softmax(outputs.float(), dim=1)


def _by_slice(network: Any, image: npt.NDArray[np.float32], job: Job) -> Probabilities:
    import torch

    where = next(network.parameters()).device
    height, width = image.shape[2:]
    least = 2 * job.network.multiple
    pad = [(0, max(least - size, -size % job.network.multiple)) for size in (height, width)]
    slices = np.pad(image, ((0, 0), (0, 0), *pad)).transpose(1, 0, 2, 3)
    parts = []
    for start in range(0, len(slices), _SLICES_AT_ONCE):
        part = torch.from_numpy(np.ascontiguousarray(slices[start : start + _SLICES_AT_ONCE])).to(where)
        parts.append(_softmax(network, part, job).cpu().numpy())
    stacked: Probabilities = np.concatenate(parts)[:, :, :height, :width].transpose(1, 0, 2, 3)
    return stacked


def _by_window(network: Any, image: npt.NDArray[np.float32], job: Job) -> Probabilities:
    """Slide windows of the patch's size (MONAI), weighted towards their middle by a Gaussian.

    The softmax is averaged, not the logits, so that what comes out still sums to one.
    """
    import torch
    from monai.inferers import sliding_window_inference

    found: Probabilities = sliding_window_inference(
        torch.from_numpy(image)[None],
        roi_size=job.patch_size,
        sw_batch_size=_WINDOWS_AT_ONCE,
        predictor=lambda part: _softmax(network, part, job),
        overlap=job.training.overlap,
        mode="gaussian",
        sw_device=next(network.parameters()).device,
        device=torch.device("cpu"),
    )[0].numpy()
    return found
