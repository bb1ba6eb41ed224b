"""One proposed case to files on disk: read, stack, map, harmonize, check, write."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from racoon_data.annotations.linking import Link
from racoon_data.annotations.read import read_annotation
from racoon_data.cases import Case, Channel, QcIssue, Severity
from racoon_data.convert.suv import suv_of, with_suv
from racoon_data.dataset.writer import write_case
from racoon_data.dicom.series import Series, SeriesKey
from racoon_data.dicom.stacking import stack_stored
from racoon_data.errors import DanglingReferenceError, GridMismatchError, IncompleteLabelsError, QualityError, about
from racoon_data.files.manifest import CaseRecord
from racoon_data.files.sidecar import software
from racoon_data.geometry import SAME_GRID_MM, Geometry
from racoon_data.grid.places import place_rows
from racoon_data.harmonize.harmonize import harmonize
from racoon_data.harmonize.label_mapping import Mapped, MapRules, map_annotations
from racoon_data.harmonize.recipe import Recipe, map_rules
from racoon_data.harmonize.steps import map_step, step
from racoon_data.labels import Annotation, LabelSchema
from racoon_data.pipeline.propose import CaseItem
from racoon_data.qc.checks import check_case
from racoon_data.refs import InstanceRef


@dataclass(frozen=True, slots=True)
class Order:
    """What is the same for every case of a dataset.

    Attributes:
        root: Dataset folder to write into.
        recipe: How images and labels are harmonized.
        schema: The label language.
        annotated: Labels this site annotates.
        labels_required: Refuse a case without a usable mask.
        annotated_by: Labels a reader annotates, for readers who look for others than their site.
    """

    root: Path
    recipe: Recipe
    schema: LabelSchema
    annotated: tuple[str, ...]
    labels_required: bool
    annotated_by: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def map_rules(self) -> MapRules:
        """How segments become labels."""
        return map_rules(self.recipe, annotated=self.annotated, annotated_by=dict(self.annotated_by))

    @property
    def sha256(self) -> str:
        """Hash what every case depends on: with another hash all cases are built again."""
        labels = [self.annotated, self.annotated_by, self.labels_required]
        facts = [self.recipe.sha256, asdict(self.schema), labels, software()]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def fingerprint(self, item: CaseItem) -> str:
        """Hash everything the files of a case depend on: its sources, the order and the software."""
        facts = [
            item.ref.case_id,
            sorted(item.sop_uids),
            [(name, series.ref.series_uid, series.part) for name, series in item.channels],
            self.recipe.sha256,
            asdict(self.schema),
            [self.annotated, self.annotated_by, self.labels_required, item.relative_day],
            software(),
        ]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Built:
    """A case on disk and what its checks said."""

    record: CaseRecord
    issues: tuple[QcIssue, ...]

    def to_json(self) -> dict[str, Any]:
        """Give what the ledger remembers of a built case."""
        return {"record": self.record.model_dump(mode="json"), "issues": [issue.to_json() for issue in self.issues]}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Recall a built case."""
        issues = tuple(map(QcIssue.from_json, document["issues"]))
        return cls(CaseRecord.model_validate(document["record"]), issues)


def build_case(item: CaseItem, *, order: Order) -> Built:
    """Build and write one case on the training side; the split is made when all are there.

    Raises:
        RacoonError: The case cannot be built; nothing of it is left in the dataset.
    """
    with about(item.ref):
        case = harmonize(read_case(item, order), order.recipe)
        issues = check_case(case, order.schema)
        failed = [issue for issue in issues if issue.severity is Severity.FAIL]
        if failed:
            raise QualityError(f"{failed[0].code}: {failed[0].message}", hint=failed[0].fix)
        return Built(write_case(case, order.root, schema=order.schema), issues)


def read_case(item: CaseItem, order: Order) -> Case:
    """Stack the channels of a case and read each annotation onto the grid of the channel it lies on.

    Raises:
        GridMismatchError: Masks lie on channels of different grids.
        IncompleteLabelsError: A segment was left out while reading.
    """
    read = [_channel(name, series, order.recipe) for name, series in item.channels]
    channels = tuple(channel for channel, _ in read)
    grids = {series.key: made.volume.geometry for (_, series), made in zip(item.channels, channels, strict=True)}
    annotations = tuple(_read_once(pairs, grids) for pairs in _by_file(item.links).values())
    # a region that a report measured in is no outline of the whole lesion: its rows count, its mask does not
    outlined = tuple(one for one in annotations if one.masks and one.kind != "sr")
    _refuse_half_read(outlined)
    mapped = _labels(outlined, order, _label_grid(outlined, channels))
    mapping = (map_step(order.schema, order.map_rules),) if mapped else ()
    return Case(
        ref=item.ref,
        patient=item.patient,
        channels=channels,
        label_map=mapped.label_map if mapped else None,
        annotations=outlined,
        findings=tuple(finding for one in annotations for finding in one.findings),
        relative_day=item.relative_day,
        sources=tuple(one.source for one in annotations),
        unmapped=mapped.unmapped if mapped else (),
        steps=(*(done for _, steps in read for done in steps), *_notes(annotations), *_places(mapped), *mapping),
    )


