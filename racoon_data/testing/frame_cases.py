"""Hard cases of multi-frame images, each with its truth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom import uid

from racoon_data.testing import multiframe as kinds
from racoon_data.testing.hard_cases import HardCase
from racoon_data.testing.multiframe import Frame, Shape, write_multiframe
from racoon_data.testing.series_plan import SeriesPlan
from racoon_data.volumes import Volume

_STACK_POSITION, _TEMPORAL, _PRIVATE = 0x00209057, 0x00209128, 0x2005106E
_SLICES = 5
Groups = Callable[[int], dict[str, dict[str, Any]]]


def _plan(modality: str = "CT", **options: Any) -> SeriesPlan:
    return SeriesPlan(slices=_SLICES, modality=modality, **options)


def _frames(stored: npt.NDArray[Any]) -> list[Frame]:
    return [Frame(k, plane) for k, plane in enumerate(stored)]


def _of_kind(name: str, modality: str, sop_class: str) -> HardCase:
    return HardCase(name, "frames", partial(_enhanced, modality=modality, sop_class=sop_class))


def _enhanced(folder: Path, modality: str, sop_class: str, orientation: str = "oblique") -> tuple[Volume, ...]:
    """Frames out of order on an oblique grid."""
    plan = _plan(modality, orientation=orientation)
    frames = _frames(plan.stored())
    write_multiframe(folder / "a.dcm", plan, [frames[k] for k in (2, 0, 4, 1, 3)], Shape(sop_class))
    return (plan.truth_of(plan.stored()),)


def _compressed(folder: Path) -> tuple[Volume, ...]:
    plan = _plan()
    write_multiframe(folder / "a.dcm", plan, _frames(plan.stored()), Shape(kinds.ENHANCED_CT))
    one = pydicom.dcmread(folder / "a.dcm")
    one.compress(uid.JPEG2000Lossless, generate_instance_uid=False)
    one.save_as(folder / "a.dcm")
    return (plan.truth_of(plan.stored()),)


def _own_slopes(folder: Path) -> tuple[Volume, ...]:
    plan = _plan("PT")
    stored, slopes = plan.stored(), 0.5 + 0.25 * np.arange(_SLICES)
    rescaled = [{"RescaleSlope": float(slope), "RescaleIntercept": 0, "RescaleType": "US"} for slope in slopes]
    frames = [Frame(k, stored[k], {"PixelValueTransformationSequence": rescaled[k]}) for k in range(_SLICES)]
    shape = Shape(kinds.ENHANCED_PET, not_shared=("PixelValueTransformationSequence",))
    write_multiframe(folder / "a.dcm", plan, frames, shape)
    return (Volume(stored * slopes[:, None, None], plan.geometry, "1"),)


def _float_map(folder: Path) -> tuple[Volume, ...]:
    plan = _plan("MR")
    values = (plan.stored() / 7).astype(np.float32)
    shape = Shape(kinds.PARAMETRIC_MAP, without=("PixelValueTransformationSequence",))
    write_multiframe(folder / "a.dcm", plan, _frames(values), shape)
    return (Volume(values, plan.geometry, "1"),)


def _repeated(folder: Path, groups: Groups, pointer: int) -> tuple[Volume, ...]:
    """The stack twice over, told apart by functional groups or a dimension index alone."""
    plan = _plan("MR")
    stored = plan.stored()
    frames = [Frame(k, stored[k] + 100 * n, groups(n), (k + 1, n + 1)) for k in range(_SLICES) for n in range(2)]
    write_multiframe(folder / "a.dcm", plan, frames, Shape(kinds.ENHANCED_MR, pointers=(_STACK_POSITION, pointer)))
    return tuple(Volume(stored + 100.0 * n, plan.geometry, "1") for n in range(2))


def _times(n: int) -> dict[str, dict[str, Any]]:
    return {"FrameContentSequence": {"TemporalPositionIndex": n + 1}}


def _echoes(n: int) -> dict[str, dict[str, Any]]:
    return {"MREchoSequence": {"EffectiveEchoTime": 10.0 * (n + 1)}}


def _b_values(n: int) -> dict[str, dict[str, Any]]:
    return {"MRDiffusionSequence": {"DiffusionBValue": 800.0 * n}}


def _slabs(folder: Path) -> tuple[Volume, ...]:
    plan = _plan("MR")
    frames = _frames(plan.stored())
    for number, slab in ((1, frames[:2]), (2, frames[2:])):
        write_multiframe(folder / f"{number}.dcm", plan, slab, Shape(kinds.ENHANCED_MR, number=number))
    return (plan.truth_of(plan.stored()),)


def _files_of_time(folder: Path) -> tuple[Volume, ...]:
    plan = _plan("MR")
    stored = plan.stored()
    for n in range(2):
        shape = Shape(kinds.ENHANCED_MR, number=n + 1)
        write_multiframe(folder / f"{n}.dcm", plan, _frames(stored + np.int16(100 * n)), shape)
    return tuple(Volume(stored + 100.0 * n, plan.geometry, "1") for n in range(2))


def _gap(folder: Path) -> tuple[Volume, ...]:
    plan = _plan()
    frames = _frames(plan.stored())
    write_multiframe(folder / "a.dcm", plan, [frames[k] for k in (0, 1, 3, 4)], Shape(kinds.ENHANCED_CT))
    return ()


def _without(folder: Path, group: str) -> tuple[Volume, ...]:
    plan = _plan()
    write_multiframe(folder / "a.dcm", plan, _frames(plan.stored()), Shape(kinds.ENHANCED_CT, without=(group,)))
    return ()


def _without_measures(folder: Path) -> tuple[Volume, ...]:
    return _without(folder, "PixelMeasuresSequence")


def _fewer_claimed(folder: Path) -> tuple[Volume, ...]:
    return _edited(folder, "NumberOfFrames", 3)


def _tiled(folder: Path) -> tuple[Volume, ...]:
    return _edited(folder, "DimensionOrganizationType", "TILED_FULL")


def _edited(folder: Path, keyword: str, value: object) -> tuple[Volume, ...]:
    plan = _plan()
    one = write_multiframe(folder / "a.dcm", plan, _frames(plan.stored()), Shape(kinds.ENHANCED_CT))
    setattr(one, keyword, value)
    one.save_as(folder / "a.dcm", enforce_file_format=True)
    return ()


CASES: tuple[HardCase, ...] = (
    _of_kind("enhanced CT, frames out of order", "CT", kinds.ENHANCED_CT),
    _of_kind("enhanced MR, frames out of order", "MR", kinds.ENHANCED_MR),
    _of_kind("enhanced PET, frames out of order", "PT", kinds.ENHANCED_PET),
    _of_kind("legacy converted CT", "CT", kinds.LEGACY_CT),
    _of_kind("legacy converted MR", "MR", kinds.LEGACY_MR),
    _of_kind("legacy converted PET", "PT", kinds.LEGACY_PET),
    HardCase("enhanced CT in JPEG 2000", "frames", _compressed),
    HardCase("enhanced PET, a slope for each frame", "frames", _own_slopes),
    HardCase("parametric map of floating point values", "frames", _float_map),
    HardCase("enhanced MR, two time points", "frames", partial(_repeated, groups=_times, pointer=_TEMPORAL)),
    HardCase("enhanced MR, two echoes", "frames", partial(_repeated, groups=_echoes, pointer=0x00189082)),
    HardCase("enhanced MR, two b-values", "frames", partial(_repeated, groups=_b_values, pointer=0x00189087)),
    HardCase("enhanced MR, a private dimension", "frames", partial(_repeated, groups=lambda n: {}, pointer=_PRIVATE)),
    HardCase("enhanced MR, one file a slab", "frames", _slabs),
    HardCase("enhanced MR, one file a time point", "frames", _files_of_time),
    HardCase("enhanced CT with a gap", "frames", _gap, "dicom.missing_slices"),
    HardCase("enhanced CT without pixel measures", "frames", _without_measures, "dicom.no_geometry"),
    HardCase("enhanced CT, fewer frames claimed than described", "frames", _fewer_claimed, "dicom.frame_count"),
    HardCase("tiles of a slide", "frames", _tiled, "dicom.unsupported_object"),
)  # fmt: skip
