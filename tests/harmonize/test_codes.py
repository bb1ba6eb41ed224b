"""Codes and names compare by what they mean."""

import pytest

from racoon_data.harmonize.codes import code_key, name_key, name_keys
from racoon_data.labels import CodedConcept


@pytest.mark.parametrize("scheme", ["SRT", "SNM3", "99SDM", "srt"])
def test_snomed_rt_becomes_snomed_ct(scheme):
    """Legacy codes under each of their designators are the SNOMED CT code; this also guards pydicom's table."""
    assert code_key(CodedConcept("D2-80100", scheme)) == ("SCT", "60046008")
    assert code_key(CodedConcept("T-28000", scheme)) == ("SCT", "39607008")


def test_codes_outside_the_table_stay_what_they_are():
    """A retired code nobody translated still compares with itself."""
    assert code_key(CodedConcept("R-42F04", "SRT")) == ("SRT", "R-42F04")
    assert code_key(CodedConcept("60046008", " sct ")) == ("SCT", "60046008")


@pytest.mark.parametrize("value", ["N/A", "n/a", "", " ", "0.0.0.0.0.0.00000.0.000.0.00"])
def test_placeholders_are_no_codes(value):
    """What tools write in place of a code never compares equal to anything."""
    assert code_key(CodedConcept(value, "RACOON")) is None
    assert code_key(None) is None


def test_spelling_does_not_matter():
    """Case, punctuation, camel case and umlauts are spelling."""
    assert {name_key(name) for name in ("Ground-Glass Opacity", "ground_glass opacity", "GroundGlassOpacity")} == {
        "groundglassopacity"
    }
    assert name_key("Milchglastrübung") == name_key("MILCHGLASTRUEBUNG")
    assert name_key("Pleuraerguß") == name_key("Pleuraerguss")
    assert name_key("Épanchement") == "epanchement"


def test_a_lesion_counter_is_tried_without():
    """``GGO 2`` is a second GGO, while ``T1`` is a name of its own."""
    assert name_keys("GGO 2") == ("ggo2", "ggo")
    assert name_keys("GGO_#12") == ("ggo12", "ggo")
    assert name_keys("T1") == ("t1",)
    assert name_keys(" 7") == ("7",)
    assert name_keys("--") == ()