def _refuse_half_read(annotations: Sequence[Annotation]) -> None:
    """Refuse a case where a segment was left out while reading: without it a lesion would be background.

    Raises:
        IncompleteLabelsError: It names the annotation and the item.
    """
    for one in annotations:
        for issue in one.issues:
            if issue.is_left_out:
                raise IncompleteLabelsError(f"{one.source}: {issue}", hint="mend or remove the annotation")


def _notes(annotations: Sequence[Annotation]) -> tuple[dict[str, object], ...]:
    """Carry what was repaired or dropped while reading into the sidecar."""
    return tuple(
        step("read", "pydicom", source=one.source.sop_uid, note=note) for one in annotations for note in one.remarks
    )


def _places(mapped: Mapped | None) -> tuple[dict[str, object], ...]:
    """Record where each label was outlined, before anything moves it: quality control compares."""
    if mapped is None:
        return ()
    grid = mapped.label_map.geometry
    spacing_mm = [round(mm, 6) for mm in grid.spacing_mm]
    rows = [{**row, "spacing_mm": spacing_mm} for row in place_rows(mapped.label_map.array, grid)]
    return (step("label_places", labels=rows),) if rows else ()


def _channel(name: str, series: Series, recipe: Recipe) -> tuple[Channel, list[dict[str, object]]]:
    """Stack one channel; what was decided about its values goes into the sidecar."""
    steps: list[dict[str, object]] = []
    uid = series.ref.series_uid
    with about(series.ref):
        if recipe.pet_values == "suv" and series.acquisition.modality == "PT":
            suv = suv_of(series)
            series = with_suv(series, suv)
            steps.append(step("suv", "pydicom", source=uid, **suv.facts))
        stacked = stack_stored(series)
        steps += [step("stack", "pydicom", source=uid, note=note) for note in stacked.decisions]
        return Channel(name, stacked.volume, series.ref, series.acquisition, series.sop_uids), steps


def _by_file(links: Iterable[Link]) -> dict[InstanceRef, list[Link]]:
    files: dict[InstanceRef, list[Link]] = {}
    for pair in links:
        files.setdefault(pair.file.ref, []).append(pair)
    return files


def _read_once(pairs: Sequence[Link], grids: Mapping[SeriesKey, Geometry]) -> Annotation:
    """Read one file on the first channel it was drawn on: over several channels it is still one truth."""
    if (only := pairs[0]).series is None:
        return read_annotation(only, None)
    by_channel = {pair.series.key: pair for pair in pairs if pair.series is not None}
    *earlier, last = (key for key in grids if key in by_channel)
    for key in earlier:
        with suppress(DanglingReferenceError):
            return read_annotation(by_channel[key], grids[key])
    return read_annotation(by_channel[last], grids[last])


def _label_grid(annotations: Sequence[Annotation], channels: Sequence[Channel]) -> Geometry:
    """Give the one grid all masks lie on; the first channel's where there is none."""
    grids = [one.geometry for one in annotations if one.masks and one.geometry is not None]
    grid = grids[0] if grids else channels[0].volume.geometry
    if all(grid.same_grid(other, tol_mm=SAME_GRID_MM) for other in grids):
        return grid
    carriers = {one.image for one in annotations if one.masks}
    names = ", ".join(channel.name for channel in channels if channel.series in carriers)
    raise GridMismatchError(
        f"masks lie on channels of different grids: {names}",
        hint="outline on one series of a study, or make each annotated series a case of its own",
    )


def _labels(annotations: Sequence[Annotation], order: Order, grid: Geometry) -> Mapped | None:
    """Map what was outlined; ``None`` where nothing was and nothing is required.

    Raises:
        NoAnnotationError: Labels are required and nothing was outlined on the chosen series.
    """
    with_masks = tuple(one for one in annotations if one.masks)
    if not with_masks and not order.labels_required:
        return None
    return map_annotations(with_masks, order.schema, geometry=grid, rules=order.map_rules)
