"""Hard cases of geometry and splitting: a maker each, with the voxels that have to come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from racoon_data.geometry import Geometry, as_affine
from racoon_data.testing.hard_cases import HardCase
from racoon_data.testing.makers import a_series, write_series
from racoon_data.testing.series_plan import MadeSeries, SeriesPlan
from racoon_data.testing.uids import made_uid
from racoon_data.volumes import Volume

Change = Callable[[Dataset, int], object]
Make = Callable[[Path], tuple[Volume, ...]]
_SERIES, _FRAME = "1.2.826.0.1.3680043.8.498.4", "1.2.826.0.1.3680043.8.498.5"


def _changed(made: MadeSeries, change: Change, salt: str = "") -> MadeSeries:
    """Change every slice; ``salt`` gives new instance UIDs, so that several makers can share one series UID."""
    for k, path in enumerate(made.paths):
        one = pydicom.dcmread(path)
        if salt:
            one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = made_uid(salt, k)
            one.InstanceNumber = int(one.InstanceNumber) + 100 * (hash_of(salt) % 90)
        change(one, k)
        one.save_as(path)
    return made


def hash_of(text: str) -> int:
    """A number that a text always gives."""
    return sum(map(ord, text))


def _several(folder: Path, changes: Sequence[Change], modality: str = "MR") -> tuple[Volume, ...]:
    """Several volumes under one series UID, each changed in its own way."""
    truth = []
    for number, change in enumerate(changes):
        values = np.random.default_rng(number).integers(0, 3000, (5, 32, 40))
        place = folder / str(number)
        made = a_series(place, slices=5, series_uid=_SERIES, value_of=values, modality=modality)
        truth.append(_changed(made, change, salt=f"{number}").truth)
    return tuple(truth)


def _moved(folder: Path, positions: Sequence[tuple[float, float, float]], affine: object = None) -> tuple[Volume, ...]:
    """One series whose slices are put at positions; its truth where one grid holds them."""
    made = a_series(folder, slices=len(positions))
    _changed(made, lambda one, k: setattr(one, "ImagePositionPatient", list(positions[k])))
    if affine is None:
        return ()
    geometry = Geometry(made.geometry.shape, as_affine(affine), made.geometry.frame_of_reference)  # type: ignore[arg-type]
    return (Volume(made.truth.array, geometry, made.truth.unit),)


def _tilted(shift_mm: float) -> Make:
    def make(folder: Path) -> tuple[Volume, ...]:
        affine = np.array([[0.7, 0, 0, -20], [0, 0.8, shift_mm, -15], [0, 0, 2.5, 100], [0, 0, 0, 1]])
        return _moved(folder, [(-20, -15 + shift_mm * k, 100 + 2.5 * k) for k in range(6)], affine)

    return make


def _oriented(orientation: str, position: str = "HFS") -> Make:
    def make(folder: Path) -> tuple[Volume, ...]:
        return (a_series(folder, slices=5, orientation=orientation, position=position).truth,)

    return make


def _turned(cosines: tuple[float, float, float, float, float, float], position: str) -> Make:
    return lambda folder: (a_series(folder, slices=5, orientation=cosines, position=position).truth,)


def _jittered(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=6, orientation="oblique")
    _changed(made, lambda one, k: one.ImageOrientationPatient.__setitem__(0, 0.9925461516 + k * 1e-7))
    return (made.truth,)


def _without_frame(folder: Path) -> tuple[Volume, ...]:
    made = _changed(a_series(folder, slices=5), lambda one, _: one.__delattr__("FrameOfReferenceUID"))
    geometry = Geometry(made.geometry.shape, made.geometry.affine_lps)
    return (Volume(made.truth.array, geometry, made.truth.unit),)


def _gap(folder: Path) -> tuple[Volume, ...]:
    a_series(folder, slices=7, missing=[3])
    return ()


def _repeated(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=5)
    one = pydicom.dcmread(made.paths[2])
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = made_uid("again")
    one.PixelData = bytes(len(one.PixelData))
    one.save_as(folder / "again.dcm")
    return ()


def _again(folder: Path) -> tuple[Volume, ...]:
    made = a_series(folder, slices=5)
    one = pydicom.dcmread(made.paths[2])
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = made_uid("again")
    one.InstanceNumber = 99
    one.save_as(folder / "again.dcm")
    return (made.truth,)


def _planes(folder: Path) -> tuple[Volume, ...]:
    made = [
        a_series(folder / plane, slices=3, orientation=plane, series_uid=_SERIES, seed="planes")
        for plane in ("axial", "coronal", "sagittal")
    ]
    return tuple(_changed(one, lambda *_: None, salt=f"plane {n}").truth for n, one in enumerate(made))


def _localizer(folder: Path) -> tuple[Volume, ...]:
    stack = a_series(folder / "a", slices=4, series_uid=_SERIES)
    kind = ("ORIGINAL", "PRIMARY", "LOCALIZER")
    scout = a_series(folder / "b", slices=1, series_uid=_SERIES, image_type=kind, rows=24, columns=30)
    return (stack.truth, _changed(scout, lambda *_: None, salt="scout").truth)


def _interleaved(folder: Path) -> tuple[Volume, ...]:
    plan = SeriesPlan(slices=4, series_uid=_SERIES, modality="MR", spacing_mm=(0.8, 0.7, 10.0))
    places = (("a", 100.0), ("b", 103.0))
    stacks = [write_series(folder / name, replace(plan, origin_lps=(-20.0, -15.0, z))) for name, z in places]
    numbered = zip(stacks, (1, 2), strict=True)
    return tuple(_changed(one, _with("AcquisitionNumber", n), salt=f"stack {n}").truth for one, n in numbered)


def _with(keyword: str, value: object) -> Change:
    return lambda one, _: setattr(one, keyword, value)


def _by(keyword: str, *values: object, modality: str = "MR") -> Make:
    return lambda folder: _several(folder, [_with(keyword, value) for value in values], modality)


def _cine(folder: Path) -> tuple[Volume, ...]:
    """Cardiac phases whose trigger times differ from slice to slice too."""
    return _several(folder, [_triggered(40 * n) for n in range(4)])


def _triggered(start: int) -> Change:
    return lambda one, k: setattr(one, "TriggerTime", start + 3 * k)


def _uneven(folder: Path) -> tuple[Volume, ...]:
    return _moved(folder, [(-20, -15, 100 + z) for z in (0, 2.5, 5, 8.5, 11)])


_PRONE = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
_DECUBITUS = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0)
_FEET_FIRST = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

CASES: tuple[HardCase, ...] = (
    HardCase("oblique", "geometry", _oriented("oblique")),
    HardCase("coronal", "geometry", _oriented("coronal")),
    HardCase("sagittal", "geometry", _oriented("sagittal")),
    HardCase("feet first", "geometry", _turned(_FEET_FIRST, "FFS")),
    HardCase("prone", "geometry", _turned(_PRONE, "HFP")),
    HardCase("decubitus", "geometry", _turned(_DECUBITUS, "HFDL")),
    HardCase("orientation jitter of 1e-7", "geometry", _jittered),
    HardCase("no frame of reference", "geometry", _without_frame),
    HardCase("single slice", "geometry", lambda folder: (a_series(folder, slices=1, orientation="oblique").truth,)),
    HardCase("gantry tilt, positive", "geometry", _tilted(0.9)),
    HardCase("gantry tilt, negative", "geometry", _tilted(-0.9)),
    HardCase("missing slice", "geometry", _gap, "dicom.missing_slices"),
    HardCase("uneven spacing", "geometry", _uneven, "dicom.uneven_spacing"),
    HardCase("another slice in the same place", "geometry", _repeated, "dicom.inconsistent_series"),
    HardCase("the same slice twice under two UIDs", "geometry", _again),
    HardCase("localizer in the series", "splits", _localizer),
    HardCase("three planes in one series", "splits", _planes),
    HardCase("interleaved stacks", "splits", _interleaved),
    HardCase("echoes", "splits", _by("EchoNumbers", 1, 2)),
    HardCase("b-values", "splits", _by("DiffusionBValue", 0.0, 800.0, 1600.0)),
    HardCase("time points", "splits", _by("TemporalPositionIdentifier", 1, 2, 3)),
    HardCase("cardiac phases", "splits", _cine),
    HardCase("magnitude and phase", "splits", _by("ComplexImageComponent", "MAGNITUDE", "PHASE")),
    HardCase("acquisitions in the same places", "splits", _by("AcquisitionNumber", 1, 2)),
    HardCase("two kernels", "splits", _by("ConvolutionKernel", "B31f", "B70f", modality="CT")),
    HardCase("repeated places, nothing says why", "splits", _by("ProtocolName", "a", "b")),
)
