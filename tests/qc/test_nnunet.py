"""nnU-Net's own check is asked about planted defects; the page that compares us tells the truth."""

import pytest

from tests.qc.nnunet_table import PAGE, rows
from tests.qc.planting import TWELVE

SOME = ["label mirrored, header intact"]


@pytest.mark.peers("nnUNetv2_plan_experiment")
def test_the_page_says_what_both_checks_say(tmp_path):
    """Asked again, nnU-Net and racoon judge as docs/qc-nnunet.md says they do."""
    text = PAGE.read_text(encoding="utf-8")

    for row in rows(SOME, tmp_path):
        assert f"| {row.defect} | {row.nnunet} | {row.ours} |" in text


def test_the_page_names_all_twelve():
    """Every planted defect has its row, and racoon finds each."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()

    for name, (code, _) in TWELVE.items():
        (line,) = [line for line in lines if line.startswith(f"| {name} |")]
        assert f"`{code}`" in line
