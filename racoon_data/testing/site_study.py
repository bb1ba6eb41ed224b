"""Settings of a phantom site: its ``racoon.toml`` and the study file of its walk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from racoon_data.testing.lung_codes import CLASSES, LABELS_PATH
from racoon_data.testing.site_plans import SitePlan

STUDY_NAME = "lung-lesions"


def site_toml(plan: SitePlan, port: int, *, workers: int = 1) -> str:
    """Write the ``racoon.toml`` of a phantom site.

    Args:
        plan: The site.
        port: Where its PACS listens on this machine.
        workers: Local worker processes.
    """
    return f"""\
[site]
name = {_text(plan.name)}
workers = {workers}

[nodes.pacs]
host = "127.0.0.1"
port = {port}
ae_title = "PACS"
calling_ae_title = "RACOON"
"""


def study_toml(
    plan: SitePlan,
    *,
    labels: Path = LABELS_PATH,
    spacing_mm: tuple[float, float, float] = (3.0, 3.0, 5.0),
    test_fraction: float = 0.25,
) -> str:
    """Write the study file of a phantom site.

    Every site gets the same recipe and label schema. What differs is what the site knows of
    itself: which classes it outlines, and, where it reconstructs twice, which series it reads from.

    Args:
        plan: The site.
        labels: Label schema file.
        spacing_mm: Spacing of the dataset along R, A, S.
        test_fraction: Part of the patients kept for testing.
    """
    return f"""\
name = {_text(STUDY_NAME)}
test_fraction = {test_fraction}

[query]
node = "pacs"
filters = {{ ModalitiesInStudy = "CT" }}

[case]
per = "study"
labels_required = true

[[channels]]
name = "CT"
modality = "CT"
min_slices = 10
prefer = ["annotated", "thinnest"]

[labels]
schema_file = {_text(str(labels))}
annotated = {_list(plan.annotated if plan.annotated != CLASSES else ())}

[recipe]
orientation = "RAS"
spacing_mm = {list(spacing_mm)}
image_interpolation = "linear"
label_interpolation = "linear"
"""


def _text(value: str) -> str:
    # a JSON string is a TOML basic string
    return json.dumps(value)


def _list(values: Sequence[str]) -> str:
    return json.dumps(list(values))
