"""The mapping file: where the fields of a vendor's report lie, as TOML that is checked before anything is read."""

from __future__ import annotations

import tomllib
import types
import typing
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from racoon_data.annotations.tools.paths import compile_path
from racoon_data.documents import parse_toml, read_text
from racoon_data.errors import SettingsError
from racoon_data.labels import CodedConcept
from racoon_data.settings import Frozen

_HINT = "racoon schema show report-mapping lists every key; docs/annotations.md explains them"

PathText = Annotated[str, Field(min_length=1, max_length=300)]
Paths = PathText | tuple[PathText, ...]


class Code(Frozen):
    """A coded concept as people write it in TOML."""

    value: Annotated[str, Field(min_length=1)]
    scheme: Annotated[str, Field(min_length=1)]
    meaning: str = ""

    @property
    def concept(self) -> CodedConcept:
        """The same as a noun of the house."""
        return CodedConcept(self.value, self.scheme, self.meaning)


class TextTable(Frozen):
    """A text: from the first path that holds one, through a value map, or constant."""

    path: Paths = ()
    constant: str = ""
    map: dict[str, str] = Field(default_factory=dict)
    default: str = ""
    required: bool = False


TextRule = PathText | tuple[PathText, ...] | TextTable


class CodeTable(Frozen):
    """A coded concept: constant, from a value map, or from paths to the code's own parts."""

    path: Paths = ()
    constant: Code | None = None
    map: dict[str, Code] = Field(default_factory=dict)
    value: PathText = "."
    scheme: TextRule = TextTable()
    meaning: PathText = "."
    default: Code | None = None
    required: bool = False

    @model_validator(mode="after")
    def _has_a_source(self) -> CodeTable:
        if self.constant is None and not self.path:
            raise ValueError("needs 'constant', or 'path' with 'map' or 'scheme'")
        if self.constant is None and not self.map and self.scheme == TextTable():
            raise ValueError("needs a 'map' from values to codes, or a 'scheme' where the export holds codes itself")
        return self


class Links(Frozen):
    """Whom and what the rows belong to; paths start at the row."""

    patient: TextRule | None = None
    study_uid: TextRule | None = None
    accession: TextRule | None = None
    series_uids: TextRule | None = None
    sop_uids: TextRule | None = None
    frame_of_reference: TextRule | None = None
    reader: TextRule | None = None
    date: TextRule | None = None


class Lesion(Frozen):
    """What a row says about all its measurements."""

    tracking_id: TextRule | None = None
    tracking_uid: TextRule | None = None
    time_point: TextRule | None = None
    finding: CodeTable | None = None
    site: CodeTable | None = None
    laterality: CodeTable | None = None


class Measurement(Frozen):
    """One number of a row, or of each of its sub-rows."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    rows: PathText = "."
    value: TextRule
    concept: CodeTable
    unit: TextRule
    decimal: Literal[".", ","] | None = None
    derivation: CodeTable | None = None
    method: CodeTable | None = None


class Evaluation(Frozen):
    """One judgement of a row: a coded answer, or a text."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    rows: PathText = "."
    concept: CodeTable
    answer: CodeTable | None = None
    text: TextRule | None = None

    @model_validator(mode="after")
    def _has_an_answer(self) -> Evaluation:
        if (self.answer is None) == (self.text is None):
            raise ValueError("needs either 'answer' (coded) or 'text'")
        return self


class Privacy(Frozen):
    """What may leave the hospital beside numbers and codes.

    Attributes:
        keep: Written texts that stay when ``racoon run`` takes the export through the door: ``tracking_id``,
            ``time_point``, or the name of an evaluation rule. Everything else that is free text is dropped.
        ignore: Names of fields that are left out on purpose and need not be listed as unread.
    """

    keep: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


