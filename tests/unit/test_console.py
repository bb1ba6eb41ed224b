"""What people and machines read: results on stdout, talk on stderr."""

import json
import time

import pytest

from racoon_data import console
from racoon_data.errors import PacsUnreachableError
from racoon_data.events import NOTE, Event


def test_plain_progress_says_little(capsys):
    """Outside a terminal, many short series of the same kind give one line, not one each."""
    with console.progress(every_s=60) as on_event:
        for _ in range(20):
            for done in range(1, 4):
                on_event(Event("receive", "instance 1.2", done, 3))

    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" (")[0] for line in lines] == ["receive: 1/3 instance 1.2", "receive: 3/3 instance 1.2"]


def test_json_progress_is_one_event_a_line(capsys):
    """Machines get events on stderr, as JSON."""
    with console.progress(as_json=True) as on_event:
        on_event(Event("build", "case a", 1, 2))

    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err) == {"type": "progress", "kind": "build", "ref": "case a", "done": 1, "total": 2}


def test_json_progress_is_bounded(capsys):
    """Ten thousand instances are no ten thousand lines: the first and the last are always there."""
    with console.progress(as_json=True, every_s=60) as on_event:
        for done in range(1, 10_001):
            on_event(Event("receive", "instance 1.2", done, 10_000))

    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["done"] for line in lines] == [1, 10_000]
    assert lines[1]["per_s"] > 0


def test_a_note_is_a_sentence(capsys):
    """The address of a dashboard is said once, as text or as JSON."""
    for as_json in (False, True):
        with console.progress(as_json=as_json) as on_event:
            on_event(Event(NOTE, "dashboard: http://127.0.0.1:8787/status"))

    plain, machine = capsys.readouterr().err.splitlines()
    assert plain == "dashboard: http://127.0.0.1:8787/status"
    assert json.loads(machine) == {"type": "note", "text": plain}


def test_progress_that_moves_bytes_tells_its_pace(capsys):
    """Instances and megabytes a second and the time left stand in lines and in JSON; a new study starts anew."""
    with console.progress(as_json=True, every_s=0) as on_event:
        on_event(Event("receive", "instance 1", 1, 4, 500_000))
        time.sleep(0.1)
        on_event(Event("receive", "instance 2", 2, 4, 1_000_000))
        on_event(Event("receive", "instance 9", 1, 7, 500_000))
    with console.progress(every_s=0) as on_event:
        on_event(Event("receive", "instance 1", 1, 4, 500_000))

    *lines, plain = capsys.readouterr().err.splitlines()
    _, second, other = (json.loads(line) for line in lines)
    assert 5 < second["per_s"] <= 20
    assert second["mb_per_s"] == pytest.approx(second["per_s"] / 2, rel=0.1)
    assert second["eta_s"] == pytest.approx(2 / second["per_s"], abs=0.06)
    assert other["per_s"] == 20
    assert "/s " in plain
    assert "MB/s" in plain
    assert "s left" in plain


def test_an_error_is_shown_with_its_code_and_remedy(capsys):
    """The person reads what happened, the code to look up, and what helps."""
    console.failure(PacsUnreachableError("nobody listens", hint="check host and port"))

    err = capsys.readouterr().err
    assert "nobody listens (pacs.unreachable)" in err
    assert "check host and port" in err


def test_a_table_outside_a_terminal_keeps_each_row_on_one_line(capsys):
    """Long UIDs can be copied and searched."""
    uid = "2.25." + "1" * 39
    console.table(("study", "series", "instance", "file"), [(uid, uid, uid, uid)])

    assert f"{uid}  {uid}  {uid}  {uid}" in capsys.readouterr().out
