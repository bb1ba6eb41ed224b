"""``racoon annotations export`` shows its plan, writes, and ends with codes a script can use."""

import json

import pytest

from racoon_data import schemas
from racoon_data.testing.lung_codes import LABELS_PATH
from racoon_data.testing.makers import a_series
from tests.annotations.test_export import SIZE, a_label_map
from tests.journeys.steps import racoon


@pytest.fixture
def stack(tmp_path):
    """A series, a label map on it, and the arguments of an export."""
    series = a_series(tmp_path / "ct", **SIZE)
    path, _ = a_label_map(tmp_path, series)
    return ["annotations", "export", path, tmp_path / "ct", tmp_path / "out", "--labels", LABELS_PATH]


def test_a_dry_run_writes_nothing(stack, tmp_path):
    """The plan names segments and volumes, and the folder is not made."""
    said = racoon(*stack, "--algorithm", "net", "--algorithm-version", "1", "--dry-run", "--json")

    assert said.exit_code == 0, said.err
    schemas.validate("annotation-export", said.document)
    (plan,) = said.document["exports"]
    assert [row["name"] for row in plan["segments"]] == ["ground_glass_opacity", "consolidation"]
    assert plan["objects"] == []
    assert not (tmp_path / "out").exists()


def test_an_export_leaves_an_account(stack, tmp_path):
    """export.json is what --json prints, valid, and names files that exist."""
    said = racoon(*stack, "--reader", "Leser^Lena", "--as", "labelmap", "--date", "20240229", "--json")

    assert said.exit_code == 0, said.err
    document = json.loads((tmp_path / "out" / "export.json").read_text())
    assert document == said.document
    schemas.validate("annotation-export", document)
    (account,) = document["exports"]
    assert account["written_as_of"] == "20240229000000"
    assert all((tmp_path / "out" / one["file"]).is_file() for one in account["objects"])


@pytest.mark.parametrize(
    ("options", "code", "word"),
    [
        ([], 3, "nobody is named"),
        (["--algorithm", "net"], 3, "without a version"),
        (["--reader", "R", "--as", "surface"], 3, "no kind of segmentation"),
        (["--reader", "R", "--date", "20230229"], 3, "is no date"),
        (["--reader", "R", "--label", "liver"], 3, "no label"),
        (["--reader", "R", "--series", "1.2.3"], 8, "source series is not there"),
    ],
)
def test_refusals_have_a_reason_and_a_code(stack, options, code, word):
    """What is missing or wrong ends with its exit code and says what helps."""
    said = racoon(*stack, *options)

    assert said.exit_code == code
    assert word in said.err


def test_lesions_and_a_pseudonym_need_no_more_words(stack, tmp_path):
    """A reader of one word is a pseudonym, no comment; each connected part is a segment on request."""
    said = racoon(*stack, "--reader", "R1", "--lesions", "--json")

    assert (said.exit_code, said.err) == (0, "")
    (account,) = said.document["exports"]
    assert account["author"]["reader"] == "R1"
    assert len(account["objects"]) == 2
