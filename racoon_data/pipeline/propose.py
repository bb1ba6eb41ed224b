"""From de-identified files to proposed cases: sort, link, select; headers only, no pixels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from racoon_data.annotations.linking import Link, Links, link
from racoon_data.annotations.tools.exports import ExportFile
from racoon_data.cases import CaseRule
from racoon_data.dicom.references import MASKS
from racoon_data.dicom.series import Series, Sorted
from racoon_data.dicom.sorting import sort_files
from racoon_data.errors import (
    CaseError,
    DanglingReferenceError,
    IncompleteLabelsError,
    IncompleteSeriesError,
    NoChannelError,
    about,
)
from racoon_data.harmonize.case_rules import Selection, select
from racoon_data.outcomes import Outcome, Status, outcome_of
from racoon_data.pipeline.arrive import Arrived
from racoon_data.refs import CaseRef, FileRef, InstanceRef, SeriesRef, StudyRef


@dataclass(frozen=True, slots=True)
class CaseItem:
    """One proposed case: which series and which annotations.

    Attributes:
        ref: The case.
        patient: Pseudonym.
        relative_day: Days since the patient's first study in this walk, ``None`` without a date.
        channels: Channel name and series.
        links: Annotations that lie on its channels, and reports of its study that lie on no series.
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
        kept_out: Cases that lost a slice at the door or were rejected by a person, with their outcome.
        refused: One outcome for every study that gives no case.
        unused: One outcome for every file that is neither slice nor annotation and every dangling annotation.
    """

    items: tuple[CaseItem, ...]
    kept_out: tuple[tuple[CaseItem, Outcome], ...]
    refused: tuple[Outcome, ...]
    unused: tuple[Outcome, ...]


def propose(
    arrived: Arrived, *, work: Path, rule: CaseRule, site_name: str, exports: Sequence[ExportFile] = ()
) -> Proposal:
    """Sort what arrived and choose the series and annotations of every case.

    Args:
        arrived: What passed the door.
        work: Folder of the de-identified files.
        rule: How studies become cases.
        site_name: First part of every case id.
        exports: Other tools' annotations, behind the door.
    """
    files = sort_files([instance.path for instance in arrived.instances], root=work)
    files = replace(files, annotations=(*files.annotations, *exports))
    links = link(files.series, files.annotations)
    doubtful = [*arrived.stopped_masks, *doubtful_masks(files, links)]
    proposed, refused = choose(files, links, arrived.studies, doubtful, rule=rule, site_name=site_name)
    broken = {**_broken_in_sorting(arrived, files.outcomes, work=work), **arrived.broken_series}
    kept_out = [(item, end) for item in proposed if (end := _broken(item, broken)) is not None]
    whole = [item for item in proposed if _broken(item, broken) is None]
    unused = (*files.outcomes, *links.outcomes)
    return Proposal(tuple(sorted(whole, key=lambda item: item.ref)), tuple(kept_out), refused, unused)


def choose(
    files: Sorted,
    links: Links,
    studies: Sequence[StudyRef],
    doubtful: Sequence[Outcome],
    *,
    rule: CaseRule,
    site_name: str,
) -> tuple[tuple[CaseItem, ...], tuple[Outcome, ...]]:
    """Choose the cases of studies from their headers.

    Args:
        files: Series and annotations, sorted.
        links: Which annotation lies on which series.
        studies: Studies that may become cases.
        doubtful: Masks that cannot be used; their studies give no case.
        rule: How studies become cases.
        site_name: First part of every case id.

    Returns:
        Proposed cases, and one outcome for every study that gives none.
    """
    first_days = _first_days(files.series)
    proposed: list[CaseItem] = []
    refused: list[Outcome] = []
    for study in studies:
        series = tuple(one for one in files.series if one.ref.study_uid == study.study_uid)
        try:
            with about(study):
                _refuse_doubtful(study, doubtful)
                selections = _select(series, rule, links.pairs)
        except CaseError as error:
            refused.append(outcome_of(error, ref=study, step="select"))
        else:
            items = [_item(one, links.pairs, first_days, rule=rule, site_name=site_name) for one in selections]
            proposed += _with_reports(items, links.pairs, study)
    return tuple(proposed), tuple(refused)


def doubtful_masks(files: Sorted, links: Links) -> list[Outcome]:
    """Give the masks that may lie on a series that is here; a dangling one lies elsewhere."""
    masks = {file.ref for file in files.annotations if file.modality in MASKS}
    return [end for end in links.outcomes if end.ref in masks and end.code != DanglingReferenceError.code]


def _refuse_doubtful(study: StudyRef, doubtful: Sequence[Outcome]) -> None:
    """Refuse a study one of whose masks cannot be used: without it a label map would be half of the truth."""
    for end in doubtful:
        if isinstance(end.ref, InstanceRef) and end.ref.study_uid == study.study_uid:
            raise IncompleteLabelsError(f"{end.ref} cannot be used: {end.code}", hint=end.hint)


def _select(series: Sequence[Series], rule: CaseRule, pairs: Sequence[Link]) -> tuple[Selection, ...]:
    annotated = frozenset(pair.series.key for pair in pairs if pair.series and pair.file.modality in MASKS)
    if not series:
        hint = "query for studies with images; what the door stopped waits in quarantine"
        raise NoChannelError("no image series of the study passed the door", hint=hint)
    return select(series, rule, annotated=annotated)


def _broken_in_sorting(arrived: Arrived, outcomes: Sequence[Outcome], *, work: Path) -> dict[SeriesRef, Outcome]:
    """Name the series that lost an instance to sorting: at the end of a stack no gap would tell."""
    failed = {str(outcome.ref): outcome for outcome in outcomes if outcome.status is Status.FAILED}
    names = {str(FileRef(one.path.relative_to(work).as_posix())): one.ref.series for one in arrived.instances}
    return {names[name]: outcome for name, outcome in failed.items() if name in names}


def _broken(item: CaseItem, broken: Mapping[SeriesRef, Outcome]) -> Outcome | None:
    """Say why a case is kept out one of whose series lost an instance on the way."""
    for _, one in item.channels:
        if (end := broken.get(one.ref)) is not None:
            hint = "mend or release the instance and run again"
            error = IncompleteSeriesError(f"{one.ref} lost an instance: {end.code}", hint=hint)
            return outcome_of(error, ref=item.ref, step="select")
    return None


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
    keys = {one.key for _, one in chosen.channels}
    return CaseItem(
        ref=CaseRef(f"{site_name}_{first.patient}_{digest}"),
        patient=first.patient,
        relative_day=(day - first_days[first.patient]).days if day is not None else None,
        channels=chosen.channels,
        links=tuple(pair for pair in pairs if pair.series and pair.series.key in keys),
    )


def _with_reports(items: Sequence[CaseItem], pairs: Sequence[Link], study: StudyRef) -> list[CaseItem]:
    """Give each report that lies on no series to one case: the first it references, else the first of its study."""
    given = list(items)
    for pair in pairs:
        if pair.series is None and pair.file.ref.study_uid == study.study_uid:
            named = (place for place, item in enumerate(items) if item.sop_uids & pair.file.referenced_sops)
            place = next(named, 0)
            given[place] = replace(given[place], links=(*given[place].links, pair))
    return given
