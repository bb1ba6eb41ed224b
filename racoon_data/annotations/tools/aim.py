"""AIM 4 XML (ePAD, XNAT viewers) through a mapping file of our own."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from racoon_data.annotations.tools.trees import head_of
from racoon_data.tool_exports import Look, Masks, ToolExport

if TYPE_CHECKING:
    from racoon_data.annotations.tools.mapper import MappedReader

_MAPPING = Path(__file__).with_name("aim.toml")


@lru_cache(maxsize=1)
def _mapped() -> MappedReader:
    from racoon_data.annotations.tools.mapper import MappedReader
    from racoon_data.annotations.tools.mapping import load_mapping

    return MappedReader(load_mapping(_MAPPING), AimReader.kind)


class AimReader:
    """Reads findings, codes, measurements and references; outlines of markups are counted and not drawn."""

    kind = "aim"

    def claims(self, path: Path) -> bool:
        """Tell whether it is XML that begins with an AIM collection."""
        return path.suffix.lower() == ".xml" and b"ImageAnnotationCollection" in head_of(path)

    def look(self, path: Path) -> Look:
        """Read every image annotation; see ``MappedReader.look``."""
        return _mapped().look(path)

    def masks(self, path: Path, export: ToolExport) -> Masks:
        """Give none."""
        return iter(())
