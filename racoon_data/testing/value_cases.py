"""Hard cases of values and encoding, each with analytic truth."""

from __future__ import annotations

from racoon_data.testing.hard_cases import HardCase

CASES: tuple[HardCase, ...] = ()
