"""Site x label x reader: outlined, absent and not annotated are three things."""

import json
from dataclasses import replace

from typer.testing import CliRunner

from racoon_data.cli.main import app
from racoon_data.harmonize.coverage import coverage_of
from tests.dataset.makers import NAMES, a_case, a_dataset


def _partial(number):
    """A case whose readers looked for different labels: r1 never looks for effusions, r2 for nothing else."""
    case = a_case(number)
    looked_for = ("ground-glass-opacity", "consolidation")
    parts = (("r1", looked_for), ("r2", ("pleural-effusion",)))
    return replace(case, label_map=replace(case.label_map, annotated=looked_for, annotated_by=parts))


def test_absent_is_not_the_same_as_not_annotated(tmp_path):
    """An effusion nobody looked for is not counted as absent, for the dataset and for its readers."""
    whole = a_case(1)
    whole = replace(whole, label_map=replace(whole.label_map, annotated=NAMES))
    a_dataset(tmp_path, [whole, _partial(2)])

    found = coverage_of([tmp_path])
    cells = {(cell.reader, cell.label): (cell.present, cell.absent, cell.not_annotated) for cell in found.cells}

    assert cells["", "ground-glass-opacity"] == (2, 0, 0)
    assert cells["", "pleural-effusion"] == (0, 1, 1)
    readers = {reader for reader, _ in cells} - {""}
    assert len(readers) > 0
    assert all(sum(cells[reader, "pleural-effusion"]) > 0 for reader in readers)


def test_the_matrix_is_shown(tmp_path):
    """The command counts datasets of several sites, as a table and as JSON; no dataset is an error."""
    a_dataset(tmp_path / "a", [a_case(1)])

    def run(*words):
        return CliRunner().invoke(app, ["labels", "coverage", *words])

    shown = run(str(tmp_path / "a"))
    assert "1/0/0" in shown.stdout
    document = json.loads(run(str(tmp_path / "a"), "--json").stdout)
    assert {cell["label"] for cell in document["cells"]} == set(document["labels"])
    assert run(str(tmp_path)).exit_code != 0
