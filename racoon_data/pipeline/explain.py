"""What building a dataset would choose, reject and refuse: headers of what passed the door, no pixels, no PACS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from racoon_data.annotations.linking import link
from racoon_data.dicom.references import MASKS
from racoon_data.dicom.sorting import files_under, sort_files
from racoon_data.dicom.stacking import geometry_of
from racoon_data.errors import NothingMatchedError, RacoonError, about
from racoon_data.harmonize.explain import Choice, explain
from racoon_data.harmonize.planning import GridPlan, plan_case
from racoon_data.harmonize.recipe import Recipe
from racoon_data.outcomes import Outcome, Status, outcome_of
from racoon_data.pipeline.plan import Plan
from racoon_data.pipeline.propose import CaseItem, choose, doubtful_masks
from racoon_data.pipeline.settle import settle
from racoon_data.refs import StudyRef


@dataclass(frozen=True, slots=True)
class CaseOutlook:
    """One case to be: its grid as it would become, or why it would be refused."""

    item: CaseItem
    outcome: Outcome
    grid: GridPlan | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the outlook as a JSON document."""
        channels = {name: str(series.ref) for name, series in self.item.channels}
        grid = self.grid.to_json() if self.grid else None
        return {"channels": channels, "masks": len(self.item.links), "grid": grid, **self.outcome.to_json()}


@dataclass(frozen=True, slots=True)
class StudyOutlook:
    """One study: what became of each series, its cases, or why it gives none."""

    study: StudyRef
    choices: tuple[Choice, ...]
    cases: tuple[CaseOutlook, ...]
    refused: Outcome | None = None

    def to_json(self) -> dict[str, Any]:
        """Give the outlook as a JSON document."""
        return {
            "study": self.study.study_uid,
            "series": [choice.to_json() for choice in self.choices],
            "cases": [case.to_json() for case in self.cases],
            "refused": self.refused.to_json() if self.refused else None,
        }


@dataclass(frozen=True, slots=True)
class Outlook:
    """A dataset before it is built.

    Attributes:
        recipe: The recipe, its spacing settled.
        studies: Every study behind the door.
        unused: Files that are neither slice nor annotation, and annotations that lie on no series.
    """

    recipe: Recipe
    studies: tuple[StudyOutlook, ...]
    unused: tuple[Outcome, ...]

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """The end of every study and case, as far as headers tell."""
        cases = (case.outcome for study in self.studies for case in study.cases)
        return (*cases, *(study.refused for study in self.studies if study.refused))

    def to_json(self) -> dict[str, Any]:
        """Give the outlook as a JSON document."""
        counts = Counter(str(outcome.status) for outcome in self.outcomes)
        return {
            "dry_run": True,
            "counts": {str(status): counts[str(status)] for status in Status},
            "recipe": self.recipe.to_json(),
            "recipe_sha256": self.recipe.sha256,
            "studies": [study.to_json() for study in self.studies],
            "unused": [outcome.to_json() for outcome in self.unused],
        }


def outlook(plan: Plan) -> Outlook:
    """Tell what a plan would build of what has passed the door.

    Other tools' exports pass the door when the dataset is built; their masks are not seen here.

    Raises:
        NothingMatchedError: Nothing has passed the door.
    """
    work = plan.site.work
    files = sort_files(files_under(work), root=work) if work.is_dir() else None
    if files is None or not (files.series or files.annotations):
        raise NothingMatchedError("nothing has passed the door yet", hint="racoon run retrieves and de-identifies")
    links = link(files.series, files.annotations)
    studies = sorted({StudyRef(one.ref.study_uid) for one in files.series})
    doubtful = doubtful_masks(files, links)
    items, refused = choose(files, links, studies, doubtful, rule=plan.rule, site_name=plan.site.settings.site.name)
    recipe = settle(plan.recipe, items) if items else plan.recipe
    annotated = frozenset(pair.series.key for pair in links.pairs if pair.series and pair.file.modality in MASKS)
    reasons = {outcome.ref: outcome for outcome in refused}
    found = tuple(
        StudyOutlook(
            study,
            explain([one for one in files.series if _study(one) == study], plan.rule, annotated=annotated),
            _cases([item for item in items if _study(item.channels[0][1]) == study], recipe),
            reasons.get(study),
        )
        for study in studies
    )
    return Outlook(recipe, found, (*files.outcomes, *links.outcomes))


def _study(series: Any) -> StudyRef:
    return StudyRef(series.ref.study_uid)


def _cases(items: Sequence[CaseItem], recipe: Recipe) -> tuple[CaseOutlook, ...]:
    return tuple(_case(item, recipe) for item in items)


def _case(item: CaseItem, recipe: Recipe) -> CaseOutlook:
    outcome = Outcome(item.ref, "harmonize")
    try:
        with about(item.ref):
            channels = [(name, series.ref, geometry_of(series)) for name, series in item.channels]
            return CaseOutlook(item, outcome, plan_case(channels, recipe))
    except RacoonError as error:
        return CaseOutlook(item, replace(outcome_of(error, ref=item.ref, step="harmonize"), ref=item.ref))
