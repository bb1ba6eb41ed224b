"""Many items, many outcomes: whatever happens to one, the others end."""

from __future__ import annotations

import os

from racoon_data.errors import NotDicomError
from racoon_data.outcomes import Status
from racoon_data.refs import FileRef
from racoon_data.runner.run import run_items


def _work(number: int) -> int:
    if number == 2:
        raise NotDicomError("no DICOM object")
    if number == 3:
        os._exit(9)
    return number * number


def _items(*numbers: int) -> list[tuple[FileRef, int]]:
    return [(FileRef(str(number)), number) for number in numbers]


def test_a_worker_that_dies_fails_its_item_alone():
    """A decoder may crash a process: that item fails with a sentence, the others are done, in order."""
    results = list(run_items("sort", _items(1, 2, 3, 4, 5), _work, workers=2))

    assert [result.value for result in results] == [1, None, None, 16, 25]
    assert [result.outcome.status for result in results[1:3]] == [Status.SKIPPED, Status.FAILED]
    assert "worker" in results[2].outcome.message