class ReportMapping(Frozen):
    """A mapping file: one export format of one tool."""

    schema_version: Literal["1.0"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,60}$")]
    format: Literal["xml", "json", "csv"]
    files: str = ""
    encoding: str = "utf-8"
    delimiter: Annotated[str, Field(max_length=1)] = ""
    decimal: Literal[".", ","] = "."
    date_format: str = "%Y-%m-%d"
    rows: PathText = "row"
    links: Links = Links()
    lesion: Lesion = Lesion()
    measurements: tuple[Measurement, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    privacy: Privacy = Privacy()

    @model_validator(mode="after")
    def _is_sound(self) -> ReportMapping:
        names = [*(rule.name for rule in self.measurements), *(rule.name for rule in self.evaluations)]
        if not names:
            raise ValueError("needs at least one [[measurements]] or [[evaluations]] rule")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two rules are named {sorted(twice)[0]!r}")
        known = {"tracking_id", "time_point", *(rule.name for rule in self.evaluations if rule.concept.constant)}
        if strange := set(self.privacy.keep) - known:
            raise ValueError(f"[privacy] keep names {sorted(strange)[0]!r}; known: {', '.join(sorted(known))}")
        return self

    @property
    def pattern(self) -> str:
        """Which files of a folder the mapping is for."""
        return self.files or f"*.{self.format}"


def load_mapping(path: Path) -> ReportMapping:
    """Read and check a mapping file, every path in it included.

    Raises:
        SettingsError: It is missing, no TOML, or wrong; the message names the nearest rule.
    """
    try:
        document = parse_toml(read_text(path))
    except OSError as error:
        hint = "name the mapping file of the export"
        raise SettingsError(f"{path.name} cannot be read: {error.strerror}", hint=hint) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not TOML: {error}", hint="mend the syntax") from error
    return parse_mapping(document, name=path.name)


def parse_mapping(document: dict[str, Any], *, name: str) -> ReportMapping:
    """Check a mapping that was parsed from TOML.

    Raises:
        SettingsError: It is wrong; the message names the nearest rule.
    """
    try:
        mapping = ReportMapping.model_validate(document)
    except ValidationError as error:
        first = min(error.errors(), key=lambda one: (one["type"] != "extra_forbidden", -len(one["loc"])))
        raise SettingsError(f"{name}: {_explained(first, document)}", hint=_HINT) from error
    for rule, text in paths_of(mapping):
        try:
            compile_path(text)
        except SettingsError as error:
            raise SettingsError(f"{name}: rule {rule!r}: {error.message}", hint=error.hint) from error
    return mapping


def _explained(error: Any, document: dict[str, Any]) -> str:
    loc = [part for part in error["loc"] if not _is_branch(part)]
    rule = _rule_at(loc, document)
    if error["type"] == "extra_forbidden":
        known = _known_keys(loc[:-1])
        close = get_close_matches(str(loc[-1]), known, n=1)
        remedy = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
        return f"{rule} has no key {str(loc[-1])!r}; {remedy}"
    what = "is missing" if error["type"] == "missing" else str(error["msg"]).removeprefix("Value error, ")
    key = str(loc[-1]) if loc and isinstance(loc[-1], str) else ""
    return f"{rule}: {key}: {what}" if key and key not in rule else f"{rule}: {what}"


def _is_branch(part: object) -> bool:
    """Tell whether pydantic named a branch of a union instead of a key."""
    return isinstance(part, str) and ("[" in part or part in ("TextTable", "CodeTable", "constrained-str"))


def _rule_at(loc: list[Any], document: dict[str, Any]) -> str:
    """Name the rule a place of the document belongs to, by its own name where it has one."""
    if len(loc) > 1 and loc[0] in ("measurements", "evaluations") and isinstance(loc[1], int):
        table = document[loc[0]][loc[1]]
        name = table.get("name") if isinstance(table, dict) else None
        inner = "".join(f" {part}" for part in loc[2:-1] if isinstance(part, str))
        return f"rule {name!r}{inner}" if name else f"{loc[0]} number {loc[1] + 1}"
    named = [str(part) for part in loc[:2] if isinstance(part, str)]
    return f"rule {'.'.join(named)!r}" if len(named) > 1 else "the mapping"


def _known_keys(loc: list[Any]) -> list[str]:
    """List the keys that may stand at a place."""
    models: list[type[BaseModel]] = [ReportMapping]
    for part in loc:
        if isinstance(part, int):
            continue
        annotations = [model.model_fields[part].annotation for model in models if part in model.model_fields]
        models = [found for annotation in annotations for found in _models_in(annotation)]
    return sorted({key for model in models for key in model.model_fields})


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) in (typing.Union, types.UnionType, tuple, dict, Annotated):
        for inner in typing.get_args(annotation):
            yield from _models_in(inner)


def paths_of(mapping: ReportMapping) -> Iterator[tuple[str, str]]:
    """Go through every path of a mapping with the name of its rule."""
    yield "rows", mapping.rows
    for table, part in (("links", mapping.links), ("lesion", mapping.lesion)):
        for key in type(part).model_fields:
            yield from _paths_in(f"{table}.{key}", getattr(part, key))
    rules: tuple[Measurement | Evaluation, ...] = (*mapping.measurements, *mapping.evaluations)
    for rule in rules:
        yield rule.name, rule.rows
        for key in type(rule).model_fields:
            if key not in ("name", "rows", "decimal"):
                yield from _paths_in(rule.name, getattr(rule, key))


def _paths_in(rule: str, value: object) -> Iterator[tuple[str, str]]:
    for text in paths_in_rule(value):
        yield rule, text
    if isinstance(value, CodeTable):
        yield rule, value.value
        yield rule, value.meaning
        yield from _paths_in(rule, value.scheme)


def paths_in_rule(value: object) -> tuple[str, ...]:
    """Give the paths of a text rule or code rule, in the order they are tried."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, tuple):
        return value
    if isinstance(value, (TextTable, CodeTable)):
        return (value.path,) if isinstance(value.path, str) else value.path
    return ()
