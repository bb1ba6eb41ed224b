"""Kindness to a peer: slots that processes share, weekly windows, a pace, and knocks that come later each time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from racoon_data.errors import PacsBusyError, PacsPausedError
from racoon_data.pacs import kindness
from racoon_data.pacs.kindness import Pace, admitted, backoff_s, knocked
from racoon_data.pacs.peer import Manners, PacsNode
from racoon_data.pacs.retrieve import retrieve
from racoon_data.pacs.windows import is_open, seconds_until_open
from racoon_data.site.ledger import Verdict
from racoon_data.site.paths import create_site

ROOT = Path(__file__).parents[2]
NODE = PacsNode("kind", "127.0.0.1", 104, "PACS", manners=Manners(max_associations=1))
HOLDER = """
import sys, time
from racoon_data.pacs.kindness import admitted
from racoon_data.pacs.peer import Manners, PacsNode
with admitted(PacsNode("other name", "127.0.0.1", 104, "PACS", manners=Manners(max_associations=1))):
    print("held", flush=True)
    time.sleep(float(sys.argv[1]))
"""


def holder(seconds: float) -> subprocess.Popen[str]:
    """Another process that holds the only slot for a while."""
    command = [sys.executable, "-c", HOLDER, str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_two_processes_share_one_slot():
    """While another process holds the slot we wait, say so, and get it when that process ends."""
    events = []
    with holder(0.6) as process:
        started = time.monotonic()
        with admitted(NODE, on_event=events.append):
            waited_s = time.monotonic() - started
        process.wait(timeout=10)

    assert waited_s > 0.2
    assert [event.kind for event in events] == ["wait"]


def test_the_slot_of_a_killed_process_is_free():
    """A process that dies leaves nothing locked."""
    with holder(60.0) as process:
        process.kill()
        process.wait(timeout=10)
        started = time.monotonic()
        with admitted(NODE):
            assert time.monotonic() - started < 2


def test_threads_never_exceed_the_limit():
    """Eight threads over two slots: at no moment do three work."""
    node = replace(NODE, manners=Manners(max_associations=2))
    inside: list[int] = []
    most: list[int] = []

    def work() -> None:
        with admitted(node):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.03)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    assert len(most) == 8
    assert max(most) == 2


def test_utilisation_is_paid_by_the_next_holder():
    """At 50 percent a connection that worked 0.3 s is followed by a rest of about as long."""
    node = replace(NODE, manners=Manners(max_associations=1, utilisation_percent=50))
    with admitted(node):
        time.sleep(0.3)
    started = time.monotonic()
    with admitted(node):
        rested_s = time.monotonic() - started

    assert 0.2 < rested_s < 1.5


def test_a_transfer_rests_between_instances():
    """At 25 percent one part of work is followed by three of rest."""
    pace = Pace(replace(NODE, manners=Manners(utilisation_percent=25)))
    time.sleep(0.1)
    started = time.monotonic()
    pace.step()

    assert time.monotonic() - started >= 0.25


def test_a_closed_window_stops_between_instances(monkeypatch):
    """After the instance during which the window closed, the pace says stop."""
    monkeypatch.setattr(kindness, "is_open", lambda windows, now: False)

    with pytest.raises(PacsPausedError):
        Pace(NODE).step()


@pytest.mark.parametrize(
    ("windows", "now", "opens_in_s"),
    [
        ((), "2026-11-25 12:00", 0),
        (("Mon-Fri 18:00-07:00",), "2026-11-25 17:59", 60),
        (("Mon-Fri 18:00-07:00",), "2026-11-25 18:00", 0),
        (("Mon-Fri 18:00-07:00",), "2026-11-28 06:59", 0),
        (("Mon-Fri 18:00-07:00",), "2026-11-28 07:00", (2 * 24 + 11) * 3600),
        (("Sat-Sun 00:00-24:00",), "2026-11-29 23:59", 0),
        (("Sat-Mon 00:00-24:00",), "2026-11-30 10:00", 0),
        (("22:00-06:00",), "2026-11-25 05:59", 0),
        (("22:00-06:00",), "2026-11-25 06:00", 16 * 3600),
    ],
)
def test_weekly_windows(windows, now, opens_in_s):
    """Hours over midnight, whole days and weeks that wrap around open and close to the minute."""
    moment = datetime.fromisoformat(now)

    assert seconds_until_open(windows, moment) == opens_in_s
    assert is_open(windows, moment) is (opens_in_s == 0)


def test_a_busy_peer_is_knocked_at_later_each_time():
    """Only a transient rejection is retried; the waits double within their jitter."""
    knocks: list[float] = []

    def knock() -> str:
        knocks.append(time.monotonic())
        if len(knocks) < 3:
            raise PacsBusyError("busy")
        return "open"

    node = replace(NODE, manners=Manners(retries=3, backoff_s=0.1))

    assert knocked(node, knock) == "open"
    assert knocks[1] - knocks[0] >= 0.05
    assert knocks[2] - knocks[1] >= 0.1
    assert all(0.1 <= backoff_s(node.manners, 2) <= 0.2 for _ in range(20))


def test_a_peer_that_stays_busy_is_an_error():
    """After the last knock the rejection is told."""
    knocks: list[int] = []

    def knock() -> None:
        knocks.append(1)
        raise PacsBusyError("busy")

    with pytest.raises(PacsBusyError):
        knocked(replace(NODE, manners=Manners(retries=2, backoff_s=0.01)), knock)
    assert len(knocks) == 3


def test_a_window_that_closes_pauses_a_pull_between_instances(pacs, archive, spool, ledger, monkeypatch):
    """The window closes after three instances: the association ends, and the same call goes on when it opens."""
    moments: list[bool] = []

    def open_but_for_the_fourth(windows, now):
        moments.append(True)
        return len(moments) != 3

    monkeypatch.setattr(kindness, "is_open", open_but_for_the_fourth)
    events = []

    (verdict,) = retrieve(pacs.node(), [archive.study], spool=spool, ledger=ledger, on_event=events.append)

    assert verdict.verdict is Verdict.COMPLETE
    assert [event.kind for event in events].count("receive") == 10
    assert {row.attempts for row in ledger.instances(archive.study.study_uid)} == {1}
    assert len(moments) == 10


def test_two_pulls_together_keep_to_one_association(pacs, archive, tmp_path):
    """Two processes pull from a node with one slot: the PACS never sees two associations at once, both complete."""
    text = f'[site]\nname = "x"\n[nodes.pacs]\nport = {pacs.port}\nmax_associations = 1\n'
    for name in ("a", "b"):
        create_site(tmp_path / name, text)
    command = [sys.executable, "-m", "racoon_data", "pacs", "pull", "pacs", "--json", "--site"]
    pulls = [subprocess.Popen([*command, tmp_path / name], stdout=subprocess.PIPE, cwd=ROOT) for name in ("a", "b")]
    most = 0
    while any(process.poll() is None for process in pulls):
        most = max(most, sum(one.is_established for one in pacs._entity.active_associations))
        time.sleep(0.001)
    verdicts = [row["verdict"] for process in pulls for row in json.loads(process.communicate()[0])]

    assert verdicts == ["complete"] * 4
    assert most == 1
