"""Times and dose of a PET tracer, from wherever a header keeps them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pydicom

from racoon_data.dicom.headers import number_of, text_of, value_of
from racoon_data.dicom.quirks import quirk_value
from racoon_data.errors import SuvError

_DAY = timedelta(days=1)
_LEAST_DOSE_BQ, _MOST_DOSE_BQ = 1e5, 1e11
_MOST_HALF_LIVES = 12.0
_HINT = "write PET without --suv, or ask for the missing attribute"


@dataclass(frozen=True, slots=True)
class Tracer:
    """What was injected.

    Attributes:
        dose_bq: RadionuclideTotalDose.
        half_life_s: RadionuclideHalfLife.
        injected: When, by the scanner's clock; the day is a guess where ``is_time_only``.
        is_time_only: The header gives a time of day alone.
    """

    dose_bq: float
    half_life_s: float
    injected: datetime
    is_time_only: bool

    def elapsed_s(self, moment: datetime) -> float:
        """Give the seconds from injection to a moment; a time of day alone is the last one before it.

        Raises:
            SuvError: The moment lies before the injection, or many half-lives after it.
        """
        injected = self.injected
        if self.is_time_only:
            injected = datetime.combine(moment.date(), injected.time())
            injected -= _DAY if injected > moment else timedelta()
        elapsed = (moment - injected).total_seconds()
        if not 0 <= elapsed <= _MOST_HALF_LIVES * self.half_life_s:
            raise missing("RadiopharmaceuticalStartDateTime", "does not fit the time of the scan")
        return elapsed


def missing(keyword: str, what: str = "is missing") -> SuvError:
    """Make the refusal that names an attribute."""
    return SuvError(f"SUV cannot be computed: {keyword} {what}", hint=_HINT)


def tracer_of(dataset: pydicom.Dataset) -> Tracer:
    """Read what was injected: from the sequence, else from the top level where some writers put it.

    Raises:
        SuvError: An attribute is missing or implausible; the message names it.
    """
    items = value_of(dataset, "RadiopharmaceuticalInformationSequence") or ()
    sources = (*items[:1], dataset)
    dose = _first_number(sources, "RadionuclideTotalDose")
    half_life = _first_number(sources, "RadionuclideHalfLife")
    if not _LEAST_DOSE_BQ <= dose <= _MOST_DOSE_BQ:
        raise missing("RadionuclideTotalDose", "is no plausible activity in Bq")
    for source in sources:
        if moment := moment_of(text_of(source, "RadiopharmaceuticalStartDateTime")):
            return Tracer(dose, half_life, moment, is_time_only=False)
    for source in sources:
        if moment := moment_of("20000101" + text_of(source, "RadiopharmaceuticalStartTime")):
            return Tracer(dose, half_life, moment, is_time_only=True)
    raise missing("RadiopharmaceuticalStartDateTime and RadiopharmaceuticalStartTime", "are missing")


def _first_number(sources: tuple[pydicom.Dataset, ...], keyword: str) -> float:
    for source in sources:
        if (number := number_of(source, keyword)) is not None and number > 0:
            return number
    raise missing(keyword)


def moment_of(text: str) -> datetime | None:
    """Parse a date with a time (``YYYYMMDDHHMMSS.FFFFFF``; an offset is passed over), ``None`` where it is none."""
    plain = text.split("+")[0].split("-")[0].replace(":", "")
    whole, _, part = plain.partition(".")
    if len(whole) < 12:
        return None
    try:
        moment = datetime.strptime(whole[:14].ljust(14, "0"), "%Y%m%d%H%M%S")
        return moment + timedelta(microseconds=int(part[:6].ljust(6, "0")) if part else 0)
    except ValueError:
        return None


def scan_start(dataset: pydicom.Dataset, first_acquired: datetime | None) -> tuple[datetime, str]:
    """Say to which moment a decay correction to the start of the scan refers (QIBA's vendor-neutral rule).

    SeriesTime where it is no later than the first acquisition: AcquisitionTime differs from bed to bed on
    Siemens scanners, and is wrong there. A later SeriesTime means that the series was processed after the scan:
    then GE's private scan time counts.

    Returns:
        The moment, and the attribute that gave it.

    Raises:
        SuvError: Neither is there.
    """
    if moment := moment_of(text_of(dataset, "DecayCorrectionDateTime")):
        return moment, "DecayCorrectionDateTime"
    series = moment_of(text_of(dataset, "SeriesDate") + text_of(dataset, "SeriesTime"))
    if series and (first_acquired is None or series <= first_acquired):
        return series, "SeriesTime"
    private = moment_of(str(quirk_value(dataset, "GE PET scan time") or ""))
    if private:
        return private, "GE private scan time"
    raise missing("SeriesTime", "is missing or later than the acquisition, so the start of the scan is not known")
