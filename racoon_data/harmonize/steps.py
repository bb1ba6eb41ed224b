"""What was done to a case, as entries of its sidecar: name, parameters and the versions that did it."""

from __future__ import annotations

from racoon_data.files.sidecar import software
from racoon_data.harmonize.label_mapping import MapRules
from racoon_data.labels import LabelSchema


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


def map_step(schema: LabelSchema, rules: MapRules) -> dict[str, object]:
    """Describe by which rules segments and readers became one label map."""
    libraries = ("SimpleITK",) if rules.policy == "staple" else ()
    how = {"fuse": rules.policy, "undecided": rules.undecided, "unmapped": rules.unmapped}
    language = f"{schema.name} {schema.version}"
    return step("map", *libraries, label_schema=language, **how, not_annotated=rules.not_annotated)
