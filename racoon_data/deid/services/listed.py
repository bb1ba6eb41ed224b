"""A study's own list of pseudonyms: CSV with the columns ``original`` and ``pseudonym``."""

from __future__ import annotations

import csv
import stat
from collections.abc import Sequence
from pathlib import Path

from racoon_data.errors import SettingsError
from racoon_data.node_settings import PseudonymSettings

_COLUMNS = ("original", "pseudonym")


def ask_list(settings: PseudonymSettings, root: Path, patient_ids: Sequence[str]) -> dict[str, str]:
    """Look patients up in a list; those that are not in it are missing.

    Args:
        settings: ``file`` names the list.
        root: The site.
        patient_ids: PatientIDs.

    Returns:
        Pseudonym by PatientID.

    Raises:
        SettingsError: There is no such list, others can read it, or a patient stands in it twice.
    """
    path = root / settings.file
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SettingsError("others can read the list of pseudonyms", hint=f"chmod 600 {settings.file}")
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SettingsError("the list of pseudonyms cannot be read", hint="deid.pseudonyms.file: UTF-8, CSV") from error
    wanted, found = frozenset(patient_ids), dict[str, str]()
    for number, row in enumerate(rows, start=2):
        original, pseudonym = (str(row.get(column) or "").strip() for column in _COLUMNS)
        if not original or not pseudonym:
            hint = "each row has an original and a pseudonym; the first line names the columns so"
            raise SettingsError(f"line {number} of the list of pseudonyms is not whole", hint=hint)
        if found.setdefault(original, pseudonym) != pseudonym:
            raise SettingsError(f"line {number} names a patient again", hint="one patient, one pseudonym")
    return {original: pseudonym for original, pseudonym in found.items() if original in wanted}
