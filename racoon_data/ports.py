"""What a plug-in must offer: the protocols of sources, annotation readers, exporters, aggregators."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from racoon_data.events import OnEvent
from racoon_data.geometry import Geometry
from racoon_data.labels import Annotation
from racoon_data.outcomes import Outcome
from racoon_data.policies import ReadingPolicies
from racoon_data.refs import InstanceRef, Match, Query, SeriesRef
from racoon_data.tool_exports import Look, Masks, ToolExport


@runtime_checkable
class Source(Protocol):
    """A place studies come from (entry-point group ``racoon.sources``)."""

    def find(self, query: Query) -> Iterable[Match]:
        """Answer a query."""
        ...


@runtime_checkable
class AnnotationReader(Protocol):
    """Reads one kind of annotation file (entry-point group ``racoon.annotation_readers``)."""

    sop_classes: frozenset[str]

    def read(
        self,
        path: Path,
        *,
        source: InstanceRef,
        image: SeriesRef | None,
        geometry: Geometry | None,
        sop_uids: Sequence[str],
    ) -> Annotation:
        """Read a file onto an image grid.

        Args:
            path: The annotation file.
            source: Its reference.
            image: The series it is to lie on, ``None`` for a report without images here.
            geometry: That series' grid, slices in ascending k.
            sop_uids: SOPInstanceUID of every slice of the grid, in order of k.
        """
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else a reader may know of the images it reads an annotation onto.

    Attributes:
        frame_numbers: For every slice its frame number in a file of many frames, from 1; 0 in a file of one.
        elsewhere: Instances of further series that the same annotation is read onto as well.
        is_further: This is such a further series: what does not lie on it was read before.
    """

    frame_numbers: tuple[int, ...] = ()
    elsewhere: frozenset[str] = frozenset()
    is_further: bool = False


ALONE = Surroundings()


@runtime_checkable
class LooksAround(Protocol):
    """An annotation reader that asks for the surroundings: it gives one of its kind that knows them."""

    def amid(self, surroundings: Surroundings) -> AnnotationReader:
        """Give a reader that knows these surroundings."""
        ...


@runtime_checkable
class ToolReader(Protocol):
    """Reads one kind of file that is no DICOM (also entry-point group ``racoon.annotation_readers``).

    It says what a file holds and gives masks on the tool's own grid. Linking, placing on the image grid and
    taking identities off are the house's work, the same for every tool.
    """

    @property
    def kind(self) -> str:
        """Name of the format, such as ``mitk``."""
        ...

    def claims(self, path: Path) -> bool:
        """Tell from a file's name and first bytes whether it is of this kind; raise nothing."""
        ...

    def look(self, path: Path) -> Look:
        """Read everything of a file but its masks.

        Raises:
            AnnotationError: Nothing in it can be read. What goes wrong with one item is an outcome of ``Look``.
        """
        ...

    def masks(self, path: Path, export: ToolExport) -> Masks:
        """Read the masks of one annotation of the file, one at a time, ``[k, j, i]`` on ``export.grid``.

        Raises:
            AnnotationError: They cannot be read.
        """
        ...


@runtime_checkable
class FollowsPolicies(Protocol):
    """An annotation reader that has choices: it gives one of its kind that makes them as asked."""

    def under(self, policies: ReadingPolicies) -> AnnotationReader:
        """Give a reader that follows these policies."""
        ...


@dataclass(frozen=True, slots=True)
class Exported:
    """What an exporter wrote.

    Attributes:
        path: The file of a view, or the folder.
        outcomes: Cases that could not be written, each with its code.
        notes: What a reader should know, as sentences.
    """

    path: Path
    outcomes: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()


@runtime_checkable
class Exporter(Protocol):
    """Writes a dataset as another tool wants it (entry-point group ``racoon.exporters``).

    An exporter reads the finished dataset, changes nothing in it, and gives the same bytes for the same dataset and
    options. ``racoon_data.dataset.exporters.folder`` helps with a folder that is whole or absent.
    """

    @property
    def is_view(self) -> bool:
        """A view is one small file that lies inside the dataset and is written with every build."""
        ...

    @property
    def options(self) -> Mapping[str, str]:
        """Names of the options it knows, and what each is for."""
        ...

    def export(self, dataset: Path, out: Path, *, options: Mapping[str, str], on_event: OnEvent) -> Exported:
        """Write it.

        Args:
            dataset: Folder of a finished dataset.
            out: For a view the folder its file goes to, else the folder to make.
            options: Options by name, every one known; a view has to do without any.
            on_event: Listener.

        Raises:
            RacoonError: It cannot be written; nothing is left at ``out``.
        """
        ...


@runtime_checkable
class Aggregator(Protocol):
    """Runs a federation (entry-point group ``racoon.aggregators``)."""

    def run(self, job: Mapping[str, Any], *, datasets: Mapping[str, Path], out: Path, on_event: OnEvent) -> Path:
        """Train together.

        Args:
            job: Federation job (``schemas/federation-job``).
            datasets: Dataset folder by site alias.
            out: Folder for the result.
            on_event: Listener for rounds.

        Returns:
            The global model (safetensors).
        """
        ...
