"""What stands in the sidecar of a volume: BIDS names where they exist, DICOM keywords elsewhere."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from racoon_data.convert.joining import as_one, joined_by
from racoon_data.dicom.series import Series

Facts = dict[str, object]

# BIDS name: DICOM keyword, factor to BIDS units (seconds for milliseconds).
_NUMBERS = {
    "EchoTime": ("EchoTime", 1e-3),
    "RepetitionTime": ("RepetitionTime", 1e-3),
    "InversionTime": ("InversionTime", 1e-3),
    "FlipAngle": ("FlipAngle", 1.0),
    "MagneticFieldStrength": ("MagneticFieldStrength", 1.0),
    "PixelBandwidth": ("PixelBandwidth", 1.0),
}
_TEXTS = {
    "ProtocolName": "ProtocolName",
    "SequenceName": "SequenceName",
    "ScanningSequence": "ScanningSequence",
    "MRAcquisitionType": "MRAcquisitionType",
    "InPlanePhaseEncodingDirectionDICOM": "InPlanePhaseEncodingDirection",
}


def volume_name(series: Series) -> str:
    """Name a volume: modality, description, and a short hash of series and part, which keeps names apart."""
    words = re.sub(r"[^A-Za-z0-9]+", "-", series.acquisition.description).strip("-")[:40]
    key = "\n".join((series.ref.study_uid, series.ref.series_uid, series.part))
    short = hashlib.sha256(key.encode()).hexdigest()[:10]
    modality = re.sub(r"[^A-Za-z0-9]+", "", series.acquisition.modality)
    return "_".join(part for part in (modality, words, short) if part)


def sidecar_facts(stacks: Sequence[Series]) -> Facts:
    """Describe a volume, or the volumes of a 4D file; what is not known is left out."""
    series = as_one(tuple(stacks))
    made = series.acquisition
    facts: Facts = {
        "Modality": made.modality,
        "Manufacturer": made.manufacturer,
        "ManufacturersModelName": made.model,
        "SeriesDescription": made.description,
        "BodyPart": made.body_part,
        "ImageType": list(made.image_type),
        "ConvolutionKernel": list(made.kernel),
        "SliceThickness": made.slice_thickness_mm,
        "KVP": made.kvp,
        "ContrastBolusAgent": made.contrast_agent,
        "PatientPosition": made.patient_position,
        "StudyInstanceUID": series.ref.study_uid,
        "SeriesInstanceUID": series.ref.series_uid,
        "FrameOfReferenceUID": series.frame_of_reference,
        "Part": series.part,
        "Splits": [list(pair) for pair in series.splits],
        "VolumesDifferIn": list(joined_by(tuple(stacks))),
        **_acquired(series),
        "SliceTiming": slice_timing(stacks),
    }
    known = {key: value for key, value in facts.items() if value not in ("", [], None)}
    frames = [header.frame + 1 for header in series.slices if header.frame is not None]
    numbers = {"FrameNumbers": frames} if frames else {}
    return {**known, "SOPInstanceUIDs": list(series.sop_uids), **numbers}


def _acquired(series: Series) -> Facts:
    source = series.slices[0].facts
    if source is None or series.acquisition.modality != "MR":
        return {}
    found: Facts = {}
    for name, (keyword, factor) in _NUMBERS.items():
        number = source.number(keyword)
        if number is not None and abs(number) < 1e9:
            found[name] = float(f"{number * factor:.9g}")
    return {**found, **{name: source.text(keyword) for name, keyword in _TEXTS.items()}}


def slice_timing(stacks: Sequence[Series]) -> list[float]:
    """Seconds from the beginning of a 4D volume to each of its slices, in order of k; nothing where not stated.

    Acquisition times of the slices of one volume count where they differ and stay within RepetitionTime.
    """
    first = stacks[0]
    times = [_seconds(header.facts.text("AcquisitionTime")) if header.facts else None for header in first.slices]
    known = [time for time in times if time is not None]
    is_whole = len(stacks) > 1 and len(known) == len(times) and first.acquisition.modality == "MR"
    if not is_whole or len(set(known)) < 2:
        return []
    facts = first.slices[0].facts
    repetition_ms = facts.number("RepetitionTime") if facts is not None else None
    since = [round(time - min(known), 6) for time in known]
    return since if repetition_ms and max(since) <= repetition_ms / 1000 else []


def _seconds(time: str) -> float | None:
    """Seconds since midnight of a DICOM time (TM), ``None`` where it is none."""
    if not re.fullmatch(r"\d{6}(\.\d{1,6})?", time):
        return None
    try:
        whole = datetime.strptime(time[:6], "%H%M%S")
    except ValueError:
        return None
    return whole.hour * 3600 + whole.minute * 60 + whole.second + float(f"0{time[6:]}")


def step_s(stacks: Sequence[Series]) -> float:
    """Seconds between the volumes of a 4D file, 0 where unknown: from their times, else RepetitionTime."""
    if len(stacks) < 2:
        return 0.0
    times = [_seconds(one.slices[0].facts.text("AcquisitionTime")) if one.slices[0].facts else None for one in stacks]
    known = [time for time in times if time is not None]
    steps = {round(after - before, 3) for before, after in pairwise(known)}
    if len(known) == len(stacks) and len(steps) == 1 and min(steps) > 0:
        return steps.pop()
    facts = stacks[0].slices[0].facts
    repetition = facts.number("RepetitionTime") if facts is not None and len(steps) <= 1 else None
    return (repetition or 0.0) / 1000
