"""A dataset is built beside the old one and takes its place when it is whole."""

from __future__ import annotations

import shutil
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from racoon_data.files.atomic import sha256_of, share_file
from racoon_data.files.folders import mend_place, put_in_place
from racoon_data.files.manifest import MANIFEST_NAME, CaseRecord, SplitMemory, load_manifest


class Staging:
    """A folder ``.NAME.partial`` beside the dataset; what a broken walk left in it is used again.

    Attributes:
        final: Where the dataset will stand.
        root: Where it is built.
    """

    def __init__(self, final: Path, *, ending: str = "partial") -> None:
        self.final = final
        self.root = final.with_name(f".{final.name}.{ending}")

    def __enter__(self) -> Self:
        """Open the folder; mend a publication that was cut between its two renames, and clear half-written files."""
        mend_place(self.final)
        self.root.mkdir(parents=True, exist_ok=True)
        for half in self.root.rglob(".*.partial"):
            half.unlink()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the folder where it is: after an error the next walk goes on from it."""

    def reuse(self, record: CaseRecord) -> CaseRecord | None:
        """Bring the files of an unchanged case over from the dataset that stands now.

        Args:
            record: The case as it was remembered; it may have changed sides since.

        Returns:
            The case where its files are, every one whole; ``None`` where they are not.
        """
        for one in (record, self._standing.get(record.case_id)):
            if one is not None and one.contents == record.contents and self._bring_all(one):
                return one
        return None

    def _bring_all(self, record: CaseRecord) -> bool:
        return all(self._bring(path, expected) for path, expected in record.sha256.items())

    @cached_property
    def _standing(self) -> dict[str, CaseRecord]:
        if not (self.final / MANIFEST_NAME).is_file():
            return {}
        return {case.case_id: case for case in load_manifest(self.final).cases}

    def bring_everything(self) -> None:
        """Begin with every file of the dataset that stands now; nothing is read, files are shared where possible."""
        shutil.rmtree(self.root, ignore_errors=True)
        for source in sorted(self.final.rglob("*")):
            if source.is_file():
                share_file(source, self.root / source.relative_to(self.final))

    def _bring(self, path: str, expected: str) -> bool:
        target, source = self.root / path, self.final / path
        if target.is_file() and sha256_of(target) == expected:
            return True
        if not source.is_file() or sha256_of(source) != expected:
            return False
        share_file(source, target)
        return True

    def earlier_splits(self) -> SplitMemory | None:
        """Recall where patients stand in the dataset that stands now; ``None`` where none does.

        Raises:
            SchemaError: Its manifest cannot be read, and with it the places of its patients.
        """
        return load_manifest(self.final).splits if (self.final / MANIFEST_NAME).is_file() else None

    def publish(self) -> None:
        """Put the finished dataset in its place; the old one goes when the new one stands."""
        put_in_place(self.root, self.final)
