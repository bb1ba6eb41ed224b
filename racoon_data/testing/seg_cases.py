"""Segmentations with analytic truth: every type, encoding and habit a hospital's tools write, and the broken ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from racoon_data.dicom.frame_codecs import DEFLATED_FRAME, ENCAPSULATED_UNCOMPRESSED
from racoon_data.labels import Mask
from racoon_data.testing.seg_writing import SegFile, SegFrame, write_seg
from racoon_data.testing.series_plan import MadeSeries


@dataclass(frozen=True, slots=True, eq=False)
class SegCase:
    """A file and what a right reader makes of it.

    Attributes:
        name: What is special about it.
        path: The file.
        truth: Mask ``[k, j, i]`` by segment name.
        issues: Codes of the issues to be reported, in order.
    """

    name: str
    path: Path
    truth: Mapping[str, Mask]
    issues: tuple[str, ...] = ()


def two_balls(series: MadeSeries) -> dict[str, Mask]:
    """Two balls in voxel space that overlap in the middle of the grid and touch neither end of the stack."""
    shape = series.geometry.array_shape
    k, j, i = np.indices(shape)
    middle = [(size - 1) / 2 for size in shape]
    radius = min(shape) / 2 - 1.2

    def ball(shift: float) -> Mask:
        return np.asarray((k - middle[0]) ** 2 + (j - middle[1]) ** 2 + (i - middle[2] - shift) ** 2 <= radius**2)

    return {"a": ball(-radius / 2), "b": ball(radius / 2)}


def seg_cases(folder: Path, series: MadeSeries) -> Iterator[SegCase]:
    """Write every case on a series of at least five slices.

    Args:
        folder: Where files go.
        series: The image series.
    """
    masks = two_balls(series)
    bits = [
        SegFrame(n, k, mask[k]) for n, mask in enumerate(masks.values(), 1) for k in range(len(mask)) if mask[k].any()
    ]
    for name, (frames, how) in _files(masks, bits).items():
        path = folder / f"{name.replace(' ', '-')}.dcm"
        write_seg(path, series, frames, how)
        yield SegCase(name, path, masks if how.kind != "LABELMAP" or "claims" in name else _apart(masks), _issues(name))


def _apart(masks: Mapping[str, Mask]) -> dict[str, Mask]:
    """What a label map can hold: where both are, ``b`` wins."""
    return {"a": masks["a"] & ~masks["b"], "b": masks["b"]}


def _issues(name: str) -> tuple[str, ...]:
    return ("annotation.conflicting_claims",) if "claims" in name else ()


def _files(masks: Mapping[str, Mask], bits: list[SegFrame]) -> dict[str, tuple[list[SegFrame], SegFile]]:
    plain = SegFile()
    shades = [replace(one, stored=np.where(one.stored, 100 + one.k, 99 - one.k).astype(np.uint8)) for one in bits]
    fraction = SegFile("FRACTIONAL", 8)
    map_file = SegFile("LABELMAP", 8)
    values = masks["b"] * 2 + _apart(masks)["a"]
    label_map = [SegFrame(0, k, plane.astype(np.uint8)) for k, plane in enumerate(values)]
    empty = SegFrame(1, 0, np.zeros_like(bits[0].stored))
    cases = {
        "binary": (bits, plain),
        "frames in no order": (bits[::-2] + bits[-2::-2], plain),
        "a frame of nothing": ([empty, *bits], plain),
        "fractional probability": (shades, fraction),
        "fractional occupancy": (shades, replace(fraction, fraction="OCCUPANCY")),
        "label map": (label_map, map_file),
        "label map of 16 bits": (label_map, replace(map_file, bits=16)),
        "label map with padding": (_padded(label_map), replace(map_file, change=_pad)),
        "label map in colour": (label_map, replace(map_file, change=_colour)),
        "label map with two claims": (
            [SegFrame(0, one.k, one.stored.astype(np.uint8) * one.segment) for one in bits],
            map_file,
        ),
    }
    syntaxes = {
        "implicit": ImplicitVRLittleEndian,
        "big endian": ExplicitVRBigEndian,
        "deflated": DeflatedExplicitVRLittleEndian,
        "deflated frames": DEFLATED_FRAME,
        "encapsulated uncompressed": ENCAPSULATED_UNCOMPRESSED,
        "run-length coded": RLELossless,
    }
    for name, syntax in syntaxes.items():
        cases[f"{name} bits"] = (bits, replace(plain, syntax=syntax))
        cases[f"{name} bytes"] = (shades, replace(fraction, syntax=syntax))
    cases["big endian words"] = (label_map, replace(map_file, bits=16, syntax=ExplicitVRBigEndian))
    cases["big endian bits in words"] = (bits, replace(plain, syntax=ExplicitVRBigEndian, change=_in_words))
    for name, syntax in {"jpeg 2000": JPEG2000Lossless, "jpeg ls": JPEGLSLossless}.items():
        cases[f"{name} bytes"] = (shades, replace(fraction, syntax=syntax))
    habits: dict[str, Callable[[Dataset], None]] = {
        "references named twice": _twice,
        "no dimension index": lambda dataset: None,
        "empty attributes": _emptied,
        "no shared groups": _unshared,
    }
    return cases | {name: (bits, replace(plain, change=change)) for name, change in habits.items()}


def _padded(frames: list[SegFrame]) -> list[SegFrame]:
    """Give background a corner of padding: value 9 in the first column."""
    column = np.arange(frames[0].stored.shape[1]) == 0
    return [replace(one, stored=np.where(column & (one.stored == 0), 9, one.stored).astype(np.uint8)) for one in frames]


def _pad(dataset: Dataset) -> None:
    dataset.PixelPaddingValue = 9


def _colour(dataset: Dataset) -> None:
    dataset.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        setattr(dataset, f"{colour}PaletteColorLookupTableDescriptor", [3, 0, 8])
        setattr(dataset, f"{colour}PaletteColorLookupTableData", b"\x00\x80\xff\x00")


def _in_words(dataset: Dataset) -> None:
    """Big endian words swap every two bytes."""
    dataset.PixelData = np.frombuffer(dataset.PixelData, dtype=np.uint16).byteswap().tobytes()
    dataset["PixelData"].VR = "OW"


def _twice(dataset: Dataset) -> None:
    instances = dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    instances.extend(list(instances))
    dataset.ReferencedSeriesSequence.append(dataset.ReferencedSeriesSequence[0])


def _emptied(dataset: Dataset) -> None:
    dataset.ContentCreatorName = dataset.ContentLabel = None
    dataset.LossyImageCompression = None
    for item in dataset.SegmentSequence:
        item.SegmentAlgorithmType = item.SegmentAlgorithmName = item.TrackingUID = None
        item.AnatomicRegionSequence = []


def _unshared(dataset: Dataset) -> None:
    """Repeat the shared groups in every frame and leave the shared item out."""
    shared = dataset.SharedFunctionalGroupsSequence[0]
    for item in dataset.PerFrameFunctionalGroupsSequence:
        item.update(shared)
    dataset.SharedFunctionalGroupsSequence = []
