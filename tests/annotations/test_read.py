"""Annotations are read by whichever installed reader knows their SOP class."""

from dataclasses import replace

import pytest

from racoon_data.annotations.linking import Link
from racoon_data.annotations.read import read_annotation, readers
from racoon_data.errors import DanglingReferenceError, UnsupportedAnnotationError
from racoon_data.ports import AnnotationReader
from racoon_data.testing.makers import Measured, a_seg, a_series, an_rtstruct, an_sr, rectangle
from racoon_data.testing.segmentations import LESION
from tests.annotations.helpers import a_file, box, series_of


def test_the_installed_readers_keep_the_contract():
    """SEG, RTSTRUCT and SR readers are found by entry point and claim different SOP classes."""
    found = readers()
    classes = [sop_class for reader in found for sop_class in reader.sop_classes]

    assert all(isinstance(reader, AnnotationReader) for reader in found)
    assert len(classes) == len(set(classes)) >= 8


def test_each_kind_is_read_by_its_reader(tmp_path):
    """One call reads all three kinds; source and image are those of the link."""
    made = a_series(tmp_path / "ct", slices=6)
    (seg,) = a_seg(tmp_path, made, {"a": box(made.geometry.array_shape, k=2, j=3, i=4)})
    struct, _ = an_rtstruct(tmp_path, made, {"b": [rectangle(2, columns=(2.5, 5.5), rows=(2.5, 5.5))]})
    report, _ = an_sr(tmp_path, made, [Measured("a", LESION, 1.0)])
    series = series_of(made)

    kinds = []
    for kind, path in (("SEG", seg.path), ("RTSTRUCT", struct), ("SR", report)):
        file = replace(a_file("5", modality=kind), path=path)
        annotation = read_annotation(Link(file, series), made.geometry)
        assert (annotation.source, annotation.image) == (file.ref, made.ref)
        kinds.append((annotation.kind, len(annotation.masks), len(annotation.findings)))

    assert kinds == [("seg", 1, 0), ("rtstruct", 1, 0), ("sr", 0, 2)]


def test_errors_name_the_annotation(tmp_path):
    """An unknown SOP class and a missing image are told with the instance they happened to."""
    unknown = replace(a_file("5"), sop_class_uid="1.2.840.10008.5.1.4.1.1.66.5")
    with pytest.raises(UnsupportedAnnotationError, match=r"66\.5") as caught:
        read_annotation(Link(unknown, None), None)
    assert caught.value.ref == unknown.ref

    with pytest.raises(DanglingReferenceError) as dangling:
        read_annotation(Link(a_file("6"), None), None)
    assert dangling.value.ref == a_file("6").ref
