"""Files are whole or absent, and a disk that cannot take them says so."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from racoon_data.errors import DiskFullError, StorageError
from racoon_data.files.atomic import is_partial, whole_file, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path: Path):
    """The temporary file goes with the error, the file that stood stays."""
    path = tmp_path / "a.json"
    path.write_text("old")

    def torn() -> None:
        with whole_file(path) as partial:
            partial.write_text("new")
            raise KeyError(is_partial(partial.name))

    with pytest.raises(KeyError, match="True"):
        torn()

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path):
    """A file stands where a folder is to be: one sentence instead of a failure of every item."""
    (tmp_path / "out").write_text("a file")

    with pytest.raises(StorageError, match="out"):
        write_text(tmp_path / "out" / "a.json", "text")


def test_a_disk_that_is_full_when_a_folder_is_made_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A new folder needs space too."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", full)

    with pytest.raises(DiskFullError):
        write_text(tmp_path / "new" / "a.json", "text")


def test_a_folder_under_the_name_of_a_file_is_a_storage_error(tmp_path: Path):
    """What stands in the way is named, and the temporary file goes."""
    (tmp_path / "a.json").mkdir()

    with pytest.raises(StorageError, match=r"a\.json"):
        write_text(tmp_path / "a.json", "text")

    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
