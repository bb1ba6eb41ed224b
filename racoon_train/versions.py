"""Versions of what can change a training result."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

from racoon_data.files.sidecar import software

_PACKAGES = ("torch", "monai", "scipy", "blosc2", "safetensors", "flwr", "nvflare", "opacus")


def versions() -> dict[str, str]:
    """List racoon, Python and the libraries that touch voxels, weights or transport."""
    found = {**software(), "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
