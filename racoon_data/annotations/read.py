"""One linked annotation to masks and findings, through the reader that knows its SOP class."""

from __future__ import annotations

from functools import lru_cache

from racoon_data import plugins
from racoon_data.annotations.linking import Link
from racoon_data.errors import UnsupportedAnnotationError, about
from racoon_data.geometry import Geometry
from racoon_data.labels import Annotation
from racoon_data.ports import AnnotationReader


@lru_cache(maxsize=1)
def readers() -> tuple[AnnotationReader, ...]:
    """Load every installed annotation reader, in order of name."""
    names = plugins.found(plugins.ANNOTATION_READERS)
    return tuple(plugins.load(plugins.ANNOTATION_READERS, name)() for name in names)


def read_annotation(link: Link, geometry: Geometry | None) -> Annotation:
    """Read a linked annotation onto the grid of its series.

    Args:
        link: The annotation and its series.
        geometry: The grid of the series; ``None`` for a report without images here.

    Raises:
        UnsupportedAnnotationError: No installed reader knows its SOP class.
        AnnotationError: It cannot be read; the kind of error says why.
    """
    file, series = link.file, link.series
    with about(file.ref):
        for reader in readers():
            if file.sop_class_uid in reader.sop_classes:
                return reader.read(
                    file.path,
                    source=file.ref,
                    image=series.ref if series is not None else None,
                    geometry=geometry,
                    sop_uids=series.sop_uids if series is not None else (),
                )
        raise UnsupportedAnnotationError(
            f"no reader for SOP class {file.sop_class_uid}", hint="racoon plugins lists the installed readers"
        )
