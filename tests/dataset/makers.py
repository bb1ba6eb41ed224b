"""Hand-made cases with known truth: a box of tissue in air, with lesions of known volume."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from racoon_data.cases import Acquisition, Case, Channel
from racoon_data.dataset.manifest import ManifestFacts, begin_dataset, write_manifest
from racoon_data.dataset.placing import place_cases
from racoon_data.dataset.writer import write_case
from racoon_data.files.manifest import Manifest
from racoon_data.geometry import Geometry, as_affine
from racoon_data.labels import Annotation, CodedConcept, Finding, Label, LabelMap, LabelSchema, Segment, SegmentMask
from racoon_data.outcomes import Outcome
from racoon_data.refs import CaseRef, InstanceRef, SeriesRef
from racoon_data.volumes import Volume

KEY = b"a key of tests"
GRID = Geometry((20, 16, 10), as_affine([[-1.5, 0, 0, 15], [0, -1.5, 0, 12], [0, 0, 3, -15], [0, 0, 0, 1]]), "1.2.3.4")
SCHEMA = LabelSchema(
    "lung-lesions",
    "1.0",
    (
        Label(1, "ground-glass-opacity", (CodedConcept("50196008", "SCT", "Ground glass opacity"),), ("GGO",)),
        Label(2, "consolidation", (CodedConcept("95436008", "SCT", "Lung consolidation"),), priority=1),
        Label(3, "pleural-effusion", (CodedConcept("60046008", "SCT", "Pleural effusion"),)),
    ),
)
NAMES = tuple(label.name for label in SCHEMA.labels)


def a_mask(k: slice, j: slice, i: slice) -> np.ndarray:
    """Give a box as a mask on the grid."""
    mask = np.zeros(GRID.array_shape, dtype=bool)
    mask[k, j, i] = True
    return mask


def a_case(number: int = 1, *, patient: str | None = None, seed: int | None = None, **changes: object) -> Case:
    """Make a case: body of 40 HU with noise in air, ground glass and a consolidation of 27 voxels each."""
    noise = np.random.default_rng(number if seed is None else seed).normal(0, 10, GRID.array_shape)
    image = np.full(GRID.array_shape, -1000.0) + noise
    image[1:9, 3:13, 3:17] += 1040
    ggo, solid = a_mask(slice(2, 5), slice(5, 8), slice(5, 8)), a_mask(slice(4, 7), slice(6, 9), slice(11, 14))
    image[ggo] -= 500
    labels = np.zeros(GRID.array_shape, dtype=np.uint8)
    labels[ggo], labels[solid] = 1, 2
    series = SeriesRef(f"2.25.{number}", f"2.25.{number}.1")
    acquisition = Acquisition(
        modality="CT", manufacturer="Maker", kernel=("Br40f", "3"), slice_thickness_mm=3.0, description="Thorax"
    )
    channel = Channel("CT", Volume(image.astype(np.float32), GRID, "HU"), series, acquisition, ("2.25.9.1", "2.25.9.2"))
    source = InstanceRef(series.study_uid, f"2.25.{number}.2", f"2.25.{number}.2.1")
    masks = (
        SegmentMask(Segment(1, "GGO", type=SCHEMA.labels[0].codes[0]), ggo),
        SegmentMask(Segment(2, "Kons", type=SCHEMA.labels[1].codes[0]), solid),
    )
    finding = Finding(source, CodedConcept("118565006", "SCT", "Volume"), "0.18", "ml", reader="R1")
    values: dict[str, object] = {
        "ref": CaseRef(f"case-{number:03d}"),
        "patient": patient or f"P{number:03d}",
        "channels": (channel,),
        "label_map": LabelMap(labels, GRID, NAMES[:2]),
        "annotations": (Annotation(source, "seg", series, GRID, masks, (), "R1"),),
        "findings": (finding,),
        "relative_day": 0,
        "sources": (source,),
        "steps": ({"step": "reorient", "to": "RAS"},),
    }
    return Case(**{**values, **changes})  # type: ignore[arg-type]


def facts(**changes: object) -> ManifestFacts:
    """Give the facts of the test dataset."""
    values: dict[str, object] = {
        "name": "thorax",
        "site": "north",
        "recipe": {"orientation": "RAS"},
        "recipe_sha256": "0" * 64,
        "schema": SCHEMA,
        "channels": ("CT",),
        "annotated_labels": NAMES[:2],
    }
    return ManifestFacts(**{**values, **changes})  # type: ignore[arg-type]


def a_dataset(root: Path, cases: Sequence[Case] | None = None, outcomes: Sequence[Outcome] = ()) -> Manifest:
    """Write a whole dataset: three cases of three patients unless told otherwise."""
    cases = [a_case(number) for number in (1, 2, 3)] if cases is None else cases
    begin_dataset(root)
    written = [write_case(case, root, schema=SCHEMA) for case in cases]
    records, splits = place_cases(root, written, site="north", key=KEY, test_fraction=0.25)
    return write_manifest(root, facts(splits=splits), records, outcomes)
