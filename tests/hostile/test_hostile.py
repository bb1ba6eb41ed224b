"""Hostile files at every entry point: the process lives, answers with a code, and writes nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hostile import dicom_files, other_files
from tests.hostile.doors import DOORS
from tests.hostile.matrix import Cells, Seen, cells, faults_of, pairs

# Every file and every entry point comes up; ``make hostile`` goes through all pairs and holds them to one second.
_EACH = 7
_FILES = (*dicom_files.STRUCTURES, *dicom_files.CONTENTS, *other_files.ALL)
_CHOSEN = [pair for number, pair in enumerate(pairs()) if number % _EACH == 0]


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cells]:
    """A process that has loaded everything and forks for each pair."""
    with cells(tmp_path_factory.mktemp("hostile")) as made:
        yield made


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("file", "door"), _CHOSEN)
def test_a_hostile_file_does_no_harm(warm: Cells, file: str, door: str):
    """Refused with a code, or kept as bytes; bounded memory, no parser reached, nothing written outside."""
    seen = warm.judge(file, door)

    assert faults_of(file, door, seen, max_cpu_s=10.0) == ()


def test_every_file_and_every_entry_point_has_its_pairs():
    """No hostile file and no entry point is left out of the table."""
    all_pairs = list(pairs())

    assert {file for file, _ in all_pairs} == set(_FILES)
    assert {door for _, door in all_pairs} == set(DOORS)


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (Seen(crash="signal 11"), "did not live"),
        (Seen(codes=("dicom.hostile",), mib=301), "301 MiB"),
        (Seen(codes=("dicom.hostile",), cpu_s=1.1), "1.1 s"),
        (Seen(codes=("dicom.hostile",), outside=("open ../x",)), "wrote outside"),
        (Seen(codes=("dicom.hostile",), touched=("pydicom",)), "reached"),
        (Seen(), "no code"),
        (Seen(codes=("racoon.error",)), "a traceback"),
    ],
)
def test_each_harm_is_named(seen: Seen, fault: str):
    """The judge of this table can fail."""
    found = faults_of("2 million empty items", "convert", seen)

    assert [one for one in found if one.startswith(fault)]


@pytest.mark.parametrize("door", ["deid run", "convert", "annotations list", "annotations read", "pacs serve"])
def test_links_in_a_folder_lead_nowhere(warm: Cells, tmp_path: Path, door: str):
    """A link to a folder outside, to itself and to a device: nothing outside is read as the sender's, no loop."""
    seen = warm.judge_links(door)

    assert seen.crash == ""
    assert seen.outside == ()
    assert "racoon.error" not in seen.codes
    assert "OUTSIDE" not in seen.said
    assert os.path.lexists(tmp_path)
