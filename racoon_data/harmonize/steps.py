"""What was done to a case, as entries of its sidecar: name, parameters and the versions that did it."""

from __future__ import annotations

from racoon_data.files.sidecar import software


def step(name: str, *libraries: str, **facts: object) -> dict[str, object]:
    """Describe one step.

    Args:
        name: The verb.
        libraries: Packages that touched values, beside racoon and numpy.
        facts: Parameters and results, JSON-ready.
    """
    versions = software()
    used = {package: versions[package] for package in ("racoon", "numpy", *libraries) if package in versions}
    return {"step": name, **facts, "software": used}
