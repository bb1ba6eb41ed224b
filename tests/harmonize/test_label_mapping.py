"""Segments become labels by code, then by name; the rest is listed."""

from copy import deepcopy

import numpy as np
import pytest

from racoon_data.errors import GridMismatchError, NoAnnotationError, SettingsError, UnknownLabelError
from racoon_data.harmonize.label_mapping import MapRules, map_annotations, match_segment, schema_from
from racoon_data.labels import CodedConcept
from tests.grid.makers import a_grid
from tests.harmonize.makers import CONSOLIDATION, DOCUMENT, EFFUSION, TISSUE, a_schema, a_segment, an_annotation

GRID = a_grid((6, 5, 4))
LEFT = CodedConcept("7771000", "SCT", "Left")
LUNG = CodedConcept("39607008", "SCT", "Lung")


def _block(*slices: slice) -> np.ndarray:
    mask = np.zeros(GRID.array_shape, dtype=bool)
    mask[slices] = True
    return mask


ALL = _block(slice(None))
HALF = _block(slice(0, 2))


@pytest.mark.parametrize(
    ("segment", "label", "by"),
    [
        (a_segment("x", EFFUSION), "effusion", "code"),
        (a_segment("x", CodedConcept("D2-80100", "SRT")), "effusion", "code"),
        (a_segment("Konsolidierung", EFFUSION), "effusion", "code"),
        (a_segment("Konsolidierung 3", TISSUE), "consolidation", "name"),
        (a_segment("milchglastruebung"), "ggo", "name"),
        (a_segment("Segment 1", CodedConcept("N/A", "RACOON", "Ground glass opacity")), "ggo", "meaning"),
        (a_segment("ggo", CodedConcept("N/A", "RACOON", "Lung lesion")), "ggo", "name"),
        (a_segment("Effusion", CodedConcept("1234", "RACOON", "something")), "effusion", "name"),
    ],
)
def test_codes_first_and_names_second(segment, label, by):
    """SCT, SRT and private N/A codes, German and English names all reach their label."""
    match = match_segment(segment, a_schema())

    assert match.label is not None
    assert (match.label.name, match.by) == (label, by)


def test_a_placeholder_never_matches_by_code():
    """RACOON's N/A stands for three lesion types and is none of them."""
    match = match_segment(a_segment("Segment 1", CodedConcept("N/A", "RACOON", "Lesion")), a_schema())

    assert match.label is None


def test_names_that_disagree_are_no_match():
    """A name that says one label beside words that say another is listed, not guessed."""
    match = match_segment(a_segment("GGO", CodedConcept("N/A", "RACOON", "Pleural effusion")), a_schema())

    assert match.label is None
    assert "effusion, ggo" in match.why


def test_modifier_and_region_count_where_the_label_asks():
    """A label that asks for a modifier and a region matches by code only with both."""
    concept = [{"value": "60046008", "scheme": "SCT"}]
    asked = {
        "type_modifiers": [{"value": "7771000", "scheme": "SCT"}],
        "regions": [{"value": "T-28000", "scheme": "SRT"}],
    }
    left_only = a_schema(codes=concept, **asked)

    assert match_segment(a_segment("x", EFFUSION, type_modifier=LEFT, region=LUNG), left_only).by == "code"
    assert match_segment(a_segment("x", EFFUSION, type_modifier=LEFT), left_only).label is None
    assert match_segment(a_segment("x", EFFUSION, region=LUNG), left_only).label is None


def test_the_label_that_asks_for_most_wins():
    """Where a plain and a left-sided label share a code, the modifier decides."""
    document = deepcopy(DOCUMENT)
    document["labels"][1].update(
        codes=document["labels"][0]["codes"], type_modifiers=[{"value": "7771000", "scheme": "SCT"}]
    )
    schema = schema_from(document)

    assert match_segment(a_segment("x", EFFUSION, type_modifier=LEFT), schema).label == schema.labels[1]
    assert match_segment(a_segment("x", EFFUSION), schema).label == schema.labels[0]


def test_one_lesion_per_file_becomes_one_label():
    """Files of one reader are united label by label."""
    first, second = _block(slice(0, 1)), _block(slice(2, 3))
    files = [
        an_annotation((a_segment("Cons 1"), first), geometry=GRID, uid="1.5"),
        an_annotation((a_segment("Cons 2"), second), geometry=GRID, uid="1.6"),
    ]

    mapped = map_annotations(files, a_schema(), geometry=GRID)

    assert np.array_equal(mapped.label_map.array == 2, first | second)
    assert mapped.unmapped == ()
    assert mapped.label_map.array.dtype == np.uint8


