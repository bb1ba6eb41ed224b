"""Which contrast phase a series shows, from what its headers say in words or in times."""

from __future__ import annotations

import re

from racoon_data.cases import Acquisition

NATIVE, ARTERIAL, VENOUS, DELAYED = PHASES = ("native", "arterial", "venous", "delayed")

# Words of series descriptions in German and English; a description that fits two phases says nothing.
_WORDS = {
    NATIVE: re.compile(
        r"\bnativ|non[- ]?contrast|unenhanced|\bohne[ _]?km\b|\bw/?o\b|pre[- ]?contrast|\bplain\b", re.I
    ),
    ARTERIAL: re.compile(r"\barteri|\bart\b|\bcta\b|angio", re.I),
    VENOUS: re.compile(r"ven(ö|oe)s|venous|\bven\b|\bpv\b|portal", re.I),
    DELAYED: re.compile(r"delay|\blate\b|sp(ä|ae)t|excret|ausscheid|equilib|urogra", re.I),
}
# Seconds from the start of the injection: phases of the abdomen (ACR Manual on Contrast Media; Bae 2010,
# doi 10.1148/radiol.10090908).
_ARTERIAL_S, _VENOUS_S = 45.0, 120.0


def phase_of(made: Acquisition) -> tuple[str, str]:
    """Name the contrast phase of a series and what it was read from.

    Words come first, then the time from ``ContrastBolusStartTime`` to ``AcquisitionTime``, then that no agent is named.

    Returns:
        One of ``PHASES`` and the attribute that told; both empty where nothing tells.
    """
    said = [phase for phase, words in _WORDS.items() if words.search(made.description)]
    if len(said) == 1:
        return said[0], "SeriesDescription"
    delay = made.contrast_delay_s
    if delay is not None and 0 <= delay < 3600:
        phase = ARTERIAL if delay < _ARTERIAL_S else VENOUS if delay < _VENOUS_S else DELAYED
        return phase, "ContrastBolusStartTime"
    if not said and not made.contrast_agent.strip():
        return NATIVE, "ContrastBolusAgent"
    return "", ""
