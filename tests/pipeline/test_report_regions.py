"""What a report says reaches the case as rows; the regions it measured in never become labels."""

import numpy as np

from racoon_data.annotations.folder import find_annotations
from racoon_data.harmonize.label_schema import schema_from
from racoon_data.harmonize.recipe import Recipe
from racoon_data.labels import CodedConcept
from racoon_data.pipeline.build import Order, read_case
from racoon_data.pipeline.propose import CaseItem
from racoon_data.refs import CaseRef
from racoon_data.testing import report_items as built
from racoon_data.testing.makers import a_seg, a_series
from tests.annotations.helpers import box
from tests.harmonize.makers import DOCUMENT


def test_a_region_of_a_report_is_no_label(tmp_path):
    """The SEG's lesion is the label map; the report's larger polygon with the same name is not joined to it."""
    made = a_series(tmp_path / "in" / "ct", slices=4)
    lesion = box(made.geometry.array_shape, k=2, j=slice(3, 6), i=slice(4, 9))
    a_seg(tmp_path / "in", made, {"ggo": lesion})
    corners = [(1.5, 1.5), (20.5, 1.5), (20.5, 20.5), (1.5, 20.5), (1.5, 1.5)]
    volume = built.number(built.VOLUME, "1.5", CodedConcept("ml", "UCUM", "milliliter"))
    group = built.tracked_group("ggo", built.on_image(made, 2, "POLYLINE", corners), volume)
    built.a_report(tmp_path / "in", made, [group])
    links = find_annotations(tmp_path / "in").links
    series = next(link.series for link in links)
    item = CaseItem(CaseRef("case-001"), "P", None, (("CT", series),), links)
    order = Order(tmp_path / "out", Recipe(), schema_from(DOCUMENT), ("ggo",), True)

    case = read_case(item, order)

    assert case.label_map is not None
    np.testing.assert_array_equal(case.label_map.array != 0, lesion)
    assert [one.kind for one in case.annotations] == ["seg"]
    assert [(row.tracking_id, row.value, row.region) for row in case.findings] == [("ggo", "1.5", "SCOORD POLYLINE")]
