"""What ``racoon doctor`` looks at for training: torch, GPU, federation engines, the aggregator."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from racoon_data.health import Check
from racoon_data.settings import SiteSettings

_ENGINES = {"flwr": "flower", "nvflare": "nvflare"}
_CONNECT_S = 5.0


def look(settings: SiteSettings | None) -> Iterator[Check]:
    """Look at what training needs; a site that only makes datasets may lack all of it."""
    yield from _torch()
    for package, extra in _ENGINES.items():
        found = _version(package)
        remedy = "" if found else f"in racoon's folder: pip install '.[{extra}]', to train with it"
        yield Check(
            f"engine {extra}", "good" if found else "limited", f"{package} {found or 'is not installed'}", remedy
        )
    if settings is not None and settings.federation.aggregator:
        yield _aggregator(settings.federation.aggregator)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _torch() -> Iterator[Check]:
    if not _version("torch"):
        yield Check(
            "torch", "limited", "torch is not installed", "in racoon's folder: pip install '.[train]', to train"
        )
        return
    import torch

    yield Check("torch", "good", f"torch {torch.__version__}")
    if not torch.cuda.is_available():
        remedy = "training runs on the processor; for a GPU install its driver and a torch build with CUDA"
        yield Check("GPU", "limited", "none that torch can use", remedy)
        return
    for number in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(number)
        yield Check(f"GPU {number}", "good", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB")


def _aggregator(address: str) -> Check:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=_CONNECT_S):
            return Check("aggregator", "good", f"{address} accepts connections")
    except OSError as error:
        remedy = "ask for its address and port, and whether the firewall lets this machine out"
        return Check("aggregator", "bad", f"{address} cannot be reached: {error.strerror or error}", remedy)
