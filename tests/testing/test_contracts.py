"""The contracts hold for small honest plug-ins and catch dishonest ones."""

import json
from contextlib import nullcontext
from dataclasses import replace
from typing import ClassVar

import highdicom
import numpy as np
import pydicom
import pytest

from racoon_data.errors import TruncatedError
from racoon_data.events import Event
from racoon_data.files.manifest import load_manifest
from racoon_data.labels import Annotation, Segment, SegmentMask
from racoon_data.ports import Exported
from racoon_data.refs import Match, SeriesRef, StudyRef
from racoon_data.testing.contracts import (
    AggregatorContract,
    AnnotationReaderContract,
    ExporterContract,
    Outlined,
    SourceContract,
)
from racoon_data.testing.makers import a_seg, a_series
from tests.dataset.makers import a_case, a_dataset


class FolderSource:
    """Finds studies and series in a folder by reading every header."""

    def __init__(self, folder):
        self.folder = folder

    def find(self, query):
        """Answer exact filters."""
        found = {}
        for path in sorted(self.folder.rglob("*.dcm")):
            one = pydicom.dcmread(path, stop_before_pixels=True)
            if all(str(one[keyword].value) == value for keyword, value in query.filters.items()):
                study = StudyRef(str(one.StudyInstanceUID))
                series = SeriesRef(study.study_uid, str(one.SeriesInstanceUID))
                ref = study if query.level == "STUDY" else series
                found[ref] = Match(ref, {"PatientID": str(one.PatientID)})
        return found.values()


class SegByHighdicom:
    """Reads a SEG whose frames lie on the slices of the series."""

    sop_classes = frozenset({"1.2.840.10008.5.1.4.1.1.66.4"})

    def read(self, path, *, source, image, geometry, sop_uids):
        """Read every segment."""
        try:
            seg = highdicom.seg.segread(path)
            frames = seg.get_pixels_by_source_instance(list(sop_uids), ignore_spatial_locations=True)
        except (EOFError, ValueError, AttributeError) as error:
            raise TruncatedError("the file ends early", ref=source) from error
        masks = tuple(
            SegmentMask(Segment(number, seg.get_segment_description(number).segment_label), frames[..., number - 1] > 0)
            for number in seg.segment_numbers
        )
        return Annotation(source, "seg", image, geometry, masks)


class ListExporter:
    """Lists the cases of a dataset."""

    is_view = True
    options: ClassVar = {}

    def export(self, dataset, out, *, options, on_event):
        """Write cases.json."""
        names = [case.case_id for case in load_manifest(dataset).cases]
        out.mkdir(parents=True, exist_ok=True)
        (out / "cases.json").write_text(json.dumps(names))
        return Exported(out / "cases.json")


class MeanAggregator:
    """Averages one number a site and writes it as safetensors."""

    def run(self, job, *, datasets, out, on_event):
        """Average for as many rounds as the job says."""
        for done in range(1, job["rounds"] + 1):
            on_event(Event("round", "", done, job["rounds"]))
        numbers = [float((root / "number.txt").read_text()) for root in datasets.values()]
        header = json.dumps({"mean": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        out.mkdir(parents=True)
        data = np.float32(np.mean(numbers)).tobytes()
        (out / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
        return out / "model.safetensors"


class TestFolderSource(SourceContract):
    """A folder is a source."""

    def source_over(self, folder):
        """Open the folder."""
        return nullcontext(FolderSource(folder))


class TestSegByHighdicom(AnnotationReaderContract):
    """highdicom's own files are read back."""

    def reader(self):
        """Give the reader."""
        return SegByHighdicom()

    def outline(self, folder, series):
        """Write two overlapping segments."""
        masks = {name: np.zeros(series.geometry.array_shape, bool) for name in ("one", "two")}
        masks["one"][1:4, 3:9, 5:20] = True
        masks["two"][3:5, 6:12, 2:11] = True
        (seg,) = a_seg(folder, series, masks)
        return Outlined(seg.path, seg.ref, masks)


class TestListExporter(ExporterContract):
    """A list of cases is a view."""

    def exporter(self):
        """Give the exporter."""
        return ListExporter()

    def a_dataset(self, folder):
        """Write two cases."""
        a_dataset(folder, [a_case(1), a_case(2)])
        return folder


class TestMeanAggregator(AggregatorContract):
    """A mean is a model."""

    def aggregator(self):
        """Give the aggregator."""
        return MeanAggregator()

    def a_job(self):
        """Two rounds."""
        return {"rounds": 2}

    def datasets(self, folder):
        """Two sites with a number each."""
        for alias, number in (("a", "1.0"), ("b", "3.0")):
            (folder / alias).mkdir(parents=True)
            (folder / alias / "number.txt").write_text(number)
        return {alias: folder / alias for alias in "ab"}


def test_a_reader_that_flips_slices_is_caught(tmp_path):
    """Masks in the wrong order of slices break the contract."""

    class Flipping(SegByHighdicom):
        """Reads slices backwards."""

        def read(self, path, **facts):
            """Flip k."""
            found = super().read(path, **facts)
            return replace(found, masks=tuple(replace(one, drawn=one.mask[::-1]) for one in found.masks))

    contract = TestSegByHighdicom()
    contract.reader = Flipping

    with pytest.raises(AssertionError):
        contract.test_masks_are_the_truth_on_the_image_grid(tmp_path)


def test_an_exporter_that_touches_data_is_caught(tmp_path):
    """A changed file of the dataset breaks the contract."""

    class Meddling(ListExporter):
        """Changes a file on the way."""

        def export(self, dataset, out, **given):
            """Append to a file."""
            with (dataset / "index.csv").open("a") as table:
                table.write("mine\n")
            return super().export(dataset, out, **given)

    contract = TestListExporter()
    contract.exporter = Meddling

    with pytest.raises(AssertionError):
        contract.test_the_dataset_stays_as_it_is(tmp_path)


def test_an_exporter_that_writes_elsewhere_is_caught(tmp_path):
    """A file beside the folder that was asked for breaks the contract."""

    class Astray(ListExporter):
        """Writes one folder up."""

        def export(self, dataset, out, **given):
            """Ignore the folder."""
            return super().export(dataset, out.parent, **given)

    contract = TestListExporter()
    contract.exporter = Astray

    with pytest.raises(AssertionError):
        contract.test_something_is_written_where_it_was_asked_for(tmp_path)


def test_a_source_that_repeats_itself_is_caught(tmp_path):
    """A study answered twice breaks the contract."""

    class Repeating(FolderSource):
        """Says everything twice."""

        def find(self, query):
            """Repeat."""
            return [*super().find(query), *super().find(query)]

    contract = TestFolderSource()
    contract.source_over = lambda folder: nullcontext(Repeating(folder))
    assert a_series(tmp_path / "x", slices=1).paths

    with pytest.raises(AssertionError):
        contract.test_each_study_is_found_once(tmp_path)
