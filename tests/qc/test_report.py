"""The report is one page that loads nothing, hides nothing and runs nothing but its own script."""

import base64
import hashlib
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from racoon_data.documents import read_json
from racoon_data.files.atomic import write_json
from racoon_data.geometry import Geometry, as_affine
from racoon_data.outcomes import Outcome, Status
from racoon_data.qc.plots import Dot, bars, share, strips
from racoon_data.qc.report import write_report
from racoon_data.qc.thumbnails import SIDE_PX, colour_of, thumbnails
from racoon_data.refs import StudyRef
from racoon_data.volumes import Volume
from tests.dataset.makers import NAMES, a_case, a_dataset

HOSTILE = "\"><script>alert('x')</script><img src=https://evil.example/a.png onerror=alert(1)>"


class Page(HTMLParser):
    """Collects tags, attributes and the text of style and script."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.raw, self._open = [], {"style": [], "script": []}, ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag):
        """Leave a tag."""
        self._open = ""

    def handle_data(self, data):
        """Note raw text."""
        if self._open in self.raw:
            self.raw[self._open].append(data)

    def values(self, *names):
        """List the values of attributes."""
        return [value for _, attributes in self.tags for name, value in attributes.items() if name in names]


def text_of(root):
    """Write the report of one dataset and read it."""
    (path,) = write_report([root]).paths
    return path.read_text(encoding="utf-8")


@pytest.fixture
def page(tmp_path):
    """A report with a hostile name, a finding and something left out."""
    cases = [a_case(1), a_case(2, unmapped=(HOSTILE,)), a_case(3, label_map=None, annotations=())]
    left_out = [Outcome(StudyRef("2.25.1"), "select", Status.SKIPPED, "case.ambiguous", HOSTILE, "name a kernel")]
    a_dataset(tmp_path, cases, left_out)
    return text_of(tmp_path)


def test_it_loads_nothing(page):
    """Every address is inside the page; pictures are data and links are anchors."""
    parsed = Page(page)

    assert all(value.startswith("data:image/webp;base64,") for value in parsed.values("src"))
    assert all(value.startswith("#") for value in parsed.values("href"))
    assert {value[1:] for value in parsed.values("href")} <= set(parsed.values("id"))
    assert not {tag for tag, _ in parsed.tags} & {"link", "iframe", "object", "embed", "base", "form"}
    assert "url(" not in "".join(parsed.raw["style"])
    assert "@import" not in "".join(parsed.raw["style"])


def test_its_policy_forbids_everything_else(page):
    """The policy allows data images and exactly the style and script that are there, by hash."""
    parsed = Page(page)
    policy = next(a["content"] for tag, a in parsed.tags if tag == "meta" and "http-equiv" in a)
    hashes = {
        kind: base64.b64encode(hashlib.sha256("".join(parsed.raw[kind]).encode()).digest()).decode()
        for kind in ("style", "script")
    }

    assert policy.startswith("default-src 'none'; img-src data:; ")
    assert f"style-src 'sha256-{hashes['style']}'" in policy
    assert f"script-src 'sha256-{hashes['script']}'" in policy
    assert "unsafe" not in policy


def test_hostile_text_stays_text(page):
    """A name with markup in it is shown and not run."""
    parsed = Page(page)

    assert [tag for tag, _ in parsed.tags].count("script") == 1
    assert not [name for _, attributes in parsed.tags for name in attributes if name.startswith("on")]
    assert not parsed.values("style")
    assert "&lt;script&gt;alert(" in page


def test_every_case_is_there_with_three_pictures(page):
    """Each case has a card with three pictures and a description of each."""
    parsed = Page(page)
    pictures = [attributes for tag, attributes in parsed.tags if tag == "img"]

    assert {value for value in parsed.values("id") if value.startswith("case-")} == {
        f"case-case-00{number}" for number in (1, 2, 3)
    }
    assert len(pictures) == 9
    assert all(len(picture["alt"]) > 20 for picture in pictures)


def test_numbers_and_reasons_are_told(page):
    """Sums, what was left out, coverage and the finding stand on the page."""
    assert "4 = 3 + 1 + 0" in page
    assert "case.ambiguous" in page
    assert "label.unmapped" in page
    assert re.search(r"\d+ present · \d+ absent · \d+ not annotated", page)


def test_same_dataset_same_page(tmp_path):
    """Two reports of one dataset agree in every byte."""
    a_dataset(tmp_path)

    first = text_of(tmp_path)

    assert text_of(tmp_path) == first


def test_a_case_that_cannot_be_drawn_says_why(tmp_path):
    """A damaged image leaves a sentence in place of its pictures, and the page is written."""
    manifest = a_dataset(tmp_path)
    (tmp_path / manifest.cases[0].images[0]).write_bytes(b"damaged")

    text = text_of(tmp_path)

    assert "No picture: " in text
    assert text.count("<img ") == 6


def picture_of(thumbnail):
    """Decode a picture."""
    data = base64.b64decode(thumbnail.data_uri.split(",")[1])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


@pytest.mark.parametrize("flip", [1, -1])
def test_the_patients_right_is_on_the_left(flip):
    """A lesion in the patient's left is drawn on the right of the picture, whatever the order of columns."""
    shape = (8, 64, 64)
    grid = Geometry((64, 64, 8), as_affine(np.diag([float(flip), 1, 1, 1])))
    labels = np.zeros(shape, dtype=np.uint8)
    columns = slice(48, 56) if flip == 1 else slice(8, 16)
    labels[4, 20:28, columns] = 1

    axial = picture_of(thumbnails(Volume(np.zeros(shape), grid, "HU"), labels, names={1: "a"})[0])

    is_coloured = np.abs(axial - colour_of(1)).sum(axis=2) < 90
    assert np.flatnonzero(is_coloured.any(axis=0)).min() > axial.shape[1] * 0.7


