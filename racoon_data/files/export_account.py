"""racoon-export.json: what an exported folder was made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from racoon_data.files.manifest import Count, OutcomeRecord, Sha256
from racoon_data.settings import Frozen

ACCOUNT_NAME = "racoon-export.json"


class ExportAccount(Frozen):
    """The whole of ``racoon-export.json``; it is written last, so its presence means the export is whole.

    Attributes:
        schema_version: Version of this layout.
        exporter: Name of the exporter.
        dataset: Name of the dataset.
        dataset_sha256: Hash of the dataset.
        options: What was asked for.
        files: Files beside this one.
        notes: What a reader should know.
        outcomes: Cases that could not be written, with code and hint.
        racoon: Version of racoon.
    """

    schema_version: Literal["1.0"] = "1.0"
    exporter: Annotated[str, Field(min_length=1)]
    dataset: str
    dataset_sha256: Sha256
    options: dict[str, str] = Field(default_factory=dict)
    files: Count
    notes: tuple[str, ...] = ()
    outcomes: tuple[OutcomeRecord, ...] = ()
    racoon: str
