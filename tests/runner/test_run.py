"""Many items to many outcomes: in order, each on its own, the same with workers."""

import os
import time
from multiprocessing import active_children
from threading import Event, Thread

import pytest

from racoon_data.errors import DiskFullError, NotDicomError, UnreadableError
from racoon_data.outcomes import Status
from racoon_data.refs import FileRef
from racoon_data.runner.run import run_items

ITEMS = [(FileRef(str(number)), number) for number in range(6)]


def work(number):
    """Double a number; some fail, each in its own way."""
    if number == 1:
        raise UnreadableError("unreadable", hint="mend it")
    if number == 2:
        raise NotDicomError("no DICOM")
    if number == 3:
        raise ZeroDivisionError("a value of the patient")
    return 2 * number


def fill_the_disk(number):
    """Run out of space at the third item."""
    if number == 2:
        raise DiskFullError("full")
    return number


def wait_for_the_last(number):
    """Take long for the last item."""
    time.sleep(2.0 if number == ITEMS[-1][1] else 0.0)
    return time.time()


@pytest.mark.parametrize("workers", [1, 2])
def test_each_item_has_its_end_in_order(workers):
    """Errors become outcomes with their code, a skip stays a skip, our own bug is named without its text."""
    events = []

    results = list(run_items("double", ITEMS, work, workers=workers, on_event=events.append))

    assert [result.value for result in results] == [0, None, None, None, 8, 10]
    assert [result.outcome.status for result in results[1:4]] == [Status.FAILED, Status.SKIPPED, Status.FAILED]
    assert [result.outcome.code for result in results[1:4]] == ["dicom.unreadable", "dicom.not_dicom", "racoon.error"]
    assert "patient" not in results[3].outcome.message
    assert [result.outcome.ref for result in results] == [ref for ref, _ in ITEMS]
    assert [event.done for event in events] == [1, 2, 3, 4, 5, 6]


def die(number):
    """Take the process down at the second item, as the kernel does when memory is short."""
    if number == 1:
        os._exit(9)
    return number


@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_fails_its_item_alone():
    """A process that dies again and again over one item costs that item and no other."""
    results = list(run_items("die", ITEMS, die, workers=2))

    assert [result.value for result in results] == [0, None, 2, 3, 4, 5]
    assert results[1].outcome.code == "worker.killed"


def _kill_the_first(ended):
    """Kill the first worker there is, as soon as it is there."""
    until = time.monotonic() + 20
    while not ended.is_set() and time.monotonic() < until:
        for process in active_children():
            process.kill()
            return
        time.sleep(0.0005)


@pytest.mark.timeout(60)
def test_a_worker_killed_while_the_others_start_stops_nobody():
    """Whoever dies at that moment, every item is done; a process that was being started is not waited for for ever."""
    for _ in range(8):
        ended = Event()
        killer = Thread(target=_kill_the_first, args=(ended,))
        killer.start()
        results = list(run_items("double", ITEMS, work, workers=2))
        ended.set()
        killer.join()
        assert [result.value for result in results] == [0, None, None, None, 8, 10]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_ends_the_batch(workers):
    """Going on would lose every further item; what was finished before has been handed over."""
    finished = []

    with pytest.raises(DiskFullError):  # noqa: PT012  what came before the error counts
        for result in run_items("fill", ITEMS, fill_the_disk, workers=workers):
            finished.append(result.value)  # noqa: PERF401  extend would lose what came before the error

    assert finished == [0, 1]


def test_results_of_workers_come_as_they_are_ready():
    """A finished item is handed over while others still run, so that a kill loses only what was under way."""
    arrived = [(result.value, time.time()) for result in run_items("wait", ITEMS, wait_for_the_last, workers=2)]

    first, last = arrived[0], arrived[-1]
    assert first[1] < last[0]
