"""Who looked for which label where: site x label x reader, with absent kept apart from not annotated."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from racoon_data.events import Event, OnEvent, ignore
from racoon_data.files.case_sidecar import CodePart, ReaderPart, SegmentPart, load_sidecar
from racoon_data.files.manifest import CaseRecord, Manifest, load_manifest
from racoon_data.harmonize.label_mapping import match_segment
from racoon_data.labels import CodedConcept, LabelSchema, Segment

PRESENT, ABSENT, NOT_ANNOTATED = "present", "absent", "not_annotated"
EVERYBODY = ""


@dataclass(frozen=True, slots=True, order=True)
class Cover:
    """One cell of the matrix: one label at one site, by one reader.

    Attributes:
        site: Alias of the site.
        reader: Pseudonymous annotator; empty for the fused labels of the dataset.
        label: The label.
        present: Cases in which it was outlined.
        absent: Cases in which it was looked for and not there.
        not_annotated: Cases in which nobody looked: whether it is there is not known.
    """

    site: str
    reader: str
    label: str
    present: int = 0
    absent: int = 0
    not_annotated: int = 0

    def to_json(self) -> dict[str, object]:
        """Give the cell as a JSON document."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Coverage:
    """The matrix of one or more datasets.

    Attributes:
        labels: Every label of every dataset, in the order first met.
        cells: Cells sorted by site, reader and label; a label that a site's schema lacks has no cell there.
    """

    labels: tuple[str, ...]
    cells: tuple[Cover, ...]

    def matrix(self) -> list[tuple[str, str, dict[str, Cover]]]:
        """Give site, reader and the cells by label, a row each."""
        rows: dict[tuple[str, str], dict[str, Cover]] = defaultdict(dict)
        for cell in self.cells:
            rows[cell.site, cell.reader][cell.label] = cell
        return [(site, reader, cells) for (site, reader), cells in sorted(rows.items())]


def coverage_of(roots: Sequence[Path], *, on_event: OnEvent = ignore) -> Coverage:
    """Count over datasets where each label was found, looked for or not looked for.

    Args:
        roots: Dataset folders; datasets of one site are counted together.
        on_event: Listener.

    Raises:
        DamagedDatasetError: One is no finished dataset, or a sidecar cannot be read.
    """
    counts: dict[tuple[str, str, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
    labels: dict[str, None] = {}
    for root in roots:
        manifest = load_manifest(root)
        labels |= {label.name: None for label in manifest.label_schema.labels}
        for done, case in enumerate(manifest.cases, start=1):
            for reader, label, state in _states(root, manifest, case):
                counts[manifest.site, reader, label][state] += 1
            on_event(Event("coverage", case.case_id, done, len(manifest.cases)))
    cells = (
        Cover(site, reader, label, own[PRESENT], own[ABSENT], own[NOT_ANNOTATED])
        for (site, reader, label), own in counts.items()
    )
    return Coverage(tuple(labels), tuple(sorted(cells)))


def _states(root: Path, manifest: Manifest, case: CaseRecord) -> Iterable[tuple[str, str, str]]:
    """Give reader, label and state, for the fused labels and for every reader of the case."""
    schema = manifest.label_schema.to_schema()
    names = [label.name for label in schema.labels]
    seen = {name for name, volume in case.label_ml.items() if volume > 0}
    yield from ((EVERYBODY, name, _state(name, seen, case.annotated)) for name in names)
    sidecar = load_sidecar(root / case.sidecar)
    looked_for = sidecar.label.annotated_by_reader if sidecar.label else {}
    for reader, own in _outlined(sidecar.readers, schema).items():
        yield from ((reader, name, _state(name, own, looked_for.get(reader, case.annotated))) for name in names)


def _state(name: str, seen: set[str], looked_for: Iterable[str]) -> str:
    if name in seen and name in looked_for:
        return PRESENT
    return ABSENT if name in looked_for else NOT_ANNOTATED


def _outlined(readers: Iterable[ReaderPart], schema: LabelSchema) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for part in readers:
        matches = (match_segment(segment_of(one), schema).label for one in part.segments)
        found[part.reader or "unnamed"] |= {label.name for label in matches if label is not None}
    return found


def segment_of(part: SegmentPart) -> Segment:
    """Turn a sidecar's segment back into its noun."""
    return Segment(
        part.number,
        part.name,
        category=_concept(part.category),
        type=_concept(part.type),
        type_modifier=_concept(part.type_modifier),
        region=_concept(part.region),
        region_modifier=_concept(part.region_modifier),
        algorithm=part.algorithm,
        tracking_uid=part.tracking_uid,
    )


def _concept(code: CodePart | None) -> CodedConcept | None:
    return CodedConcept(code.code_value, code.coding_scheme_designator, code.code_meaning) if code else None
