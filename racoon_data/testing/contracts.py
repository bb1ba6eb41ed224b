"""Contract tests of the four plug-in points: subclass one and pytest shows what your plug-in keeps.

Example:
    class TestMySource(SourceContract):
        def source_over(self, folder):
            return my_server_that_holds(folder)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from racoon_data.errors import RacoonError
from racoon_data.events import Event, ignore
from racoon_data.files.atomic import sha256_of
from racoon_data.grid.place import place
from racoon_data.labels import Annotation, Mask, SegmentMask
from racoon_data.ports import Aggregator, AnnotationReader, Exporter, Source, ToolReader
from racoon_data.ports import Exported as ExportedDataset
from racoon_data.refs import InstanceRef, Query, SeriesRef, StudyRef, is_uid
from racoon_data.testing.bad_input import truncated
from racoon_data.testing.makers import MadeSeries, a_series
from racoon_data.tool_exports import Look


class SourceContract(ABC):
    """What every source keeps: each thing once, by reference, and filters that filter."""

    @abstractmethod
    def source_over(self, folder: Path) -> AbstractContextManager[Source]:
        """Open a source that holds the DICOM files under ``folder``."""

    def test_it_is_a_source(self, tmp_path: Path) -> None:
        """It offers what the protocol asks for."""
        self._archive(tmp_path)
        with self.source_over(tmp_path) as source:
            assert isinstance(source, Source)

    def test_each_study_is_found_once(self, tmp_path: Path) -> None:
        """A query without filters answers every study exactly once."""
        made = self._archive(tmp_path)
        with self.source_over(tmp_path) as source:
            found = [match.ref for match in source.find(Query("STUDY"))]
        assert sorted(found, key=str) == sorted({StudyRef(one.ref.study_uid) for one in made}, key=str)

    def test_a_filter_filters(self, tmp_path: Path) -> None:
        """A query for one patient answers that patient's study alone, with the attribute asked for."""
        made = self._archive(tmp_path)
        with self.source_over(tmp_path) as source:
            found = list(source.find(Query("STUDY", {"PatientID": "P2"})))
        assert [match.ref for match in found] == [StudyRef(made[2].ref.study_uid)]
        assert found[0].attributes["PatientID"] == "P2"

    def test_series_of_a_study(self, tmp_path: Path) -> None:
        """A query at series level answers the series of the study it names."""
        made = self._archive(tmp_path)
        with self.source_over(tmp_path) as source:
            query = Query("SERIES", {"StudyInstanceUID": made[0].ref.study_uid})
            found = {match.ref for match in source.find(query)}
        assert found == {made[0].ref, made[1].ref}

    def test_nothing_found_is_an_empty_answer(self, tmp_path: Path) -> None:
        """A query that nothing fits answers nothing and raises nothing."""
        self._archive(tmp_path)
        with self.source_over(tmp_path) as source:
            assert list(source.find(Query("STUDY", {"PatientID": "NOBODY"}))) == []

    def _archive(self, folder: Path) -> tuple[MadeSeries, ...]:
        sizes: dict[str, Any] = {"slices": 2, "rows": 8, "columns": 8}
        return (
            a_series(folder / "1a", patient_id="P1", **sizes),
            a_series(folder / "1b", patient_id="P1", description="Again", series_number=3, **sizes),
            a_series(folder / "2", patient_id="P2", **sizes),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Outlined:
    """An annotation file and what it says.

    Attributes:
        path: The file.
        ref: Its reference.
        masks: True masks ``[k, j, i]`` on the series' grid by segment name; none for a report.
        findings: How many findings it holds.
    """

    path: Path
    ref: InstanceRef
    masks: Mapping[str, Mask]
    findings: int = 0


class AnnotationReaderContract(ABC):
    """What every annotation reader keeps: masks on the image's grid, findings, and named errors."""

    @abstractmethod
    def reader(self) -> AnnotationReader:
        """Give the reader."""

    @abstractmethod
    def outline(self, folder: Path, series: MadeSeries) -> Outlined:
        """Write an annotation of the series in the reader's format and tell the truth about it."""

    def test_it_is_a_reader_of_its_files(self, tmp_path: Path) -> None:
        """It offers what the protocol asks for and names the SOP class of its files."""
        outlined = self.outline(tmp_path / "annotations", a_series(tmp_path / "ct", slices=6))
        assert isinstance(self.reader(), AnnotationReader)
        assert str(pydicom.dcmread(outlined.path, stop_before_pixels=True).SOPClassUID) in self.reader().sop_classes

    def test_masks_are_the_truth_on_the_image_grid(self, tmp_path: Path) -> None:
        """On an axial, a coronal and an oblique series every mask equals the truth voxel for voxel."""
        for orientation in ("axial", "coronal", "oblique"):
            folder = tmp_path / orientation
            series = a_series(folder / "ct", slices=6, orientation=orientation)
            outlined = self.outline(folder / "annotations", series)
            found = self._read(outlined, series)
            masks = {one.segment.name: one.mask for one in found.masks}
            assert masks.keys() == outlined.masks.keys()
            assert all(np.array_equal(masks[name], truth) for name, truth in outlined.masks.items()), orientation
            assert len(found.findings) == outlined.findings

    def test_it_says_where_it_comes_from(self, tmp_path: Path) -> None:
        """The annotation carries its own reference, its image's and the image's grid."""
        series = a_series(tmp_path / "ct", slices=6)
        outlined = self.outline(tmp_path / "annotations", series)
        found = self._read(outlined, series)
        assert found.source == outlined.ref
        assert all(one.source == outlined.ref for one in found.findings)
        if outlined.masks:
            assert found.image == series.ref
            assert found.geometry == series.geometry

    def test_a_cut_file_is_a_named_error(self, tmp_path: Path) -> None:
        """A truncated file ends in a racoon error, never in half an annotation."""
        series = a_series(tmp_path / "ct", slices=6)
        outlined = self.outline(tmp_path / "annotations", series)
        truncated(outlined.path, keep=0.5)
        assert raises_racoon_error(lambda: self._read(outlined, series))

    def _read(self, outlined: Outlined, series: MadeSeries) -> Annotation:
        image: SeriesRef | None = series.ref
        return self.reader().read(
            outlined.path, source=outlined.ref, image=image, geometry=series.geometry, sop_uids=series.sop_uids
        )


@dataclass(frozen=True, slots=True, eq=False)
class Exported:
    """A file of another tool and what it says.

    Attributes:
        path: The file.
        masks: True masks ``[k, j, i]`` on the series' grid by segment name; none for a report.
        findings: How many findings it holds.
    """

    path: Path
    masks: Mapping[str, Mask]
    findings: int = 0


class ToolReaderContract(ABC):
    """What every reader of another tool's files keeps: its own files alone, masks in their place, named errors."""

    @abstractmethod
    def reader(self) -> ToolReader:
        """Give the reader."""

    @abstractmethod
    def export(self, folder: Path, series: MadeSeries) -> Exported:
        """Write an annotation of the series in the tool's format, refer to it, and tell the truth about it."""

    def test_it_claims_its_files_alone(self, tmp_path: Path) -> None:
        """It offers what the protocol asks for, claims its own file, and no DICOM, empty, absent or foreign one."""
        series = a_series(tmp_path / "ct", slices=6)
        exported = self.export(tmp_path / "export", series)
        (tmp_path / "empty.json").touch()
        (tmp_path / "words.txt").write_text("no annotation", encoding="utf-8")
        foreign = (series.paths[0], tmp_path / "empty.json", tmp_path / "words.txt", tmp_path / "absent.xml")
        assert isinstance(self.reader(), ToolReader)
        assert self.reader().kind
        assert self.reader().claims(exported.path)
        assert not any(self.reader().claims(path) for path in foreign)

    def test_masks_are_the_truth_on_the_image_grid(self, tmp_path: Path) -> None:
        """On an axial, a coronal and an oblique series the house places every mask voxel for voxel."""
        for orientation in ("axial", "coronal", "oblique"):
            series = a_series(tmp_path / orientation / "ct", slices=6, orientation=orientation)
            exported = self.export(tmp_path / orientation / "export", series)
            found = self._read(exported, series)
            masks = {one.segment.name: one.mask for one in found.masks}
            assert masks.keys() == exported.masks.keys()
            assert all(np.array_equal(masks[name], truth) for name, truth in exported.masks.items()), orientation
            assert len(found.findings) == exported.findings

    def test_it_names_its_series(self, tmp_path: Path) -> None:
        """What it points at is the series, one of its images, or its study."""
        series = a_series(tmp_path / "ct", slices=6)
        pointers = self._look(self.export(tmp_path / "export", series)).exports[0].pointers
        named = pointers.series_uids | pointers.sop_uids | {pointers.study_uid}
        assert named & {series.ref.series_uid, series.ref.study_uid, *series.sop_uids}

    def test_the_same_content_has_the_same_uid(self, tmp_path: Path) -> None:
        """Reading twice gives the same UIDs, and they are UIDs."""
        exported = self.export(tmp_path / "export", a_series(tmp_path / "ct", slices=6))
        first, second = (tuple(one.uid for one in self._look(exported).exports) for _ in range(2))
        assert first == second
        assert all(is_uid(uid) for uid in first)

    def test_masks_come_under_numbers_of_segments(self, tmp_path: Path) -> None:
        """Every mask belongs to a described segment and has the shape of the stated grid."""
        exported = self.export(tmp_path / "export", a_series(tmp_path / "ct", slices=6))
        for export in self._look(exported).exports:
            numbers = [segment.number for segment in export.segments]
            assert len(numbers) == len(set(numbers))
            for drawn in self.reader().masks(exported.path, export):
                assert drawn.number in numbers or drawn.number < 0
                assert export.grid is not None
                assert drawn.mask.shape == export.grid.array_shape
                assert drawn.mask.dtype == np.bool_

    def test_a_cut_file_is_a_named_error(self, tmp_path: Path) -> None:
        """A truncated file ends in a racoon error, never in half an annotation."""
        exported = self.export(tmp_path / "export", a_series(tmp_path / "ct", slices=6))
        truncated(exported.path, keep=0.5)
        assert raises_racoon_error(lambda: self._look(exported))

    def test_an_absent_file_is_a_named_error(self, tmp_path: Path) -> None:
        """A file that went away ends in a racoon error."""
        exported = self.export(tmp_path / "export", a_series(tmp_path / "ct", slices=6))
        exported.path.unlink()
        assert raises_racoon_error(lambda: self._look(exported))

    def _look(self, exported: Exported) -> Look:
        return self.reader().look(exported.path)

    def _read(self, exported: Exported, series: MadeSeries) -> Annotation:
        [export] = self._look(exported).exports
        masks = []
        for drawn in self.reader().masks(exported.path, export):
            assert export.grid is not None
            segment = next((one for one in export.segments if one.number == drawn.number), None)
            assert segment is not None
            masks.append(SegmentMask(segment, place(drawn.mask, export.grid, series.geometry).mask))
        source = InstanceRef(export.pointers.study_uid, "", export.uid)
        return Annotation(source, export.kind, series.ref, series.geometry, tuple(masks), export.findings)


class ExporterContract(ABC):
    """What every exporter keeps: the dataset untouched, the same bytes again, a folder whole or absent."""

    out_name = "out"

    @abstractmethod
    def exporter(self) -> Exporter:
        """Give the exporter."""

    @abstractmethod
    def a_dataset(self, folder: Path) -> Path:
        """Write a small valid dataset under ``folder`` and give its root."""

    def an_export(self, dataset: Path, out: Path) -> ExportedDataset:
        """Export with the options the exporter needs; a subclass names them."""
        return self.exporter().export(dataset, out, options={}, on_event=ignore)

    def test_it_says_what_it_is(self) -> None:
        """It has a kind and explains every option in words."""
        exporter = self.exporter()
        assert isinstance(exporter, Exporter)
        assert all(name and what for name, what in exporter.options.items())

    def test_something_is_written_where_it_was_asked_for(self, tmp_path: Path) -> None:
        """It gives the folder it was asked for, or a file in it, with content."""
        out = self._out(tmp_path)
        exported = self.an_export(self.a_dataset(tmp_path / "in"), out)
        assert exported.path.is_relative_to(out)
        assert any(size for size in (path.stat().st_size for path in hashes(out)))

    def test_the_dataset_stays_as_it_is(self, tmp_path: Path) -> None:
        """Every file of the dataset keeps its bytes, and none is added; a view may be written over itself."""
        dataset = self.a_dataset(tmp_path / "in")
        before = hashes(dataset)
        self.an_export(dataset, self._out(tmp_path))
        assert hashes(dataset) == before
        if self.exporter().is_view:
            exported = self.an_export(dataset, dataset)
            before.pop(exported.path, None)
            assert {path: digest for path, digest in hashes(dataset).items() if path != exported.path} == before

    def test_exporting_twice_gives_the_same_bytes(self, tmp_path: Path) -> None:
        """The same dataset gives the same files, also over an export that stands there."""
        dataset, out = self.a_dataset(tmp_path / "in"), self._out(tmp_path)
        self.an_export(dataset, out)
        first = hashes(out)
        self.an_export(dataset, out)
        assert hashes(out) == first

    def test_a_foreign_folder_is_left_alone(self, tmp_path: Path) -> None:
        """Where somebody else's files are, a folder is refused; a view lies beside them."""
        out = self._out(tmp_path)
        theirs = out / "imagesTr" / "theirs.nii.gz"
        theirs.parent.mkdir(parents=True)
        theirs.write_bytes(b"x")
        dataset = self.a_dataset(tmp_path / "in")
        if not self.exporter().is_view:
            assert raises_racoon_error(lambda: self.an_export(dataset, out))
            assert list(hashes(out)) == [theirs]
        else:
            self.an_export(dataset, out)
        assert theirs.read_bytes() == b"x"

    def test_a_folder_that_is_no_dataset_is_a_named_error(self, tmp_path: Path) -> None:
        """Without a manifest nothing is written."""
        (tmp_path / "in").mkdir()
        out = self._out(tmp_path)
        assert raises_racoon_error(lambda: self.an_export(tmp_path / "in", out))
        assert not out.exists() or not hashes(out)

    def _out(self, folder: Path) -> Path:
        return folder / "exports" / self.out_name


class AggregatorContract(ABC):
    """What every aggregator keeps: a global model in safetensors, rounds reported."""

    @abstractmethod
    def aggregator(self) -> Aggregator:
        """Give the aggregator."""

    @abstractmethod
    def a_job(self) -> Mapping[str, Any]:
        """Give a job of at least two rounds that ends within seconds."""

    @abstractmethod
    def datasets(self, folder: Path) -> Mapping[str, Path]:
        """Write at least two small datasets under ``folder``, by site alias."""

    def test_it_trains_a_model_and_reports(self, tmp_path: Path) -> None:
        """The global model is a whole safetensors file under ``out``, and events tell the rounds."""
        events: list[Event] = []
        out = tmp_path / "out"
        datasets = self.datasets(tmp_path / "sites")
        before = {alias: hashes(root) for alias, root in datasets.items()}
        model = self.aggregator().run(self.a_job(), datasets=datasets, out=out, on_event=events.append)
        assert isinstance(self.aggregator(), Aggregator)
        assert model.is_relative_to(out)
        assert is_safetensors(model)
        assert events
        assert all(event.kind and event.done >= 0 for event in events)
        assert {alias: hashes(root) for alias, root in datasets.items()} == before


def hashes(folder: Path) -> dict[Path, str]:
    """Hash every file under a folder."""
    return {path: sha256_of(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def is_safetensors(path: Path) -> bool:
    """Tell whether a file begins with a safetensors header: eight bytes of length, then JSON."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return 2 <= length <= len(data) - 8 and data[8:9] == b"{"


def raises_racoon_error(work: Callable[[], object]) -> bool:
    """Tell whether work ends in a racoon error; any other exception goes on up."""
    try:
        work()
    except RacoonError:
        return True
    return False
