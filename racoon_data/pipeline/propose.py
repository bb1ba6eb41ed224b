"""From de-identified files to proposed cases: sort, link, select; headers only, no pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from racoon_data.annotations.linking import Link, link
from racoon_data.cases import CaseRule
from racoon_data.dicom.series import Series
from racoon_data.dicom.sorting import sort_files
from racoon_data.errors import CaseError, IncompleteSeriesError, NoChannelError, about
from racoon_data.harmonize.case_rules import Selection, select
from racoon_data.outcomes import Outcome, Status, outcome_of
from racoon_data.pipeline.arrive import Arrived
from racoon_data.refs import CaseRef, FileRef, SeriesRef, StudyRef

MASKS = frozenset({"SEG", "RTSTRUCT"})


@dataclass(frozen=True, slots=True)
class CaseItem:
    """One proposed case: which series and which annotations.

    Attributes:
        ref: The case.
        patient: Pseudonym.
        relative_day: Days since the patient's first study in this walk, ``None`` without a date.
        channels: Channel name and series.
        links: Annotations that lie on the first channel, and reports of the study.
    """

    ref: CaseRef
    patient: str
    relative_day: int | None
    channels: tuple[tuple[str, Series], ...]
    links: tuple[Link, ...]

    @property
    def sop_uids(self) -> frozenset[str]:
        """Every instance the case is made of."""
        images = {uid for _, series in self.channels for uid in series.sop_uids}
        return frozenset(images | {pair.file.ref.sop_uid for pair in self.links})


@dataclass(frozen=True, slots=True)
class Proposal:
    """Proposed cases and what was set aside on the way to them.

    Attributes:
        items: Proposed cases, in order of case id.
        refused: One outcome for every study that gives no case.
        unused: One outcome for every file that is neither slice nor annotation and every dangling annotation.
    """

    items: tuple[CaseItem, ...]
    refused: tuple[Outcome, ...]
    unused: tuple[Outcome, ...]


def propose(arrived: Arrived, *, work: Path, rule: CaseRule, site_name: str) -> Proposal:
    """Sort what arrived and choose the series and annotations of every case.

    Args:
        arrived: What passed the door.
        work: Folder of the de-identified files.
        rule: How studies become cases.
        site_name: First part of every case id.
    """
    files = sort_files([instance.path for instance in arrived.instances], root=work)
    links = link(files.series, files.annotations)
    broken = {**_broken_in_sorting(arrived, files.outcomes, work=work), **arrived.broken_series}
    first_days = _first_days(files.series)
    items: list[CaseItem] = []
    refused: list[Outcome] = []
    for study in sorted({StudyRef(instance.ref.study_uid) for instance in arrived.instances}):
        series = tuple(one for one in files.series if one.ref.study_uid == study.study_uid)
        try:
            with about(study):
                selections = _select(series, rule, links.pairs)
                _refuse_broken(study, selections, series, broken)
        except CaseError as error:
            refused.append(outcome_of(error, ref=study, step="select"))
        else:
            items += [_item(one, links.pairs, first_days, rule=rule, site_name=site_name) for one in selections]
    unused = (*files.outcomes, *links.outcomes)
    return Proposal(tuple(sorted(items, key=lambda item: item.ref)), tuple(refused), unused)


def _broken_in_sorting(arrived: Arrived, outcomes: Sequence[Outcome], *, work: Path) -> dict[SeriesRef, Outcome]:
    """Name the series that lost an instance to sorting: at the end of a stack no gap would tell."""
    failed = {str(outcome.ref): outcome for outcome in outcomes if outcome.status is Status.FAILED}
    names = {str(FileRef(one.path.relative_to(work).as_posix())): one.ref.series for one in arrived.instances}
    return {names[name]: outcome for name, outcome in failed.items() if name in names}


def _select(series: Sequence[Series], rule: CaseRule, pairs: Sequence[Link]) -> tuple[Selection, ...]:
    annotated = frozenset(
        (pair.series.ref, pair.series.part) for pair in pairs if pair.series and pair.file.modality in MASKS
    )
    if not series:
        raise NoChannelError("the study has no image series", hint="query for studies with images")
    return select(series, rule, annotated=annotated)


def _refuse_broken(
    study: StudyRef, chosen: Sequence[Selection], series: Sequence[Series], broken: Mapping[SeriesRef, Outcome]
) -> None:
    """Refuse a study whose chosen series, or an annotation, lost an instance on the way."""
    needed = {one.ref for selection in chosen for _, one in selection.channels}
    not_needed = {one.ref for one in series} - needed
    for ref, outcome in broken.items():
        is_harmless = ref in not_needed or (outcome.status is Status.SKIPPED and ref not in needed)
        if ref.study_uid == study.study_uid and not is_harmless:
            hint = "mend or release the instance and run again"
            raise IncompleteSeriesError(f"{ref} lost an instance: {outcome.code}", hint=hint)


def _first_days(series: Sequence[Series]) -> dict[str, datetime]:
    """Date of each patient's first study."""
    days: dict[str, datetime] = {}
    for one in series:
        if (day := _day(one.study_date)) is not None:
            days[one.patient] = min(day, days.get(one.patient, day))
    return days


def _day(date: str) -> datetime | None:
    try:
        return datetime.strptime(date, "%Y%m%d")
    except ValueError:
        return None


def _item(
    chosen: Selection, pairs: Sequence[Link], first_days: Mapping[str, datetime], *, rule: CaseRule, site_name: str
) -> CaseItem:
    _, first = chosen.channels[0]
    source = first.ref.study_uid if rule.per == "study" else f"{first.ref.series_uid}/{first.part}"
    digest = hashlib.sha256(source.encode()).hexdigest()[:8]
    day = _day(first.study_date)
    return CaseItem(
        ref=CaseRef(f"{site_name}_{first.patient}_{digest}"),
        patient=first.patient,
        relative_day=(day - first_days[first.patient]).days if day is not None else None,
        channels=chosen.channels,
        links=tuple(pair for pair in pairs if _belongs(pair, first)),
    )


def _belongs(pair: Link, first: Series) -> bool:
    """Masks belong to the series they lie on; a report also to the study it was written about."""
    if pair.series is not None:
        return (pair.series.ref, pair.series.part) == (first.ref, first.part)
    return pair.file.ref.study_uid == first.ref.study_uid
