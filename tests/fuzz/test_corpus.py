"""What fuzzing found once never comes back, and a short run finds nothing new."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.run import CORPUS, HANG_S, _on_alarm, verdict
from tests.fuzz.targets import TARGETS

_KEPT = sorted(path for path in CORPUS.iterdir() if path.suffix != ".md")


def _inner(tmp_path: Path) -> Path:
    (tmp_path / "outer" / "inner").mkdir(parents=True)
    return tmp_path / "outer" / "inner"


@pytest.mark.parametrize("kept", _KEPT, ids=lambda path: path.name)
def test_a_kept_input_stays_harmless(tmp_path: Path, kept: Path):
    """An input that was a fault is answered now."""
    _, fault = verdict(TARGETS[kept.name.split("-")[0]], kept.read_bytes(), _inner(tmp_path))

    assert fault == ""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_a_few_inputs_do_no_harm(tmp_path: Path, name: str):
    """The good inputs and some mutations of them: our own errors or an answer, in time."""
    target, chance = TARGETS[name], random.Random(name)
    (tmp_path / "seeds").mkdir()
    pool, inner = target.seeds(tmp_path / "seeds"), _inner(tmp_path)
    before = signal.signal(signal.SIGALRM, _on_alarm)
    faults = []
    for number in range(len(pool) + 40):
        data = pool[number] if number < len(pool) else mutated(chance.choice(pool), chance.choice(pool), chance)
        signal.alarm(4 * HANG_S)
        _, fault = verdict(target, data, inner)
        signal.alarm(0)
        faults += [fault] if fault else []
    signal.signal(signal.SIGALRM, before)

    assert faults == []
