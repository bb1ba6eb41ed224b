"""PET values to SUV (body weight), or a refusal that names what is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

import pydicom

from racoon_data.convert.tracer import missing, moment_of, scan_start, tracer_of
from racoon_data.dicom.headers import number_of, read_dataset, text_of, texts_of
from racoon_data.dicom.quirks import quirk_number
from racoon_data.dicom.series import Series, SliceHeader
from racoon_data.errors import about

_LEAST_KG, _MOST_KG = 0.3, 500.0
Facts = dict[str, object]


@dataclass(frozen=True, slots=True)
class Suv:
    """How rescaled values of a series become SUV.

    Attributes:
        factors: What the values of each slice are multiplied by.
        facts: What the formula used, without weight and dose: with the factor they would tell each other.
    """

    factors: tuple[float, ...]
    facts: Facts


def suv_of(series: Series) -> Suv:
    """Work out how the values of a PET series become SUV, body weight.

    ``SUV = value * weight_g / (dose_Bq * 2^(-elapsed / half-life))`` for Bq/ml, where elapsed runs from injection
    to the moment the values are corrected to: the start of the scan (START), the injection itself (ADMIN:
    no second decay), or each slice's own acquisition (NONE: with the decay during the frame). GML values are SUV
    already. Counts and PROPCPS need the factors Philips writes.

    Args:
        series: A PET series.

    Raises:
        SuvError: An attribute is missing or implausible; the message names it.
        DicomError: A file cannot be read.
    """
    with about(series.ref):
        dataset = read_dataset(series.slices[0].path)
        if text_of(dataset, "Modality") != "PT":
            raise missing("Modality", "is not PT")
        count = len(series.slices)
        units = text_of(dataset, "Units") or "BQML"
        if units == "GML":
            return _already(dataset, count)
        if units in ("CNTS", "PROPCPS"):
            if factor := quirk_number(dataset, "philips SUV factor"):
                return Suv((factor,) * count, {"Units": units, "Formula": "Philips SUV factor"})
            concentration = quirk_number(dataset, "philips activity factor")
            if not concentration:
                raise missing("Philips (7053,xx00) SUV factor and (7053,xx09) activity factor", f"are missing: {units}")
            return _corrected(series, dataset, units, concentration)
        if units != "BQML":
            raise missing("Units", f"is {units}, not BQML, GML, CNTS or PROPCPS")
        return _corrected(series, dataset, units, 1.0)


def _already(dataset: pydicom.Dataset, count: int) -> Suv:
    kind = text_of(dataset, "SUVType")
    if kind not in ("", "BW"):
        raise missing("SUVType", f"is {kind}, not BW")
    return Suv((1.0,) * count, {"Units": "GML", "Formula": "values are SUV already"})


def _corrected(series: Series, dataset: pydicom.Dataset, units: str, concentration: float) -> Suv:
    weight_kg = number_of(dataset, "PatientWeight")
    if not weight_kg:
        raise missing("PatientWeight")
    if not _LEAST_KG <= weight_kg <= _MOST_KG:
        raise missing("PatientWeight", "is no plausible weight in kg")
    corrections = texts_of(dataset, "CorrectedImage")
    if corrections and "ATTN" not in corrections:
        raise missing("CorrectedImage", "names no attenuation correction")
    tracer, decay = tracer_of(dataset), _decay_correction(dataset)
    reference, elapsed_s = decay, [0.0] * len(series.slices)
    lost = [1.0] * len(series.slices)
    if decay == "START":
        start, reference = scan_start(dataset, _first_acquired(series))
        elapsed_s = [tracer.elapsed_s(start)] * len(series.slices)
    elif decay == "NONE":
        elapsed_s = [tracer.elapsed_s(_acquired(header)) for header in series.slices]
        lost = [_lost_in_frame(header, tracer.half_life_s) for header in series.slices]
        reference = "AcquisitionTime of each slice"
    whole = concentration * weight_kg * 1000.0 / tracer.dose_bq
    factors = tuple(whole * 2.0 ** (s / tracer.half_life_s) * more for s, more in zip(elapsed_s, lost, strict=True))
    facts: Facts = {
        "Units": units,
        "Formula": "value * weight / (dose * 2^(-elapsed / half-life))",
        "DecayCorrection": decay,
        "ReferenceTime": reference,
        "ElapsedTime": round(elapsed_s[0], 3),
        "RadionuclideHalfLife": tracer.half_life_s,
    }
    return Suv(factors, facts)


def _decay_correction(dataset: pydicom.Dataset) -> str:
    decay = text_of(dataset, "DecayCorrection")
    if not decay and text_of(dataset, "DecayCorrected") == "YES":
        return "START"
    if decay not in ("START", "ADMIN", "NONE"):
        raise missing("DecayCorrection", f"is {decay}" if decay else "is missing")
    return decay


def _first_acquired(series: Series) -> datetime | None:
    known = [moment for header in series.slices if (moment := _moment(header)) is not None]
    return min(known, default=None)


def _moment(header: SliceHeader) -> datetime | None:
    facts = header.facts
    if facts is None:
        dataset = read_dataset(header.path, tags=["AcquisitionDate", "AcquisitionTime"])
        return moment_of(text_of(dataset, "AcquisitionDate") + text_of(dataset, "AcquisitionTime"))
    return moment_of(facts.text("AcquisitionDate") + facts.text("AcquisitionTime"))


def _acquired(header: SliceHeader) -> datetime:
    moment = _moment(header)
    if moment is None:
        raise missing("AcquisitionDate or AcquisitionTime")
    return moment


def _lost_in_frame(header: SliceHeader, half_life_s: float) -> float:
    """Give the factor from the mean activity of a frame to that at its beginning."""
    dataset = read_dataset(header.path, tags=["ActualFrameDuration"])
    duration_ms = number_of(dataset, "ActualFrameDuration")
    if not duration_ms:
        raise missing("ActualFrameDuration")
    decays = math.log(2.0) * duration_ms / 1000.0 / half_life_s
    return decays / -math.expm1(-decays)


def with_suv(series: Series, suv: Suv) -> Series:
    """Give the series whose slices are read as SUV."""
    pairs = zip(series.slices, suv.factors, strict=True)
    return replace(series, slices=tuple(replace(header, suv_factor=factor) for header, factor in pairs))
