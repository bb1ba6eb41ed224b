"""Numbers and units of a report, as far as they can be read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from racoon_data.annotations.codes import concept_of, items, modern
from racoon_data.annotations.content import Item
from racoon_data.dicom.headers import number_of, text_of
from racoon_data.labels import CodedConcept

_NO_UNIT = frozenset({"", "N/A"})


@dataclass(frozen=True, slots=True)
class Measured:
    """What a NUM item measured.

    Attributes:
        value: The number as written, with a point for a comma; other values where it has none.
        unit: UCUM code; what stands there under another scheme.
        foreign_unit: Unit and scheme that are not UCUM, empty where it is.
        qualifier: Why there is no number, such as "Not a number".
        complaints: What is wrong with it.
    """

    value: str = ""
    unit: str = ""
    foreign_unit: str = ""
    qualifier: CodedConcept | None = None
    complaints: tuple[str, ...] = ()


def measured_in(item: Item) -> Measured:
    """Read the value of a NUM item."""
    qualifier = concept_of(item, "NumericValueQualifierCodeSequence")
    qualifier = modern(qualifier) if qualifier else None
    all_values = list(items(item, "MeasuredValueSequence"))
    measured = all_values[0] if all_values else None
    written = _written(measured) if measured is not None else ""
    value = written.replace(",", ".")
    complaints = ["measured several values at once; the first was read"] if len(all_values) > 1 else []
    if not value and qualifier is None:
        complaints.append("measurement without a value, kept with an empty one")
    elif value and not _is_number(value):
        complaints.append("measurement whose value is no number, kept as written")
        value = written
    elif value != written:
        complaints.append("measurement with a decimal comma, read as a point")
    unit, foreign = _unit(measured)
    return Measured(value, unit, foreign, qualifier, tuple(complaints))


def _written(measured: Item) -> str:
    """Give the number; where NumericValue is absent the floating point or rational one stands in."""
    text = text_of(measured, "NumericValue").split("\\")[0] or text_of(measured, "FloatingPointValue")
    if text:
        return text
    above, below = (number_of(measured, f"Rational{part}Value") for part in ("Numerator", "Denominator"))
    return f"{above / below:.15g}" if above is not None and below else ""


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _unit(measured: Item | None) -> tuple[str, str]:
    unit = concept_of(measured, "MeasurementUnitsCodeSequence")
    if unit is None:
        return "", ""
    spelled = unit.meaning if unit.value.upper() in _NO_UNIT else unit.value
    foreign = "" if unit.scheme == "UCUM" else f"{spelled} of scheme {unit.scheme or '(none)'} instead of UCUM"
    return spelled, foreign
