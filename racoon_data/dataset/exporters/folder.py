"""The folder of an export: whole or absent, never over somebody else's files, and it says what it was made of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from racoon_data import __version__
from racoon_data.errors import SettingsError
from racoon_data.files.atomic import share_file, write_json
from racoon_data.files.export_account import ACCOUNT_NAME, ExportAccount
from racoon_data.files.folders import whole_folder
from racoon_data.files.manifest import Manifest, OutcomeRecord
from racoon_data.outcomes import Outcome, Status

COPY = {"copy": "yes to copy files instead of sharing them by hard links"}


@dataclass(slots=True)
class ExportFolder:
    """An export as it comes into being.

    Attributes:
        root: Where its files go.
        is_copy: Copy files of the dataset instead of sharing them.
        notes: What its reader should know, as sentences.
        outcomes: One for every case that was to be written.
    """

    root: Path
    is_copy: bool = False
    notes: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)

    def share(self, source: Path, name: str) -> None:
        """Put a file of the dataset into the export, by a hard link where the disk knows them."""
        share_file(source, self.root / name, is_copy=self.is_copy)


@contextmanager
def export_folder(
    out: Path, manifest: Manifest, *, exporter: str, options: dict[str, str] | None = None
) -> Iterator[ExportFolder]:
    """Open the folder of an export; it takes its place when the block succeeds.

    An export that stands there is replaced. Its account, ``racoon-export.json``, is written last.

    Args:
        out: The folder.
        manifest: The dataset's manifest.
        exporter: Name of the exporter.
        options: What was asked for.

    Raises:
        SettingsError: Something else stands there, or the folder is the dataset's own.
        StorageError: The disk is full or the place cannot be written.
    """
    given = options or {}
    if out.exists() and not (out / ACCOUNT_NAME).is_file() and (not out.is_dir() or any(out.iterdir())):
        raise SettingsError(f"{out} holds something that is no export of racoon", hint="name another folder")
    with whole_folder(out) as partial:
        folder = ExportFolder(partial, is_copy=given.get("copy", "no") == "yes")
        yield folder
        account = ExportAccount(
            exporter=exporter,
            dataset=manifest.name,
            dataset_sha256=manifest.dataset_sha256,
            options=given,
            files=sum(path.is_file() for path in partial.rglob("*")),
            notes=tuple(folder.notes),
            outcomes=tuple(OutcomeRecord.model_validate(one.to_json()) for one in _left_out(folder.outcomes)),
            racoon=__version__,
        )
        write_json(partial / ACCOUNT_NAME, account.model_dump(mode="json"))


def _left_out(outcomes: list[Outcome]) -> list[Outcome]:
    return [one for one in outcomes if one.status is not Status.DONE]
