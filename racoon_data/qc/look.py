"""One case on disk, every file read once: is it there, unchanged and readable, and what does it hold?"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon_data.cases import QcIssue
from racoon_data.errors import DatasetError
from racoon_data.files.case_sidecar import CaseSidecar, ChannelPart, load_sidecar
from racoon_data.files.manifest import CaseRecord
from racoon_data.files.nifti import parse_nifti
from racoon_data.geometry import Geometry
from racoon_data.labels import LabelSchema
from racoon_data.qc import codes
from racoon_data.qc.checks import check_facts
from racoon_data.qc.facts import CaseFacts, ChannelStated, Stated
from racoon_data.qc.measure import measure
from racoon_data.qc.thumbnails import Thumbnail, thumbnails
from racoon_data.refs import CaseRef
from racoon_data.volumes import Volume


@dataclass(frozen=True, slots=True)
class Task:
    """One case to look at.

    Attributes:
        root: The dataset folder.
        record: Its entry of the manifest.
        channels: Channel names of the dataset.
        schema: The label language.
        ignore_value: Voxel value that means "do not learn from this voxel".
        is_drawn: Make its pictures too.
    """

    root: Path
    record: CaseRecord
    channels: tuple[str, ...]
    schema: LabelSchema
    ignore_value: int | None
    is_drawn: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """One case as it was seen.

    Attributes:
        record: Its entry of the manifest.
        issues: What its own files and voxels show.
        sidecar: Its sidecar, ``None`` where it cannot be read.
        facts: What it states and measures, ``None`` where an image cannot be read.
        thumbnails: Its pictures, if they were asked for.
        trouble: Why there are none.
    """

    record: CaseRecord
    issues: tuple[QcIssue, ...] = ()
    sidecar: CaseSidecar | None = None
    facts: CaseFacts | None = None
    thumbnails: tuple[Thumbnail, ...] = ()
    trouble: str = ""

    @property
    def place(self) -> tuple[str, int | None]:
        """Its side of the split and its fold."""
        return (self.record.split, self.record.fold)


def look(task: Task) -> Seen:
    """Read every file of a case once, measure it, check it and, where asked for, draw it."""
    reader = _Reader(task.root, task.record)
    sidecar = reader.sidecar()
    images = [reader.volume(path) for path in task.record.images]
    label = reader.volume(task.record.label) if task.record.label else None
    for path in set(task.record.sha256) - {*task.record.images, task.record.label, task.record.sidecar}:
        reader.raw(path)
    issues = sorted(reader.issues, key=lambda issue: (issue.code, issue.message))
    whole = [image for image in images if image is not None]
    if len(whole) < len(images):
        trouble = next(issue.message for issue in issues if issue.code != codes.BAD_SIDECAR.code)
        return Seen(task.record, tuple(issues), sidecar, trouble=trouble)
    stated = _stated(task, sidecar)
    volumes = [Volume(array, grid, one.unit) for (array, grid), one in zip(whole, stated.channels, strict=True)]
    facts = CaseFacts(stated, measure(volumes, label))
    return Seen(
        record=task.record,
        issues=(*issues, *check_facts(facts)),
        sidecar=sidecar,
        facts=facts,
        thumbnails=_drawn(volumes[0], label, task.schema) if task.is_drawn else (),
    )


class _Reader:
    """Files of one case, each read at most once; what is wrong with them is noted."""

    def __init__(self, root: Path, record: CaseRecord) -> None:
        self.root, self.record = root, record
        self.issues: list[QcIssue] = []
        self._ref = CaseRef(record.case_id)

    def raw(self, path: str) -> bytes | None:
        """Read a file and compare it with its checksum."""
        try:
            raw = (self.root / path).read_bytes()
        except OSError as error:
            defect = codes.MISSING if isinstance(error, FileNotFoundError) else codes.UNREADABLE
            self.issues.append(defect.of(self._ref, f"{path}: {error.strerror or 'cannot be read'}"))
            return None
        expected = self.record.sha256.get(path)
        if expected and hashlib.sha256(raw).hexdigest() != expected:
            self.issues.append(codes.CHANGED.of(self._ref, f"{path} differs from its checksum"))
        return raw

    def volume(self, path: str) -> tuple[npt.NDArray[Any], Geometry] | None:
        """Read a volume, ``None`` where that is impossible."""
        raw = self.raw(path)
        if raw is None:
            return None
        try:
            return parse_nifti(raw, name=path)
        except DatasetError as error:
            self.issues.append(codes.UNREADABLE.of(self._ref, error.message))
            return None

    def sidecar(self) -> CaseSidecar | None:
        """Read the sidecar, ``None`` where that is impossible."""
        if self.raw(self.record.sidecar) is None:
            return None
        try:
            return load_sidecar(self.root / self.record.sidecar)
        except DatasetError:
            self.issues.append(codes.BAD_SIDECAR.of(self._ref, f"{self.record.sidecar} is no sidecar of a case"))
            return None


def _stated(task: Task, sidecar: CaseSidecar | None) -> Stated:
    record = task.record
    if sidecar is None or len(sidecar.channels) != len(record.images):
        channels = tuple(ChannelStated(name, "1") for name in task.channels[: len(record.images)])
        channels += tuple(ChannelStated(path, "1") for path in record.images[len(channels) :])
    else:
        channels = tuple(map(_channel, sidecar.channels))
    return Stated(
        ref=CaseRef(record.case_id),
        channels=channels,
        schema=task.schema,
        ignore_value=task.ignore_value,
        annotated=record.annotated,
        unmapped=record.unmapped,
        steps=sidecar.steps if sidecar else (),
        is_outlined=any(ml > 0 for ml in record.label_ml.values()),
        geometry=_geometry(sidecar) if sidecar else None,
    )


def _channel(part: ChannelPart) -> ChannelStated:
    made = part.acquisition
    return ChannelStated(
        name=part.name,
        unit=part.unit,
        modality=made.modality,
        scanner=f"{made.manufacturer} {made.manufacturers_model_name}".strip(),
        kernel=" ".join(made.convolution_kernel),
        slice_thickness_mm=made.slice_thickness,
        study_uid=part.study_instance_uid,
        series_uid=part.series_instance_uid,
    )


def _geometry(sidecar: CaseSidecar) -> Geometry:
    grid = sidecar.geometry
    return Geometry(grid.size, grid.affine_lps, grid.frame_of_reference_uid)


def _drawn(
    image: Volume, label: tuple[npt.NDArray[Any], Geometry] | None, schema: LabelSchema
) -> tuple[Thumbnail, ...]:
    names = {one.value: one.name for one in schema.labels}
    is_same = label is not None and label[0].shape == image.array.shape
    return thumbnails(image, label[0].astype(np.uint8, copy=False) if label and is_same else None, names=names)
