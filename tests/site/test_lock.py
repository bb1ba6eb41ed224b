"""Two processes on one site take turns, and the one that waits is told for whom."""

import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from racoon_data.errors import LockedError
from racoon_data.site.lock import holder_of, site_lock

HOLDER = """
import sys, time
from pathlib import Path
from racoon_data.site.lock import site_lock
with site_lock(Path(sys.argv[1]), what="run lung", who="Dr. Who"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path):
    """Another process that holds the lock."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_holder_is_named(tmp_path, other):
    """Person, work, process, host and time stand in the refusal."""
    with pytest.raises(LockedError) as caught, site_lock(tmp_path):
        pass

    said = caught.value.message
    assert "Dr. Who works on this site: run lung" in said
    assert f"process {other.pid} on {socket.gethostname()}, since 20" in said
    assert holder_of(tmp_path).process == other.pid


def test_a_killed_holder_holds_nothing(tmp_path, other):
    """After kill -9 the next process gets its turn although the name still stands in the file."""
    other.kill()
    other.wait(10)

    assert "Dr. Who" in (tmp_path / ".lock").read_text()
    assert holder_of(tmp_path) is None
    with site_lock(tmp_path) as mine:
        assert holder_of(tmp_path) == mine
        assert mine.process == os.getpid()


def test_one_may_wait_for_ones_turn(tmp_path, other):
    """With patience the lock comes when the holder ends."""
    threading.Timer(0.5, other.kill).start()
    began = time.monotonic()

    with site_lock(tmp_path, wait_s=20):
        assert 0.4 < time.monotonic() - began < 20


def test_a_free_lock_names_nobody(tmp_path):
    """After its turn a process leaves no name behind."""
    with site_lock(tmp_path):
        pass

    assert (tmp_path / ".lock").read_text() == ""
    assert holder_of(tmp_path) is None
