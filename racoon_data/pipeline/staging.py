"""A dataset is built beside the old one and takes its place when it is whole."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

from racoon_data.files.atomic import sha256_of, whole_file
from racoon_data.files.manifest import MANIFEST_NAME, SplitMemory, load_manifest


class Staging:
    """A folder ``.NAME.partial`` beside the dataset; what a broken walk left in it is used again.

    Attributes:
        final: Where the dataset will stand.
        root: Where it is built.
    """

    def __init__(self, final: Path) -> None:
        self.final = final
        self.root = final.with_name(f".{final.name}.partial")
        self._old = final.with_name(f".{final.name}.old")

    def __enter__(self) -> Self:
        """Open the folder; mend a publication that was cut between its two renames, and clear half-written files."""
        if self._old.exists() and not self.final.exists():
            self._old.rename(self.final)
        shutil.rmtree(self._old, ignore_errors=True)
        self.root.mkdir(parents=True, exist_ok=True)
        for half in self.root.rglob(".*.partial"):
            half.unlink()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the folder where it is: after an error the next walk goes on from it."""

    def reuse(self, sha256: dict[str, str]) -> bool:
        """Bring the files of an unchanged case over from the dataset that stands now.

        Args:
            sha256: Checksum by path of every file of the case.

        Returns:
            True where every file is there, whole.
        """
        return all(self._bring(path, expected) for path, expected in sha256.items())

    def _bring(self, path: str, expected: str) -> bool:
        target, source = self.root / path, self.final / path
        if target.is_file() and sha256_of(target) == expected:
            return True
        if not source.is_file() or sha256_of(source) != expected:
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            os.link(source, target)
        except OSError:  # some network disks know no hard links
            with whole_file(target) as partial:
                shutil.copyfile(source, partial)
        return True

    def earlier_splits(self) -> SplitMemory | None:
        """Recall where patients stand in the dataset that stands now; ``None`` where none does.

        Raises:
            SchemaError: Its manifest cannot be read, and with it the places of its patients.
        """
        return load_manifest(self.final).splits if (self.final / MANIFEST_NAME).is_file() else None

    def publish(self) -> None:
        """Put the finished dataset in its place; the old one goes when the new one stands."""
        if self.final.exists():
            self.final.rename(self._old)
        self.root.rename(self.final)
        shutil.rmtree(self._old, ignore_errors=True)
