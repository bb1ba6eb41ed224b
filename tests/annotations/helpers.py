"""Shared by the annotation tests: series as values, readers on made files, and shapes with known truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from racoon_data.annotations.rtstruct import RtstructReader
from racoon_data.annotations.seg import SegReader
from racoon_data.cases import Acquisition
from racoon_data.dicom.series import AnnotationFile, Series, SliceHeader
from racoon_data.refs import InstanceRef
from racoon_data.testing.makers import MadeSeries

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
SR = "1.2.840.10008.5.1.4.1.1.88.34"


def series_of(made: MadeSeries, *, patient: str = "P1") -> Series:
    """Describe a made series as sorting would."""
    origin = made.geometry.position_lps((0, 0, 0))
    headers = tuple(
        SliceHeader(path, sop_uid, made.plan.rows, made.plan.columns, origin, (1, 0, 0), (0, 1, 0), (1, 1))
        for path, sop_uid in zip(made.paths, made.sop_uids, strict=True)
    )
    frame = made.geometry.frame_of_reference
    return Series(made.ref, patient, "20200317", frame, headers, Acquisition(made.plan.modality))


def a_file(uid: str, *, modality: str = "SEG", **facts) -> AnnotationFile:
    """Describe an annotation file as sorting would; nothing is on disk."""
    classes = {"SEG": SEG, "RTSTRUCT": RTSTRUCT, "SR": SR}
    facts = {"patient": "P1", **facts}
    return AnnotationFile(
        Path(f"{uid}.dcm"), InstanceRef("1.1", f"1.2.{uid}", uid), classes[modality], modality, **facts
    )


def read_with(reader, path: Path, made: MadeSeries, **changes):
    """Read an annotation file onto a made series."""
    facts = {"geometry": made.geometry, "sop_uids": made.sop_uids, "image": made.ref, **changes}
    return reader.read(path, source=InstanceRef("1.1", "1.2", "1.3"), **facts)


def read_seg(path: Path, made: MadeSeries, **changes):
    """Read a SEG onto a made series."""
    return read_with(SegReader(), path, made, **changes)


def read_rtstruct(path: Path, made: MadeSeries, **changes):
    """Read an RTSTRUCT onto a made series."""
    return read_with(RtstructReader(), path, made, **changes)


def box(shape, *, k=slice(None), j=slice(None), i=slice(None)):
    """A mask ``[k, j, i]`` that is true in a box."""
    mask = np.zeros(shape, dtype=bool)
    mask[k, j, i] = True
    return mask


def masks_of(annotation) -> dict:
    """Masks by segment name."""
    return {one.segment.name: one.mask for one in annotation.masks}
