"""Networks by name, and their weights as plain named arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.errors import PayloadError
from racoon_train.job.job import Job
from racoon_train.job.network import NetworkSettings

Weights = dict[str, npt.NDArray[Any]]


def build_network(settings: NetworkSettings, classes: int) -> Any:
    """Build a network (a ``torch.nn.Module``).

    Args:
        settings: Name and arguments.
        classes: Output channels, background included.
    """
    return _dynunet(settings, classes) if settings.is_dynunet else _unet(settings, classes)


def _unet(settings: NetworkSettings, classes: int) -> Any:
    from monai.networks.nets import UNet

    return UNet(
        spatial_dims=settings.dimensions,
        in_channels=settings.in_channels,
        out_channels=classes,
        channels=settings.channels,
        strides=(2,) * (len(settings.channels) - 1),
        num_res_units=settings.residual_units,
        norm=_norm(settings, math.gcd(*settings.channels, classes)),
        dropout=settings.dropout,
    )


def _dynunet(settings: NetworkSettings, classes: int) -> Any:
    from monai.networks.nets import DynUNet

    levels = len(settings.channels)
    return DynUNet(
        spatial_dims=settings.dimensions,
        in_channels=settings.in_channels,
        out_channels=classes,
        kernel_size=(3,) * levels,
        strides=(1, *(2,) * (levels - 1)),
        upsample_kernel_size=(2,) * (levels - 1),
        filters=settings.channels,
        norm_name=_norm(settings, math.gcd(*settings.channels)),
        res_block=settings.residual_units > 0,
        deep_supervision=settings.deep_supervision > 0,
        deep_supr_num=max(1, settings.deep_supervision),
        dropout=settings.dropout or None,
    )


def _norm(settings: NetworkSettings, divisor: int) -> Any:
    """Name the normalisation as MONAI does; groups must divide the channels everywhere it stands."""
    if settings.norm == "group":
        return ("group", {"num_groups": math.gcd(divisor, 8), "affine": True})
    return (settings.norm, {"affine": settings.is_dynunet or settings.norm == "batch"})


def network_of(job: Job) -> Any:
    """Build the network of a job; its random start depends on the job's seed alone."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(job.seed)
        return build_network(job.network, len(job.labels) + 1)


def initial_weights(job: Job) -> Weights:
    """Give the weights every arm of a comparison starts from."""
    return weights_of(network_of(job))


def weights_of(network: Any) -> Weights:
    """Copy a network's parameters and buffers out as named arrays."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in network.state_dict().items()}


def set_weights(network: Any, weights: Weights) -> None:
    """Put named arrays into a network; each takes the dtype the network has.

    Raises:
        PayloadError: Names or shapes belong to another network.
    """
    import torch

    own = network.state_dict()
    if set(own) != set(weights) or any(tuple(own[name].shape) != weights[name].shape for name in own):
        raise PayloadError("the weights belong to another network", hint="train again with this job")
    cast = {name: torch.from_numpy(np.array(weights[name])).to(own[name].dtype) for name in own}
    network.load_state_dict(cast)
