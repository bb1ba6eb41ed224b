"""The label schema as it stands in a file: what its JSON may hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from racoon_data.harmonize.codes import code_key
from racoon_data.labels import CodedConcept
from racoon_data.settings import Frozen


def _says_something(value: str) -> str:
    if code_key(CodedConcept(value, "SCT")) is None:
        raise ValueError("this value says nothing: leave the code out")
    return value


CodeValue = Annotated[
    str,
    AfterValidator(_says_something),
    WithJsonSchema({"type": "string", "minLength": 1, "not": {"pattern": "^([nN]/?[aA]|0(\\.0+)*)$"}}),
]
Name = Annotated[str, Field(min_length=1)]
# context ~ category ~ type ~ modifier ~ context ~ region ~ modifier, each code scheme ^ value ^ meaning
_CODE = r"[^~^]*\^[^~^]*\^[^~^]*"
SlicerEntry = Annotated[str, Field(pattern=rf"^[^~]*(~{_CODE}){{2,3}}(~[^~]*(~{_CODE}){{0,2}})?$")]


class Concept(Frozen):
    """A code of a coding scheme: ``SCT``, ``RADLEX``, ``DCM`` or a private one."""

    value: CodeValue
    scheme: Annotated[str, Field(min_length=1, max_length=16)]
    meaning: str = ""


class Tuple5(Frozen):
    """A 5-tuple as 3D Slicer and DICOM SEG have it; what is left out asks for nothing."""

    type: Concept
    category: Concept | None = None
    type_modifier: Concept | None = None
    region: Concept | None = None
    region_modifier: Concept | None = None


class Written(Frozen):
    """Codes a label is written with in SEG and SR.

    The type defaults to the first of ``codes``, the type modifier and the site to the first of ``type_modifiers`` and
    ``regions``; a category is needed for writing.
    """

    category: Concept | None = None
    type: Concept | None = None
    type_modifier: Concept | None = None
    site: Concept | None = None
    laterality: Concept | None = None


class LabelEntry(Frozen):
    """One target label.

    Attributes:
        value: Voxel value; 0 is background, 255 means ignore.
        name: Short name.
        codes: Property types that mean this label.
        type_modifiers: Where given, one must stand as property type modifier.
        regions: Where given, one must stand as anatomic region.
        terminology: Whole 5-tuples that mean this label, as objects or as 3D Slicer's text with ``~`` and ``^``.
        synonyms: Names that mean this label: a list, or lists by language (``{"de": [...], "en": [...]}``). Case,
            umlauts and punctuation do not matter.
        written: Codes it is written with.
        priority: Where labels overlap the higher one wins; equal ones: the smaller value.
    """

    value: Annotated[int, Field(ge=1, le=254)]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$")]
    codes: tuple[Concept, ...] = ()
    type_modifiers: tuple[Concept, ...] = ()
    regions: tuple[Concept, ...] = ()
    terminology: tuple[SlicerEntry | Tuple5, ...] = ()
    synonyms: tuple[Name, ...] | dict[str, tuple[Name, ...]] = ()
    written: Written = Written()
    priority: int = 0


class LabelDocument(Frozen):
    """The one label language of a dataset: target labels, what means them, and who wins where they overlap.

    Attributes:
        schema_version: Version of this file format.
        name: Name of the language.
        version: Version of the language; change it when a label changes its meaning.
        labels: Target labels; values, names and codes mean one label each.
    """

    schema_: Annotated[str, Field(alias="$schema")] = ""
    schema_version: Literal["1.0"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,60}$")]
    version: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+){0,2}$")]
    labels: Annotated[tuple[LabelEntry, ...], Field(min_length=1, max_length=254)]
