"""The quarantine: originals that wait for a person, each with the reason, named by hash."""

from __future__ import annotations

import shutil
from pathlib import Path

from racoon_data.files.atomic import make_folder, whole_file, write_json
from racoon_data.outcomes import Outcome


def set_aside(path: Path, folder: Path, *, sha256: str, outcome: Outcome) -> Path:
    """Copy an original into the quarantine with the reason beside it.

    Args:
        path: The original.
        folder: The quarantine; readable by its owner alone.
        sha256: Hash of the original's bytes; it names the copy.
        outcome: Why it waits.

    Returns:
        The copy.
    """
    make_folder(folder)
    folder.chmod(0o700)
    copy = folder / f"{sha256}.dcm"
    if not copy.exists():
        with whole_file(copy) as partial:
            shutil.copyfile(path, partial)
            partial.chmod(0o600)
    reason = {"sha256": sha256, "code": outcome.code, "message": outcome.message, "hint": outcome.hint}
    write_json(folder / f"{sha256}.json", reason)
    return copy
