"""The cards of the gallery: one case with its pictures, facts and findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from racoon_data.cases import QcIssue, Severity
from racoon_data.events import OnEvent
from racoon_data.files.case_sidecar import CaseSidecar, load_sidecar
from racoon_data.files.manifest import CaseRecord, Manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.geometry import Point
from racoon_data.qc.thumbnails import Thumbnail, hex_of, thumbnails
from racoon_data.refs import CaseRef
from racoon_data.runner.run import run_items
from racoon_data.volumes import Volume


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """One label's volume on a card: name, colour and words such as ``12.3 ml`` or ``absent``."""

    name: str
    colour: str
    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """What the gallery shows of a case.

    Attributes:
        record: Its entry of the manifest.
        thumbnails: Its pictures; none where it could not be drawn.
        trouble: Why it could not be drawn.
        issues: Its findings.
        volumes: Its labels.
        scanner: Manufacturer and model.
        kernel: Reconstruction kernel.
        spacing_mm: Spacing along i, j, k.
        facts: Acquisition and grid in a few words.
    """

    record: CaseRecord
    thumbnails: tuple[Thumbnail, ...]
    trouble: str
    issues: tuple[QcIssue, ...]
    volumes: tuple[VolumeRow, ...]
    scanner: str
    kernel: str
    spacing_mm: Point
    facts: str

    @property
    def fails(self) -> int:
        """Number of failures."""
        return sum(issue.severity is Severity.FAIL for issue in self.issues)

    @property
    def warns(self) -> int:
        """Number of warnings."""
        return len(self.issues) - self.fails

    @property
    def told(self) -> str:
        """The labels in words, for those who do not see the picture."""
        return ", ".join(f"{row.name} {row.text}" for row in self.volumes) or "no label"

    @property
    def words(self) -> str:
        """Everything the text filter searches."""
        own = (self.record.case_id, self.record.patient, self.record.split, self.facts, self.told)
        return " ".join((*own, *(f"{issue.code} {issue.message}" for issue in self.issues)))

    @property
    def kinds(self) -> str:
        """The kinds the second filter chooses by, separated by spaces."""
        kinds: list[str] = [self.record.split]
        kinds += ["finding"] if self.issues else []
        kinds += ["fail"] if self.fails else []
        kinds += ["unlabelled"] if self.record.label is None else []
        return " ".join(kinds)


@dataclass(frozen=True, slots=True)
class _Job:
    root: Path
    image: str
    label: str | None
    unit: str
    names: tuple[tuple[int, str], ...]


def cards_of(
    root: Path, manifest: Manifest, issues: Sequence[QcIssue], *, workers: int, on_event: OnEvent
) -> tuple[Card, ...]:
    """Draw every case and lay out its card; a case that cannot be drawn says why.

    Raises:
        DamagedDatasetError: A sidecar is missing or damaged.
    """
    names = tuple((label.value, label.name) for label in manifest.label_schema.labels)
    sidecars = [load_sidecar(root / record.sidecar) for record in manifest.cases]
    jobs = [
        (CaseRef(record.case_id), _Job(root, record.images[0], record.label, sidecar.channels[0].unit, names))
        for record, sidecar in zip(manifest.cases, sidecars, strict=True)
    ]
    by_case: dict[str, list[QcIssue]] = defaultdict(list)
    for issue in issues:
        by_case[issue.case.case_id].append(issue)
    results = run_items("draw", jobs, _draw, workers=workers, on_event=on_event)
    return tuple(
        _card(record, sidecar, names, result.value or (), result.outcome.message, by_case[record.case_id])
        for record, sidecar, result in zip(manifest.cases, sidecars, results, strict=True)
    )


def _draw(job: _Job) -> tuple[Thumbnail, ...]:
    array, geometry = read_nifti(job.root / job.image)
    labels = read_nifti(job.root / job.label)[0] if job.label else None
    return thumbnails(Volume(array, geometry, job.unit), labels, names=dict(job.names))


def _card(
    record: CaseRecord,
    sidecar: CaseSidecar,
    names: Sequence[tuple[int, str]],
    pictures: tuple[Thumbnail, ...],
    trouble: str,
    issues: Sequence[QcIssue],
) -> Card:
    made = sidecar.channels[0].acquisition
    kernel = " ".join(made.convolution_kernel)
    scanner = f"{made.manufacturer} {made.manufacturers_model_name}".strip()
    spacing = " × ".join(f"{value:.3g}" for value in sidecar.geometry.spacing_mm)
    size = " × ".join(map(str, sidecar.geometry.size))
    facts = (made.modality, scanner, kernel, f"{size} voxels of {spacing} mm", sidecar.geometry.orientation)
    return Card(
        record=record,
        thumbnails=pictures,
        trouble=trouble,
        issues=tuple(issues),
        volumes=_volume_rows(record, names),
        scanner=scanner,
        kernel=kernel,
        spacing_mm=sidecar.geometry.spacing_mm,
        facts=" · ".join(fact for fact in facts if fact),
    )


def _volume_rows(record: CaseRecord, names: Sequence[tuple[int, str]]) -> tuple[VolumeRow, ...]:
    if record.label is None:
        return ()
    return tuple(VolumeRow(name, hex_of(value), _volume_words(record.label_ml.get(name))) for value, name in names)


def _volume_words(volume_ml: float | None) -> str:
    if volume_ml is None:
        return "not annotated"
    if volume_ml == 0:
        return "absent"
    digits = 0 if volume_ml >= 100 else 1 if volume_ml >= 10 else 2 if volume_ml >= 0.1 else 3
    return f"{volume_ml:.{digits}f} ml"
