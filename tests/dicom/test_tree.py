"""The tree of byte ranges against pydicom, and what it refuses."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from racoon_data.dicom.opened import bytes_of, open_bytes
from racoon_data.dicom.tree import Level, Tree
from racoon_data.errors import HostileFileError, TruncatedError, UnreadableError
from racoon_data.testing.makers import a_series
from tests.deid.samples import a_study


def _as_texts(tree: Tree, level: Level, encodings: tuple[str, ...]) -> dict[int, object]:
    encodings = tree.encodings_of(level, encodings)
    told: dict[int, object] = {}
    for tag, node in level.nodes.items():
        if tag >> 16 & 1:
            continue
        if node.items is not None:
            told[tag] = [_as_texts(tree, item, encodings) for item in node.items]
        elif node.vr in ("UI", "LO", "PN", "DA", "CS", "UT"):
            told[tag] = "\\".join(tree.texts(node, encodings))
    return told


def _pydicom_texts(dataset: Dataset) -> dict[int, object]:
    told: dict[int, object] = {}
    for element in dataset:
        if element.tag.is_private:
            continue
        if element.VR == "SQ":
            told[int(element.tag)] = [_pydicom_texts(item) for item in element.value]
        elif element.VR in ("UI", "LO", "PN", "DA", "CS", "UT"):
            values = element.value if isinstance(element.value, pydicom.multival.MultiValue) else [element.value]
            told[int(element.tag)] = "\\".join("" if value is None else str(value) for value in values)
    return told


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_it_reads_what_pydicom_reads(tmp_path: Path, syntax: pydicom.uid.UID):
    """Every text and UID at every depth of image, segmentation and report is the same in each encoding."""
    for path in a_study(tmp_path / "in").paths:
        dataset = pydicom.dcmread(path)
        if syntax is ExplicitVRBigEndian:
            dataset.pop("PixelData", None)
        dataset.file_meta.TransferSyntaxUID = syntax
        stream = io.BytesIO()
        pydicom.dcmwrite(
            stream,
            dataset,
            implicit_vr=syntax.is_implicit_VR,
            little_endian=syntax.is_little_endian,
            force_encoding=True,
        )

        tree = open_bytes(stream.getvalue()).tree

        assert _as_texts(tree, tree.root, ("iso8859",)) == _pydicom_texts(
            pydicom.dcmread(io.BytesIO(stream.getvalue()))
        )


def test_untouched_ranges_cover_the_data_set(tmp_path: Path):
    """The elements of the root follow each other without gap to the end of the file."""
    series = a_series(tmp_path, slices=1)
    data = bytes_of(series.paths[0])

    nodes = list(open_bytes(data).tree.root.nodes.values())

    assert [one.end for one in nodes[:-1]] == [one.start for one in nodes[1:]]
    assert nodes[-1].end == len(data)


def test_any_cut_is_noticed(tmp_path: Path):
    """A report cut at any place is truncated or unreadable, never shorter in silence."""
    data = a_study(tmp_path).sr.read_bytes()
    whole = {node.end for node in open_bytes(data).tree.root.nodes.values()}

    for end in range(200, len(data), 7):
        if end not in whole:
            with pytest.raises((TruncatedError, UnreadableError)):
                open_bytes(data[:end])


def test_nesting_and_counts_have_limits():
    """Sequences inside sequences and endless small elements are refused before the stack or the clock is."""
    deep = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff" * 5000
    many = b"\x08\x00\x60\x00CS\0\0" * 500_000

    for hostile in (deep, many):
        with pytest.raises(HostileFileError):
            Tree(hostile, 0, is_implicit=False)