def test_pictures_keep_true_proportions():
    """Thick slices are drawn as tall as they are."""
    grid = Geometry((40, 40, 10), as_affine(np.diag([1.0, 1, 8, 1])))

    coronal = thumbnails(Volume(np.full((10, 40, 40), 40.0), grid, "HU"), None, names={})[1]

    assert (coronal.width, coronal.height) == (SIDE_PX // 2, SIDE_PX)


def test_the_slice_with_most_lesion_is_shown():
    """The axial picture is the slice with the most labelled voxels."""
    case = a_case()

    axial = thumbnails(case.channels[0].volume, case.label_map.array, names=dict(enumerate(NAMES, start=1)))[0]

    assert axial.place == "slice 5 of 10"


def test_plots_describe_themselves():
    """Each plot tells its numbers to a screen reader and escapes names."""
    dots = [Dot(value, f"c{value}", f"#case-{value}") for value in (1.0, 10.0, 100.0)]
    svg = strips({"a<b": dots, "none": []}, title="Volume", unit="ml", colours={})

    assert 'aria-label="Volume. a&lt;b: 3 values, median 10 ml; none: no value"' in svg
    assert "2" in bars({"x": 2}, title="Scanner")
    assert 'width="75.00"' in share({"used": 3, "failed": 1}, label="cases")
    assert "<svg" in share({"used": 0}, label="cases")


def test_many_labels_reuse_colours():
    """A label beyond the palette still has a colour."""
    assert colour_of(8) == colour_of(1)


def test_many_values_are_an_outline_and_their_ends():
    """A row of very many values costs a shape and ten dots, not a thousand dots."""
    dots = [Dot(float(number), f"c{number}", f"#c{number}") for number in range(1, 1001)]

    svg = strips({"many": dots}, title="Volume", unit="ml", colours={})

    assert svg.count("<circle") == 10
    assert 'href="#c1000"' in svg
    assert svg.count("<polygon") == 1


def test_a_plain_axis_holds_values_below_zero():
    """HU are drawn on a plain axis, with round ticks on either side of zero."""
    svg = strips({"HU": [Dot(-900.0), Dot(50.0)]}, title="Value", unit="HU", colours={}, is_log=False)

    assert svg.count("<circle") == 2
    assert ">-400</text>" in svg


def test_very_many_cases_stand_on_further_pages(tmp_path):
    """Beyond a page's cases further pages follow, findings lead to them, and pages of an older report go."""
    cases = [a_case(1), a_case(2), a_case(3, unmapped=("Narbe",))]
    a_dataset(tmp_path, cases)
    (tmp_path / "qc").mkdir()
    (tmp_path / "qc" / "report-7.html").write_text("old")

    report = write_report([tmp_path], per_page=2)

    assert [path.name for path in report.paths] == ["report.html", "report-2.html"]
    first, second = (path.read_text(encoding="utf-8") for path in report.paths)
    assert 'href="report-2.html#case-case-003"' in first
    assert 'id="case-case-003"' in second
    assert 'id="case-case-003"' not in first
    assert not (tmp_path / "qc" / "report-7.html").exists()


def test_several_datasets_share_a_page(tmp_path):
    """Sites are rows of one table, and cases of one name keep apart."""
    a_dataset(tmp_path / "a", [a_case(1)])
    a_dataset(tmp_path / "b", [a_case(1, seed=5)])
    write_json(tmp_path / "b" / "racoon.json", {**read_json(tmp_path / "b" / "racoon.json"), "site": "south"})

    report = write_report([tmp_path / "a", tmp_path / "b"], out=tmp_path / "both.html")

    page = Page(report.paths[0].read_text(encoding="utf-8"))
    assert {"case-1-case-001", "case-2-case-001"} <= set(page.values("id"))
    assert {"north", "south"} <= set(page.values("data-site"))
    assert (tmp_path / "b" / "qc" / "findings.jsonl").is_file()