def test_overlaps_go_to_the_higher_priority_and_are_counted():
    """Consolidation (3) lies over effusion (1); each voxel effusion lost is counted."""
    masks = [(a_segment("x", CONSOLIDATION), HALF), (a_segment("y", EFFUSION), ALL)]

    for order in (masks, masks[::-1]):
        mapped = map_annotations([an_annotation(*order, geometry=GRID)], a_schema(), geometry=GRID)
        assert np.all(mapped.label_map.array[:2] == 2)
        assert np.all(mapped.label_map.array[2:] == 1)
        assert mapped.label_map.overwritten == (("effusion", int(HALF.sum())),)


def test_what_does_not_map_is_listed():
    """Unknown segments keep their name and code in the list, each once, in order."""
    unknown = CodedConcept("M-01000", "SRT", "Thing")
    annotation = an_annotation(
        (a_segment("GGO"), HALF),
        (a_segment("zebra"), ALL),
        (a_segment("Herd", unknown), ALL),
        (a_segment("Herd", unknown), HALF),
        geometry=GRID,
    )

    mapped = map_annotations([annotation], a_schema(), geometry=GRID)

    assert mapped.unmapped == ("Herd (SRT:M-01000)", "zebra")


def test_absent_is_not_not_annotated():
    """A label without a mask is absent where it was looked for; one the site does not annotate is neither."""
    annotation = an_annotation((a_segment("GGO"), HALF), (a_segment("y", EFFUSION), ALL), geometry=GRID)

    everything = map_annotations([annotation], a_schema(), geometry=GRID)
    some = map_annotations([annotation], a_schema(), geometry=GRID, rules=MapRules(annotated=("ggo", "consolidation")))

    assert everything.label_map.annotated == ("effusion", "consolidation", "ggo")
    assert some.label_map.annotated == ("consolidation", "ggo")
    assert not np.any(some.label_map.array == 1)
    assert some.unmapped == ("y (SCT:60046008): effusion is not annotated at this site",)


def test_a_map_that_would_be_empty_for_want_of_words_is_refused():
    """Masks of which none is known do not become a case that claims to be healthy."""
    annotation = an_annotation((a_segment("zebra"), ALL), geometry=GRID)

    with pytest.raises(UnknownLabelError, match="zebra") as caught:
        map_annotations([annotation], a_schema(), geometry=GRID)

    assert caught.value.is_skip
    with pytest.raises(NoAnnotationError):
        map_annotations([], a_schema(), geometry=GRID)


def test_an_empty_mask_of_a_known_label_is_absence():
    """A reader who looked and outlined nothing makes a map of background."""
    nothing = an_annotation((a_segment("GGO"), np.zeros(GRID.array_shape, dtype=bool)), geometry=GRID)

    assert not map_annotations([nothing], a_schema(), geometry=GRID).label_map.array.any()


@pytest.mark.parametrize(
    ("policy", "rows"), [("union", (0, 1, 2)), ("majority", (1,)), ("single:a", (0, 1)), ("single:c", ())]
)
def test_readers_are_fused_by_policy(policy, rows):
    """Three readers: a sees rows 0-1, b rows 1-2, c only an effusion elsewhere."""
    readers = [
        an_annotation((a_segment("GGO"), _block(slice(None), slice(0, 2))), geometry=GRID, reader="a"),
        an_annotation((a_segment("GGO"), _block(slice(None), slice(1, 3))), geometry=GRID, reader="b"),
        an_annotation((a_segment("e", EFFUSION), _block(slice(None), slice(4, 5))), geometry=GRID, reader="c"),
    ]

    mapped = map_annotations(readers, a_schema(), geometry=GRID, rules=MapRules(policy=policy))

    expected = np.zeros(GRID.array_shape, dtype=bool)
    expected[:, list(rows)] = True
    assert np.array_equal(mapped.label_map.array == 3, expected)
    assert mapped.readers == ("a", "b", "c")


def test_a_single_reader_who_is_absent_skips_the_case():
    """Another reader does not silently take the place of the one that was named."""
    annotation = an_annotation((a_segment("GGO"), HALF), geometry=GRID, reader="a")

    with pytest.raises(NoAnnotationError):
        map_annotations([annotation], a_schema(), geometry=GRID, rules=MapRules(policy="single:b"))


