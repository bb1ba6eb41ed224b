"""Label tables of other tools become label schemas that match those tools' segments."""

import json

import pytest
from typer.testing import CliRunner

from racoon_data.cli.main import app
from racoon_data.errors import SchemaError, SettingsError
from racoon_data.harmonize.german import german_names
from racoon_data.harmonize.label_import import import_table
from racoon_data.harmonize.label_mapping import load_schema, match_segment, schema_from
from racoon_data.harmonize.label_tables import read_table
from racoon_data.labels import CodedConcept
from tests.harmonize.makers import a_segment

LEFT, RIGHT = CodedConcept("7771000", "SCT", "Left"), CodedConcept("24028007", "SCT", "Right")
KIDNEY = CodedConcept("64033007", "SCT", "Kidney")

_PARTS = (
    "SegmentedPropertyCategoryCodeSequence",
    "SegmentedPropertyTypeCodeSequence",
    "SegmentedPropertyTypeModifierCodeSequence",
    "AnatomicRegionSequence",
    "AnatomicRegionModifierSequence",
)
_TOTAL_HEAD = ",".join(
    f"{part}.{end}" for part in _PARTS for end in ("CodingSchemeDesignator", "CodeValue", "CodeMeaning")
)
TOTAL = f"""Structure,{_TOTAL_HEAD},DicomRGBColor
kidney_left,SCT,123037004,Anatomical Structure,SCT,64033007,Kidney,SCT,7771000,Left,,,,,,,"1,2,3"
kidney_right,SCT,123037004,Anatomical Structure,SCT,64033007,Kidney,SCT,24028007,Right,,,,,,,"1,2,3"
rib_left_1,SCT,123037004,Anatomical Structure,SCT,48535007,First rib,SCT,7771000,Left,,,,,,,"1,2,3"
kidney_cyst_left,SCT,49755003,Altered,SCT,367643001,Cyst,,,,SCT,64033007,Kidney,SCT,7771000,Left,"1,2,3"
phalanges_feet,SCT,123037004,Anatomical Structure,SCT,28641004,Phalanx structure,,,,,,,,,,"1,2,3"
phalanges_hand,SCT,123037004,Anatomical Structure,SCT,28641004,Phalanx structure,,,,,,,,,,"1,2,3"
"""
DCMQI = {
    "segmentAttributes": [
        [
            {
                "labelID": 3,
                "SegmentDescription": "Liver",
                "SegmentAlgorithmType": "MANUAL",
                "SegmentedPropertyCategoryCodeSequence": {
                    "CodeValue": "T-D000A", "CodingSchemeDesignator": "SRT", "CodeMeaning": "Anatomical Structure",
                },
                "SegmentedPropertyTypeCodeSequence": {
                    "CodeValue": "T-62000", "CodingSchemeDesignator": "SRT", "CodeMeaning": "Liver",
                },
                "recommendedDisplayRGBValue": [1, 2, 3],
            }
        ],
        [
            {
                "labelID": 1,
                "SegmentLabel": "Lesion",
                "SegmentedPropertyCategoryCodeSequence": [
                    {"CodeValue": "49755003", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Altered"}
                ],
                "SegmentedPropertyTypeCodeSequence": [
                    {"CodeValue": "4147007", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Mass"}
                ],
                "AnatomicRegionSequence": [
                    {"CodeValue": "10200004", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Liver"}
                ],
            }
        ],
    ]
}  # fmt: skip
TERMINOLOGY = {
    "SegmentationCategoryTypeContextName": "List",
    "SegmentationCodes": {
        "Category": [
            {
                "CodeMeaning": "Anatomical Structure",
                "CodingSchemeDesignator": "SCT",
                "CodeValue": "123037004",
                "Type": [
                    {
                        "CodeMeaning": "Kidney",
                        "CodingSchemeDesignator": "SCT",
                        "CodeValue": "64033007",
                        "Modifier": [
                            {"CodeMeaning": "Right", "CodingSchemeDesignator": "SCT", "CodeValue": "24028007"},
                            {"CodeMeaning": "Left", "CodingSchemeDesignator": "SCT", "CodeValue": "7771000"},
                        ],
                    },
                    {"CodeMeaning": "Spleen", "CodingSchemeDesignator": "SCT", "CodeValue": "78961009"},
                ],
            }
        ]
    },
}
_SLICER_HEAD = ",".join(
    f"{part}_{end}"
    for part in ("Category", "Type", "TypeModifier")
    for end in ("CodingScheme", "CodeValue", "CodeMeaning")
)
SLICER_CSV = f"""LabelValue,Name,Color_R,Color_G,Color_B,Color_A,{_SLICER_HEAD}
1,Niere L,1,2,3,255,SCT,123037004,Anatomical Structure,SCT,64033007,Kidney,SCT,7771000,Left
4,Milz,1,2,3,255,SCT,123037004,Anatomical Structure,SCT,78961009,Spleen,,,
"""
COLORS = """# Color table file x.ctbl
# 3 values
0 Background 0 0 0 0
1 artery 216 101 79 255
2 connective_tissue 1 2 3 255
"""


def _table(tmp_path, content, name="table"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return read_table(path)


def test_totalsegmentator_comes_with_sides_and_german(tmp_path):
    """5-tuples tell sides apart, German names match, and a code two structures share means neither."""
    made = import_table(_table(tmp_path, TOTAL), name="total")
    schema = schema_from(made.document)

    assert match_segment(a_segment("x", KIDNEY, type_modifier=RIGHT), schema).label.name == "kidney_right"
    assert match_segment(a_segment("linke Niere"), schema).label.name == "kidney_left"
    assert match_segment(a_segment("1. Rippe links"), schema).label.name == "rib_left_1"
    cyst = a_segment("x", CodedConcept("367643001", "SCT"), region=KIDNEY, region_modifier=LEFT)
    assert match_segment(cyst, schema).label.name == "kidney_cyst_left"
    assert match_segment(a_segment("x", CodedConcept("28641004", "SCT", "Phalanx structure")), schema).label is None
    assert match_segment(a_segment("phalanges hand"), schema).label.name == "phalanges_hand"
    assert len([note for note in made.notes if "its code means another label too" in note]) == 2


def test_dcmqi_metadata_is_read(tmp_path):
    """Retired codes are understood, gaps in the values are closed and told, regions are kept."""
    made = import_table(_table(tmp_path, DCMQI), name="liver")
    schema = schema_from(made.document)

    assert [(one.value, one.name) for one in schema.labels] == [(1, "Lesion"), (2, "Liver")]
    assert "Liver: value 3 became 2, so that values have no gap" in made.notes
    assert match_segment(a_segment("x", CodedConcept("10200004", "SCT")), schema).label.name == "Liver"
    mass = a_segment("x", CodedConcept("4147007", "SCT"), region=CodedConcept("10200004", "SCT"))
    assert match_segment(mass, schema).label.name == "Lesion"
    assert dict(schema.labels[1].written)["type"].value == "T-62000"


def test_slicer_tables_are_read(tmp_path):
    """Terminology, colour CSV and colour table of 3D Slicer each give labels."""
    terms = schema_from(
        import_table(_table(tmp_path, TERMINOLOGY), name="terms", only=["left kidney", "Spleen"]).document
    )
    table = schema_from(import_table(_table(tmp_path, SLICER_CSV), name="csv").document)
    colors = schema_from(import_table(_table(tmp_path, COLORS), name="colors").document)

    assert match_segment(a_segment("x", KIDNEY, type_modifier=LEFT), terms).label.value == 1
    assert [(one.value, one.name) for one in table.labels] == [(1, "Niere_L"), (2, "Milz")]
    assert match_segment(a_segment("x", KIDNEY, type_modifier=LEFT), table).label.name == "Niere_L"
    assert match_segment(a_segment("Connective Tissue"), colors).label.value == 2


def test_value_lists_are_read(tmp_path):
    """TotalSegmentator's list of values and nnU-Net's dataset.json give names alone."""
    total = _table(tmp_path, {"1": "spleen", "2": "liver"})
    nnunet = _table(tmp_path, {"channel_names": {"0": "CT"}, "labels": {"background": 0, "tumour": 1, "ignore": 2}})

    assert (total.kind, [row.name for row in total.rows]) == ("totalsegmentator", ["spleen", "liver"])
    assert (nnunet.kind, [row.name for row in nnunet.rows]) == ("nnunet", ["tumour"])


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", {"what": 1}, {"segmentAttributes": [[{"x": 1}]]}, "\x00\x01"])
def test_what_is_no_table_is_refused(tmp_path, content):
    """Anything else is refused with what is read."""
    with pytest.raises(SchemaError):
        _table(tmp_path, content)


def test_a_label_that_is_not_there_has_a_nearest(tmp_path):
    """A wanted label that the table lacks is refused, and the nearest is named."""
    with pytest.raises(SettingsError) as caught:
        import_table(_table(tmp_path, TOTAL), name="total", only=["kidney_lft"])

    assert caught.value.hint == "did you mean kidney_left?"


def test_german_bends_with_its_noun():
    """Sides follow the noun's gender, and unknown words have no German."""
    assert german_names("Kidney", "Left") == ("Niere links", "linke Niere")
    assert german_names("T12 vertebra") == ("12. Brustwirbel",)
    assert german_names("Sternoclavicular joint", "Left") == ()


def test_import_writes_a_schema(tmp_path):
    """The command writes what load_schema reads, shows it first with --dry-run, and never overwrites."""
    source, out = tmp_path / "total.csv", tmp_path / "labels.json"
    source.write_text(TOTAL, encoding="utf-8")

    def run(*words):
        return CliRunner().invoke(app, ["labels", "import", str(source), *words])

    looked = run("--dry-run", "--json")
    assert json.loads(looked.stdout)["kind"] == "totalsegmentator"
    assert not out.exists()
    assert run("--out", str(out), "--only", "kidney_left").exit_code == 0
    assert [label.name for label in load_schema(out).labels] == ["kidney_left"]
    assert run("--out", str(out)).exit_code == 3
    assert run().exit_code == 3
