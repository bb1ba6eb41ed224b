"""racoon.json, the manifest of a dataset: what it may hold, and reading it back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from racoon_data.documents import read_json
from racoon_data.errors import DamagedDatasetError, SchemaError
from racoon_data.labels import CodedConcept, Label, LabelSchema, Terminology
from racoon_data.settings import Frozen

MANIFEST_NAME = "racoon.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CaseId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,100}$")]
RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*$")]
Count = Annotated[int, Field(ge=0)]
Split = Literal["train", "test"]
Place = Literal["test"] | Annotated[int, Field(ge=0, le=4)]
Ticket = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class CodeRecord(Frozen):
    """A code of a coding scheme."""

    value: str
    scheme: str
    meaning: str = ""


class TerminologyRecord(Frozen):
    """A 5-tuple that means a label; see ``labels.Terminology``."""

    category: CodeRecord | None = None
    type: CodeRecord | None = None
    type_modifier: CodeRecord | None = None
    region: CodeRecord | None = None
    region_modifier: CodeRecord | None = None


class LabelRecord(Frozen):
    """One target label; see ``labels.Label``."""

    value: Annotated[int, Field(ge=1, le=254)]
    name: Annotated[str, Field(min_length=1)]
    codes: tuple[CodeRecord, ...] = ()
    type_modifiers: tuple[CodeRecord, ...] = ()
    regions: tuple[CodeRecord, ...] = ()
    synonyms: tuple[str, ...] = ()
    priority: int = 0
    terminology: tuple[TerminologyRecord, ...] = ()
    translations: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    written: dict[str, CodeRecord] = Field(default_factory=dict)


class LabelSchemaRecord(Frozen):
    """The label language of the dataset; see ``labels.LabelSchema``."""

    name: str
    version: str
    labels: tuple[LabelRecord, ...]

    @classmethod
    def of(cls, schema: LabelSchema) -> LabelSchemaRecord:
        """Turn the value into its record, labels in order of value."""
        labels = sorted(schema.labels, key=lambda label: label.value)
        return cls(name=schema.name, version=schema.version, labels=tuple(map(_label_record, labels)))

    def to_schema(self) -> LabelSchema:
        """Turn the record back into the value."""
        return LabelSchema(self.name, self.version, tuple(map(_label, self.labels)))


def _label_record(label: Label) -> LabelRecord:
    return LabelRecord(
        value=label.value,
        name=label.name,
        codes=_records(label.codes),
        type_modifiers=_records(label.type_modifiers),
        regions=_records(label.regions),
        synonyms=label.synonyms,
        priority=label.priority,
        terminology=tuple(map(_terminology_record, label.terminology)),
        translations=_by_language(label.translations),
        written={part: _records((code,))[0] for part, code in label.written},
    )


def _by_language(translations: tuple[tuple[str, str], ...]) -> dict[str, tuple[str, ...]]:
    tongues = sorted({tongue for tongue, _ in translations})
    return {tongue: tuple(name for own, name in translations if own == tongue) for tongue in tongues}


def _terminology_record(one: Terminology) -> TerminologyRecord:
    parts = {part: getattr(one, part) for part in TerminologyRecord.model_fields}
    return TerminologyRecord(**{part: _records((code,))[0] for part, code in parts.items() if code is not None})


def _records(concepts: tuple[CodedConcept, ...]) -> tuple[CodeRecord, ...]:
    return tuple(CodeRecord(value=code.value, scheme=code.scheme, meaning=code.meaning) for code in concepts)


def _label(record: LabelRecord) -> Label:
    return Label(
        record.value,
        record.name,
        codes=_concepts(record.codes),
        synonyms=record.synonyms,
        priority=record.priority,
        type_modifiers=_concepts(record.type_modifiers),
        regions=_concepts(record.regions),
        terminology=tuple(map(_terminology, record.terminology)),
        translations=tuple((tongue, name) for tongue, names in record.translations.items() for name in names),
        written=tuple((part, _concepts((code,))[0]) for part, code in sorted(record.written.items())),
    )


def _terminology(record: TerminologyRecord) -> Terminology:
    parts = {part: getattr(record, part) for part in TerminologyRecord.model_fields}
    return Terminology(**{part: _concepts((code,))[0] for part, code in parts.items() if code is not None})


def _concepts(records: tuple[CodeRecord, ...]) -> tuple[CodedConcept, ...]:
    return tuple(CodedConcept(code.value, code.scheme, code.meaning) for code in records)


class Counts(Frozen):
    """What became of the cases that came in; ``used + skipped + failed == cases_in``."""

    cases_in: Count
    used: Count
    skipped: Count
    failed: Count


class OutcomeRecord(Frozen):
    """The end of one item that is not in the dataset; see ``outcomes.Outcome``."""

    ref: str
    step: str
    status: Literal["done", "skipped", "failed"]
    code: str = ""
    message: str = ""
    hint: str = ""


class CaseRecord(Frozen):
    """One case of the dataset.

    Attributes:
        case_id: Name of the case and stem of its files.
        patient: Pseudonym.
        split: ``train`` or ``test``, the same for all cases of a patient.
        fold: Cross-validation fold of a training patient, 0 to 4; ``None`` in the test split.
        images: One file a channel, in channel order.
        label: Label file, ``None`` where the case has none.
        sidecar: How the case came to be (``schemas/case-sidecar``).
        readers: Unfused masks, one or more files a reader.
        sha256: Checksum of every file of the case, by path.
        relative_day: Days since the patient's first study, ``None`` where unknown.
        label_ml: Volume by label name, in millilitres, for every annotated or present label.
        annotated: Labels that were looked for here; any other label is *not annotated*, which
            differs from absent.
        unmapped: Segment names and codes the label schema does not know.
    """

    case_id: CaseId
    patient: Annotated[str, Field(min_length=1)]
    split: Split
    fold: Annotated[int, Field(ge=0, le=4)] | None = None
    images: Annotated[tuple[RelativePath, ...], Field(min_length=1)]
    label: RelativePath | None = None
    sidecar: RelativePath
    readers: tuple[RelativePath, ...] = ()
    sha256: dict[str, Sha256]
    relative_day: int | None = None
    label_ml: dict[str, float] = Field(default_factory=dict)
    annotated: tuple[str, ...] = ()
    unmapped: tuple[str, ...] = ()

    @property
    def contents(self) -> tuple[str, ...]:
        """Checksums of images, label and readers, whatever the side they stand on; the sidecar names the side."""
        paths = (*self.images, *((self.label,) if self.label else ()), *self.readers)
        return tuple(self.sha256[path] for path in paths)


class SplitMemory(Frozen):
    """Where patients stand, remembered so that the next version moves nobody.

    Attributes:
        scheme: How patients were dealt out.
        test_fraction: Share of patients kept for testing.
        places: ``test``, or the fold of a training patient, by keyed ticket; no pseudonym stands here.
    """

    scheme: Literal["iterative-stratification-1"] = "iterative-stratification-1"
    test_fraction: Annotated[float, Field(ge=0, le=1)]
    places: dict[Ticket, Place] = Field(default_factory=dict)


class Manifest(Frozen):
    """The whole of ``racoon.json``; it is written last, so its presence means the dataset is complete.

    Attributes:
        schema_version: Version of this layout.
        name: Name of the dataset.
        site: Alias of the site.
        dataset_sha256: Hash over every file hash of every case, the recipe and the label schema.
        recipe: The recipe in full.
        recipe_sha256: Its hash.
        label_schema: The label language; voxel values are those of the label files.
        ignore_value: Voxel value that means "do not learn from this voxel", ``None`` where unused.
        annotated_labels: Labels this site looks for.
        channels: Channel names in the order of ``_0000``, ``_0001``, ...
        counts: What became of the cases that came in.
        cases: The cases, by case id.
        outcomes: Every case or instance that is not in the dataset, with code and hint.
        files: Checksum of the files beside the cases (``dataset.json``, ``labels.json``, ...).
        software: Versions of what wrote it.
        splits: Where patients stand, for the next version; ``None`` where nobody split it.
    """

    schema_version: Literal["1.0"] = "1.0"
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,60}$")]
    site: Annotated[str, Field(min_length=1)]
    dataset_sha256: Sha256
    recipe: dict[str, Any]
    recipe_sha256: Sha256
    label_schema: LabelSchemaRecord
    ignore_value: Annotated[int, Field(ge=1, le=255)] | None = None
    annotated_labels: tuple[str, ...] = ()
    channels: Annotated[tuple[str, ...], Field(min_length=1)]
    counts: Counts
    cases: tuple[CaseRecord, ...]
    outcomes: tuple[OutcomeRecord, ...] = ()
    files: dict[str, Sha256] = Field(default_factory=dict)
    software: dict[str, str] = Field(default_factory=dict)
    splits: SplitMemory | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the manifest as a JSON document (``schemas/dataset-manifest``)."""
        return self.model_dump(mode="json")


def load_manifest(root: Path) -> Manifest:
    """Read the manifest of a dataset folder.

    Args:
        root: The dataset folder.

    Raises:
        DamagedDatasetError: The folder has no manifest, so it is no finished dataset.
        SchemaError: The manifest is not JSON or does not fit; the message names the place.
    """
    path = root / MANIFEST_NAME
    if not path.is_file():
        hint = "build it to the end: racoon run continues where it stopped"
        raise DamagedDatasetError(f"{root.name} has no {MANIFEST_NAME}: it is no finished dataset", hint=hint)
    try:
        return Manifest.model_validate(read_json(path))
    except (ValueError, UnicodeDecodeError) as error:
        raise SchemaError(f"{MANIFEST_NAME}: {_first_problem(error)}", hint="build the dataset again") from error


def _first_problem(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return f"not JSON: {error}"
    first = error.errors()[0]
    pointer = "/" + "/".join(str(part) for part in first["loc"])
    return f"{pointer}: {first['msg']}"
