"""Settings people write: ``racoon.toml`` of a site and the study file of a walk."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, model_validator

from racoon_data import documents
from racoon_data.errors import SettingsError
from racoon_data.node_settings import FolderSettings, NodeSettings, PseudonymSettings, WebSettings
from racoon_data.node_settings import Frozen as Frozen


class SiteTable(Frozen):
    """Who this site is."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")]
    workers: Annotated[int, Field(ge=1)] = 1
    memory_mb: Annotated[int, Field(ge=0)] = 0
    """Most memory of one worker (MiB); 0 sets no bound."""
    operator: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,63}$")] | None = None
    """Who works here, for the audit log; without it the name of the account."""


class DeidTable(Frozen):
    """How this site guards identity."""

    results_to: tuple[str, ...] = ()
    """Nodes that results with their original identity may be sent to; empty: none."""
    spool_days: Annotated[int, Field(ge=0)] = 0
    """Days that identified files stay in the spool after they passed the door; 0: until somebody removes them."""
    profile: str = ""
    """De-identification profile (TOML), relative to the site; empty: the built-in one."""
    pseudonyms: PseudonymSettings | None = None
    """The service or list that names patients; without it pseudonyms are keyed by the site's own key."""


class PrivacyTable(Frozen):
    """What may leave this site as counts."""

    smallest_cell: Annotated[int, Field(ge=2)] = 5
    """Fewest persons behind a count that leaves the site; smaller ones are hidden."""


class FederationTable(Frozen):
    """Where this site trains together with others."""

    aggregator: Annotated[str, Field(pattern=r"^$|^[A-Za-z0-9.-]+:[0-9]{1,5}$")] = ""
    """HOST:PORT of the aggregator that ``racoon doctor`` tries; empty: none."""


class SiteSettings(Frozen):
    """The whole of ``racoon.toml``."""

    site: SiteTable
    deid: DeidTable = DeidTable()
    privacy: PrivacyTable = PrivacyTable()
    federation: FederationTable = FederationTable()
    nodes: dict[str, NodeSettings] = Field(default_factory=dict)
    web: dict[str, WebSettings] = Field(default_factory=dict)
    folders: dict[str, FolderSettings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_mean_one_thing(self) -> Self:
        names = [*self.nodes, *self.web, *self.folders]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{twice[0]!r} names two nodes; nodes, web and folders share their names")
        if strangers := sorted(set(self.deid.results_to) - set(names)):
            raise ValueError(f"deid.results_to names {strangers[0]!r}, and there is no such node")
        lost = sorted({node.web for node in self.nodes.values() if node.web} - set(self.web))
        if lost:
            raise ValueError(f"a node names web = {lost[0]!r}, and there is no [web.{lost[0]}]")
        return self


class QuerySettings(Frozen):
    """What to ask the PACS for: DICOM keyword to matching value."""

    node: str = "pacs"
    filters: dict[str, str] = Field(default_factory=dict)


Preference = Annotated[
    str,
    Field(
        pattern=r"^(annotated|thinnest|thickest|most_slices|thickness:[0-9]+(\.[0-9]+)?"
        r"|contrast_phase:(native|arterial|venous|delayed)|(kernel|description|body_part):.+)$"
    ),
]


class ChannelSettings(Frozen):
    """Which series may become one channel; see ``ChannelRule``."""

    name: str
    modality: str = ""
    description: str = ""
    kernel: str = ""
    min_slices: Annotated[int, Field(ge=1)] = 3
    max_thickness_mm: float | None = None
    contrast: bool | None = None
    prefer: tuple[Preference, ...] = ("annotated",)
    exclude: str = ""
    body_part: str = ""
    contrast_phase: Literal["", "native", "arterial", "venous", "delayed"] = ""
    min_thickness_mm: float | None = None


class CaseSettings(Frozen):
    """How studies become cases; see ``CaseRule``."""

    per: Literal["study", "annotated-series"] = "study"
    labels_required: bool = True
    faces: Literal["allow", "refuse"] = "allow"


class LabelSettings(Frozen):
    """The label language, and which of its labels this site annotates.

    ``annotated`` empty means all. A label that is not listed is *not annotated* here, which
    differs from absent. ``readers`` lists the labels of readers who look for others than their site.
    """

    schema_file: str
    annotated: tuple[str, ...] = ()
    readers: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class ExportSettings(Frozen):
    """A folder of another tool's annotations; relative paths start at the study file.

    ``mapping`` names the mapping file of a vendor's reports. ``resample`` lets masks of another grid in.
    """

    folder: Annotated[str, Field(min_length=1)]
    mapping: str = ""
    resample: bool = False


class StudySettings(Frozen):
    """A study file: one walk from query to dataset. The recipe stands in it, or in a file of its own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$")]
    query: QuerySettings = QuerySettings()
    case: CaseSettings = CaseSettings()
    channels: Annotated[tuple[ChannelSettings, ...], Field(min_length=1)]
    labels: LabelSettings
    exports: tuple[ExportSettings, ...] = ()
    recipe: dict[str, Any] = Field(default_factory=dict)
    recipe_file: str = ""
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.25


Table = TypeVar("Table", bound=BaseModel)


def load_toml(path: Path, table: type[Table]) -> Table:
    """Read a TOML file into a settings table.

    Args:
        path: File to read.
        table: Model it must fit.

    Raises:
        SettingsError: The file is missing, is no TOML or does not fit; the message names the key.
    """
    return parse_toml(read_toml_text(path), table, name=str(path))


def read_toml_text(path: Path) -> str:
    """Read the text of a settings file.

    Raises:
        SettingsError: The file is missing or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SettingsError(f"{path} does not exist", hint="name an existing file") from error
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}", hint="name a file you may read") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 text", hint="save it as UTF-8") from error


def parse_toml(text: str, table: type[Table], *, name: str) -> Table:
    """Fit TOML text into a settings table.

    Args:
        text: The TOML.
        table: Model it must fit.
        name: What messages call it.

    Raises:
        SettingsError: It is no TOML or does not fit; the message names the key.
    """
    return fitted(toml_document(text, name=name), table, name=name)


def toml_document(text: str, *, name: str) -> dict[str, Any]:
    """Parse TOML text.

    Raises:
        SettingsError: It is no TOML; the message names the place.
    """
    try:
        return documents.parse_toml(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{name} is not TOML: {error}", hint="mend the syntax") from error


def fitted(document: dict[str, Any], table: type[Table], *, name: str) -> Table:
    """Fit a parsed document into a settings table.

    Raises:
        SettingsError: It does not fit; the message names the key.
    """
    try:
        return table.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        what = "there is no such key" if first["type"] == "extra_forbidden" else first["msg"]
        what = what.removeprefix("Value error, ")
        raise SettingsError(f"{name}: {key}: {what}", hint=_SCHEMA_HINTS.get(table.__name__, "")) from error


_SCHEMA_HINTS = {
    "SiteSettings": "racoon schema show site-settings lists every key",
    "StudySettings": "racoon schema show study-settings lists every key",
    "FaultPlan": "racoon schema show fault-plan lists every key",
}
