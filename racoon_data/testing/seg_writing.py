"""A SEG writer of frames and bytes: every way a tool may write one, right or wrong, independent of highdicom."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from racoon_data.dicom.frame_codecs import DEFLATED_FRAME, ENCAPSULATED_UNCOMPRESSED
from racoon_data.labels import CodedConcept
from racoon_data.refs import InstanceRef
from racoon_data.testing.headers import SOP_CLASSES, add_patient_and_study, file_meta
from racoon_data.testing.saving import save
from racoon_data.testing.segmentations import ABNORMAL, LESION
from racoon_data.testing.series_plan import MadeSeries
from racoon_data.testing.uids import made_uid

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
_ENCODERS = {JPEG2000Lossless: "pylibjpeg", JPEGLSLossless: "pyjpegls"}


@dataclass(frozen=True, slots=True, eq=False)
class SegFrame:
    """One frame to be written.

    Attributes:
        segment: Segment it shows, 0 in a label map.
        k: Slice of the series it lies on.
        stored: Stored values ``[row, column]``.
    """

    segment: int
    k: int
    stored: npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class SegFile:
    """How a file of frames is written.

    Attributes:
        kind: SegmentationType.
        bits: BitsAllocated: 1, 8 or 16.
        syntax: Transfer syntax UID.
        fraction: SegmentationFractionalType.
        names: Segment label by segment number.
        change: Changes the finished data set, to make it what some tool writes.
    """

    kind: str = "BINARY"
    bits: int = 1
    syntax: str = ExplicitVRLittleEndian
    fraction: str = "PROBABILITY"
    names: tuple[str, ...] = ("a", "b")
    change: Callable[[Dataset], None] | None = None


def write_seg(path: Path, series: MadeSeries, frames: Sequence[SegFrame], how: SegFile) -> InstanceRef:
    """Write frames as a SEG on a series, in the order given."""
    dataset = _header(series, path.stem, frames, how)
    dataset.SegmentSequence = [_segment(number, name) for number, name in enumerate(how.names, start=1)]
    dataset.SharedFunctionalGroupsSequence = [_shared(series)]
    dataset.PerFrameFunctionalGroupsSequence = [_per_frame(series, frame) for frame in frames]
    dataset.file_meta = file_meta(dataset)
    _add_pixels(dataset, frames, how)
    if how.change is not None:
        how.change(dataset)
    save(dataset, path)
    if how.syntax == DEFLATED_FRAME:
        path.write_bytes(path.read_bytes().replace(JPEG2000Lossless.encode(), DEFLATED_FRAME.encode() + b"\0", 1))
    return InstanceRef(series.ref.study_uid, dataset.SeriesInstanceUID, dataset.SOPInstanceUID)


def _header(series: MadeSeries, name: str, frames: Sequence[SegFrame], how: SegFile) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = LABEL_MAP if how.kind == "LABELMAP" else SEGMENTATION
    dataset.SeriesInstanceUID = made_uid(series.ref.series_uid, "written", name)
    dataset.SOPInstanceUID = made_uid(dataset.SeriesInstanceUID, "instance")
    add_patient_and_study(dataset, series.plan)
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "SEG", 120, 1
    dataset.Manufacturer, dataset.ManufacturerModelName = "RACOON Phantoms", "Frame writer"
    dataset.DeviceSerialNumber, dataset.SoftwareVersions = "1", "1.0"
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.ContentDate, dataset.ContentTime = "20200318", "090000"
    dataset.ContentLabel, dataset.ContentDescription, dataset.ContentCreatorName = "SEG", "", "Leser^Lena"
    dataset.SegmentationType = how.kind
    if how.kind == "FRACTIONAL":
        dataset.SegmentationFractionalType, dataset.MaximumFractionalValue = how.fraction, 200
    dataset.NumberOfFrames = len(frames)
    dataset.Rows, dataset.Columns = frames[0].stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = how.bits
    dataset.HighBit = how.bits - 1
    dataset.LossyImageCompression = "00"
    dataset.ReferencedSeriesSequence = [_referenced(series)]
    return dataset


def _referenced(series: MadeSeries) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = series.ref.series_uid
    item.ReferencedInstanceSequence = [_image(series, sop_uid) for sop_uid in series.sop_uids]
    return item


def _image(series: MadeSeries, sop_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = SOP_CLASSES[series.plan.modality], sop_uid
    return item


def _code(concept: CodedConcept) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = concept.value, concept.scheme, concept.meaning
    return item


def _segment(number: int, name: str) -> Dataset:
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel, item.SegmentAlgorithmType = number, name, "MANUAL"
    item.SegmentedPropertyCategoryCodeSequence = [_code(ABNORMAL)]
    item.SegmentedPropertyTypeCodeSequence = [_code(LESION)]
    return item


def _shared(series: MadeSeries) -> Dataset:
    between_rows, between_columns, between_slices = series.plan.spacing_mm
    measures = Dataset()
    measures.PixelSpacing = [between_rows, between_columns]
    measures.SliceThickness = measures.SpacingBetweenSlices = between_slices
    orientation = Dataset()
    orientation.ImageOrientationPatient = [round(float(value), 10) for value in series.plan.cosines]
    shared = Dataset()
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    return shared


def _per_frame(series: MadeSeries, frame: SegFrame) -> Dataset:
    item, position = Dataset(), Dataset()
    position.ImagePositionPatient = [round(value, 6) for value in series.geometry.position_lps((0, 0, frame.k))]
    item.PlanePositionSequence = [position]
    derivation = Dataset()
    by_slice = dict(zip(series.kept, series.sop_uids, strict=True))
    if frame.k in by_slice:
        derivation.SourceImageSequence = [_image(series, by_slice[frame.k])]
        item.DerivationImageSequence = [derivation]
    if frame.segment:
        identity = Dataset()
        identity.ReferencedSegmentNumber = frame.segment
        item.SegmentIdentificationSequence = [identity]
    return item


def _add_pixels(dataset: Dataset, frames: Sequence[SegFrame], how: SegFile) -> None:
    syntax = UID(how.syntax)
    if how.bits > 1 and syntax in _ENCODERS:
        dataset.PixelData = b"".join(native_bytes(frame.stored, how.bits) for frame in frames)
        uids = dataset.SOPInstanceUID
        dataset.compress(syntax, encoding_plugin=_ENCODERS[syntax])
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uids
        return
    # pydicom writes only the syntaxes it knows; this one has the same length and takes its place until saved
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless if syntax == DEFLATED_FRAME else syntax
    coders: dict[str, Callable[[bytes], bytes]] = {
        RLELossless: rle_bits,
        DEFLATED_FRAME: deflated,
        ENCAPSULATED_UNCOMPRESSED: bytes,
    }
    if how.syntax in coders:
        coded = [coders[how.syntax](native_bytes(frame.stored, how.bits)) for frame in frames]
        dataset.PixelData = encapsulate(coded)
        dataset["PixelData"].VR = "OB"
        return
    stored = [frame.stored for frame in frames]
    is_big = syntax == ExplicitVRBigEndian
    data = packed(stored) if how.bits == 1 else b"".join(native_bytes(one, how.bits, is_big=is_big) for one in stored)
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if how.bits == 16 else "OB"


def packed(frames: Sequence[npt.NDArray[Any]]) -> bytes:
    """Pack frames of bits without a gap, as native pixels are stored."""
    return np.packbits(np.concatenate([frame.ravel() != 0 for frame in frames]), bitorder="little").tobytes()


def native_bytes(stored: npt.NDArray[Any], bits: int, *, is_big: bool = False) -> bytes:
    """Give the bytes of one frame as uncompressed pixels."""
    if bits == 1:
        return packed([stored])
    return stored.astype(np.uint8 if bits == 8 else ">u2" if is_big else "<u2").tobytes()


def deflated(raw: bytes) -> bytes:
    """Deflate one frame without a zlib header."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(raw) + packer.flush()


def rle_bits(raw: bytes) -> bytes:
    """Run-length code one frame's bytes as a single segment, with a header."""
    out, place = bytearray(), 0
    while place < len(raw):
        run = 1
        while run < 128 and raw[place : place + run + 1] == raw[place : place + 1] * (run + 1):
            run += 1
        out += bytes((257 - run, raw[place])) if run > 1 else bytes((0, raw[place]))
        place += run
    return struct.pack("<II", 1, 64).ljust(64, b"\0") + bytes(out) + b"\0" * (len(out) % 2)
