"""Steps that journeys share: an archive, a fresh site, a study file, the command line, the account of a walk."""

from __future__ import annotations

import contextlib
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from racoon_data.cli.main import app
from racoon_data.deid.pseudonyms import Pseudonymizer
from racoon_data.deid.vault import load_key
from racoon_data.faults import NO_FAULTS, FaultPlan
from racoon_data.outcomes import Outcome
from racoon_data.pacs.serve import EmbeddedPacs
from racoon_data.pipeline.account import Account
from racoon_data.pipeline.plan import Plan, plan_study
from racoon_data.pipeline.walk import walk as walk_plan
from racoon_data.settings import StudySettings, load_toml
from racoon_data.site.paths import open_site
from racoon_data.testing.makers import MadeSeg, MadeSeries, a_seg, a_series

LABELS = {
    "schema_version": "1.0",
    "name": "lung",
    "version": "1",
    "labels": [{"value": 1, "name": "lesion", "codes": [], "synonyms": ["Lesion"], "priority": 1}],
}
STUDY = """
name = "lung"
channels = [{ name = "CT", modality = "CT" }]
labels = { schema_file = "labels.json" }
recipe = { spacing_mm = "native" }
test_fraction = 0.0
"""
SMALL = {"slices": 8, "rows": 24, "columns": 28}


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The JSON document on stdout."""
        return json.loads(self.out)


def racoon(*arguments: object) -> Said:
    """Run the command line in this process, as a shell would."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app([str(argument) for argument in arguments], prog_name="racoon")
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
    return Said(code, out.getvalue(), err.getvalue())


def a_site(root: Path, *, port: int, ae_title: str = "PACS") -> Path:
    """Create a site whose node ``pacs`` is the given port on this machine."""
    said = racoon("init", root, "--name", "site-a", "--port", port, "--ae-title", ae_title)
    assert said.exit_code == 0, said.err
    return root


def a_study(folder: Path, text: str) -> Path:
    """Write a study file."""
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def a_lesion(folder: Path, series: MadeSeries, *, name: str = "Lesion") -> MadeSeg:
    """Outline one lesion of 3 x 6 x 8 voxels on a small series."""
    mask = np.zeros((8, 24, 28), dtype=bool)
    mask[3:6, 8:14, 10:18] = True
    (seg,) = a_seg(folder, series, {name: mask})
    return seg


def a_patient(archive: Path, name: str, **options: Any) -> tuple[MadeSeries, MadeSeg]:
    """One patient in the archive: a CT series that looks like no other, and the segmentation of one lesion."""

    def look(k: Any, j: Any, i: Any) -> Any:
        return 37 * k + 5 * j + 2 * i + zlib.crc32(name.encode()) % 97 * (k == 0)

    options = {**SMALL, "patient_id": name, "seed": name, "value_of": look, **options}
    made = a_series(archive / name / "ct", **options)
    return made, a_lesion(archive / name / "seg", made)


@contextmanager
def served(folder: Path, faults: FaultPlan = NO_FAULTS) -> Iterator[Path]:
    """Serve ``folder/archive`` while the block runs, to the site ``folder/site``, made where it is absent."""
    with EmbeddedPacs(folder / "archive", faults=faults) as pacs:
        site = folder / "site"
        if not site.exists():
            a_site(site, port=pacs.port)
        settings = site / "racoon.toml"
        lines = [
            f"port = {pacs.port}" if line.startswith("port =") else line for line in settings.read_text().splitlines()
        ]
        settings.write_text("\n".join(lines))
        yield site


def walk(folder: Path, *, expect: int, study: str = STUDY) -> Any:
    """Serve the archive, walk by the command line, and give the account."""
    with served(folder) as site:
        said = racoon("run", a_study(folder, study), "--site", site, "--json")
    assert said.exit_code == expect, said.err[-1500:] + said.out[-3000:]
    return said.document


def the_plan(folder: Path, study: str = STUDY) -> Plan:
    """The plan of a study at the site of a folder."""
    settings = load_toml(a_study(folder, study), StudySettings)
    return plan_study(open_site(folder / "site"), settings, base=folder)


def account_of(folder: Path, study: str = STUDY, faults: FaultPlan = NO_FAULTS) -> Account:
    """Serve the archive, walk, and make sure that every instance of the archive ends exactly once."""
    with served(folder, faults) as site:
        account = walk_plan(the_plan(folder, study))
    uid = Pseudonymizer(load_key(site / "vault")).uid
    listed = [
        uid(pydicom.dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)
        for path in (folder / "archive").rglob("*.dcm")
    ]
    assert sorted(outcome.ref.sop_uid for outcome in account.stages[0].outcomes) == sorted(listed)
    for stage in account.to_json()["stages"]:
        assert stage["in"] == stage["used"] + stage["repaired"] + stage["skipped"] + stage["failed"]
    return account


def ends(outcomes: tuple[Outcome, ...]) -> dict[str, int]:
    """Count outcomes by code; what was used stands under ``used``."""
    codes = [outcome.code or "used" for outcome in outcomes]
    return {code: codes.count(code) for code in sorted(set(codes))}


def reasons(account: Any, stage: str) -> Any:
    """Give the reasons of a stage and make sure that its sums agree."""
    (row,) = [row for row in account["stages"] if row["name"] == stage]
    assert row["in"] == row["used"] + row["repaired"] + row["skipped"] + row["failed"]
    assert row["skipped"] + row["failed"] == sum(row["reasons"].values())
    return row["reasons"]


def files_of(root: Path) -> dict[str, bytes]:
    """Every file below a folder and its bytes."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