def test_a_mask_on_another_grid_is_refused():
    """A shifted mask never lands beside its lesion."""
    shifted = an_annotation((a_segment("GGO"), HALF), geometry=a_grid((6, 5, 4), origin=(0, 0, 0)))

    with pytest.raises(GridMismatchError) as caught:
        map_annotations([shifted], a_schema(), geometry=GRID)

    assert caught.value.ref == shifted.source


def test_wrong_settings_are_named():
    """An unknown annotated label or policy is a matter of settings."""
    annotation = an_annotation((a_segment("GGO"), HALF), geometry=GRID)

    with pytest.raises(SettingsError, match="liver"):
        map_annotations([annotation], a_schema(), geometry=GRID, rules=MapRules(annotated=("liver",)))
    with pytest.raises(SettingsError, match="best"):
        map_annotations([annotation], a_schema(), geometry=GRID, rules=MapRules(policy="best"))


def _readers(*rows):
    """One ground glass opacity a reader, on the rows given."""
    return [
        an_annotation((a_segment("GGO"), _block(slice(None), row)), geometry=GRID, reader=name, uid=f"1.5.{name}")
        for name, row in zip("abcd", rows, strict=False)
    ]


def test_a_tie_is_undecided():
    """Two readers: where only one sees it, the voxel is outside, or not to be learned from."""
    readers = _readers(slice(0, 2), slice(1, 3))

    outside, ignored = (
        map_annotations(readers, a_schema(), geometry=GRID, rules=MapRules(policy="majority", undecided=what))
        for what in ("outside", "ignore")
    )

    assert np.unique(outside.label_map.array[:, [0, 2]]).tolist() == [0]
    assert np.unique(ignored.label_map.array[:, [0, 2]]).tolist() == [255]
    assert np.unique(ignored.label_map.array[:, 1]).tolist() == [3]
    assert np.unique(ignored.label_map.array[:, 3:]).tolist() == [0]


def test_staple_trusts_those_who_agree():
    """Three readers agree, a fourth outlines another place: STAPLE follows the three."""
    readers = _readers(slice(0, 2), slice(0, 2), slice(0, 2), slice(3, 4))

    mapped = map_annotations(readers, a_schema(), geometry=GRID, rules=MapRules(policy="staple"))

    assert np.array_equal(mapped.label_map.array == 3, _block(slice(None), slice(0, 2)))


def test_a_reader_votes_only_on_what_he_looks_for():
    """A reader of effusions has no vote on opacities, and the case says who looked for what."""
    readers = [
        *_readers(slice(0, 2)),
        an_annotation(
            (a_segment("e", EFFUSION), _block(slice(None), slice(4, 5))), geometry=GRID, reader="z", uid="1.6"
        ),
    ]
    rules = MapRules(policy="majority", annotated_by={"z": ("effusion",), "a": ("ggo",)})

    mapped = map_annotations(readers, a_schema(), geometry=GRID, rules=rules)

    assert np.array_equal(mapped.label_map.array == 3, _block(slice(None), slice(0, 2)))
    assert np.array_equal(mapped.label_map.array == 1, _block(slice(None), slice(4, 5)))
    assert mapped.label_map.annotated == ("effusion", "ggo")
    assert dict(mapped.label_map.annotated_by)["z"] == ("effusion",)


def test_unknown_segments_are_listed_ignored_or_refused():
    """A segment of no label is never dropped unseen: it is listed, and its voxels are what the rules say."""
    stranger = an_annotation(
        (a_segment("zebra"), _block(slice(None), slice(4, 5))), geometry=GRID, reader="a", uid="1.6"
    )
    readers = [*_readers(slice(0, 2)), stranger]

    plain = map_annotations(readers, a_schema(), geometry=GRID)
    ignored = map_annotations(readers, a_schema(), geometry=GRID, rules=MapRules(unmapped="ignore"))

    assert plain.unmapped == ignored.unmapped == ("zebra",)
    assert np.unique(plain.label_map.array[:, 4]).tolist() == [0]
    assert np.unique(ignored.label_map.array[:, 4]).tolist() == [255]
    with pytest.raises(UnknownLabelError, match="zebra"):
        map_annotations(readers, a_schema(), geometry=GRID, rules=MapRules(unmapped="refuse"))


def test_what_nobody_looked_for_need_not_be_background():
    """Where a label was not looked for, unlabelled voxels may be left out of learning."""
    rules = MapRules(annotated=("ggo",), not_annotated="ignore")

    mapped = map_annotations(_readers(slice(0, 2)), a_schema(), geometry=GRID, rules=rules)

    assert np.unique(mapped.label_map.array).tolist() == [3, 255]
