"""The cards of the gallery: one case with its pictures, facts and findings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from racoon_data.cases import QcIssue, Severity
from racoon_data.files.case_sidecar import CaseSidecar
from racoon_data.files.manifest import CaseRecord, Manifest
from racoon_data.qc.inspect import Inspection
from racoon_data.qc.look import Seen
from racoon_data.qc.thumbnails import Thumbnail, hex_of


@dataclass(frozen=True, slots=True)
class VolumeRow:
    """One label's volume on a card: name, colour and words such as ``12.3 ml`` or ``absent``."""

    name: str
    colour: str
    text: str


@dataclass(frozen=True, slots=True)
class Card:
    """What the gallery shows of a case.

    Attributes:
        seen: The case as it was seen.
        number: Which dataset it belongs to.
        site: Whose it is.
        anchor: Its name on its page.
        page: File of its page, empty for the first.
        issues: Its findings.
        volumes: Its labels.
        facts: Acquisition and grid in a few words.
    """

    seen: Seen
    number: int
    site: str
    anchor: str
    page: str
    issues: tuple[QcIssue, ...]
    volumes: tuple[VolumeRow, ...]
    facts: str

    @property
    def record(self) -> CaseRecord:
        """Its entry of the manifest."""
        return self.seen.record

    @property
    def thumbnails(self) -> tuple[Thumbnail, ...]:
        """Its pictures; none where it could not be drawn."""
        return self.seen.thumbnails

    @property
    def trouble(self) -> str:
        """Why it could not be drawn."""
        return self.seen.trouble

    @property
    def fails(self) -> int:
        """Number of failures."""
        return sum(issue.severity is Severity.FAIL for issue in self.issues)

    @property
    def warns(self) -> int:
        """Number of warnings."""
        return len(self.issues) - self.fails

    @property
    def told(self) -> str:
        """The labels in words, for those who do not see the picture."""
        return ", ".join(f"{row.name} {row.text}" for row in self.volumes) or "no label"

    @property
    def words(self) -> str:
        """Everything the text filter searches that does not stand on the card."""
        return " ".join((self.site, *(f"{issue.code} {issue.message}" for issue in self.issues)))

    @property
    def kinds(self) -> str:
        """The kinds the second filter chooses by, separated by spaces."""
        kinds: list[str] = [self.record.split]
        kinds += ["finding"] if self.issues else []
        kinds += ["fail"] if self.fails else []
        kinds += ["unlabelled"] if self.record.label is None else []
        return " ".join(kinds)

    @property
    def href(self) -> str:
        """Where a link to it leads, from the first page."""
        return f"{self.page}#{self.anchor}"


def cards_of(inspections: Sequence[Inspection], *, per_page: int, page_name: str) -> tuple[Card, ...]:
    """Lay out the card of every case, dataset after dataset.

    Args:
        inspections: Datasets as they were seen.
        per_page: Cases a page.
        page_name: File of a further page, with ``{}`` for its number.
    """
    cards: list[Card] = []
    for number, inspection in enumerate(inspections):
        by_case: dict[str, list[QcIssue]] = defaultdict(list)
        for issue in inspection.issues:
            by_case[issue.case.case_id].append(issue)
        for seen in inspection.cases:
            page = len(cards) // per_page + 1
            name = seen.record.case_id if len(inspections) == 1 else f"{number + 1}-{seen.record.case_id}"
            cards.append(
                Card(
                    seen=seen,
                    number=number,
                    site=inspection.manifest.site,
                    anchor=f"case-{name}",
                    page=page_name.format(page) if page > 1 else "",
                    issues=tuple(by_case[seen.record.case_id]),
                    volumes=_volume_rows(seen.record, inspection.manifest),
                    facts=_facts(seen.sidecar) if seen.sidecar else "no readable sidecar",
                )
            )
    return tuple(cards)


def _facts(sidecar: CaseSidecar) -> str:
    made = sidecar.channels[0].acquisition
    scanner = f"{made.manufacturer} {made.manufacturers_model_name}".strip()
    spacing = " × ".join(f"{value:.3g}" for value in sidecar.geometry.spacing_mm)
    size = " × ".join(map(str, sidecar.geometry.size))
    kernel = " ".join(made.convolution_kernel)
    facts: Iterable[str] = (made.modality, scanner, kernel, f"{size} voxels of {spacing} mm")
    return " · ".join(fact for fact in (*facts, sidecar.geometry.orientation) if fact)


def _volume_rows(record: CaseRecord, manifest: Manifest) -> tuple[VolumeRow, ...]:
    if record.label is None:
        return ()
    return tuple(
        VolumeRow(label.name, hex_of(label.value), _volume_words(record.label_ml.get(label.name)))
        for label in manifest.label_schema.labels
    )


def _volume_words(volume_ml: float | None) -> str:
    if volume_ml is None:
        return "not annotated"
    if volume_ml == 0:
        return "absent"
    digits = 0 if volume_ml >= 100 else 1 if volume_ml >= 10 else 2 if volume_ml >= 0.1 else 3
    return f"{volume_ml:.{digits}f} ml"
