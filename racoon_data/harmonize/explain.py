"""Every series of a study and what became of it: chosen, preferred less, tied or rejected, and by which rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from racoon_data.cases import CaseRule
from racoon_data.dicom.series import Series, SeriesKey
from racoon_data.harmonize.case_rules import Annotated, Candidate, candidates, named, narrowed
from racoon_data.harmonize.phase import phase_of

CHOSEN, PREFERRED_LESS, TIED, REJECTED = "chosen", "preferred less", "tied", "rejected"


@dataclass(frozen=True, slots=True)
class Choice:
    """One series and its fate.

    Attributes:
        series: The series.
        verdict: ``chosen``, ``preferred less`` (it fits, another was preferred), ``tied`` (nothing tells it from
            another, so the study is skipped) or ``rejected``.
        channel: The channel it was chosen or considered for; for a rejected one the nearest, against whose rule the
            fewest attributes stand.
        reasons: The preference that decided, or every attribute of the nearest channel that stands against it.
        facts: What rules may ask about it.
    """

    series: str
    verdict: str
    channel: str
    reasons: tuple[str, ...]
    facts: Mapping[str, object]

    def to_json(self) -> dict[str, object]:
        """Give the choice as a JSON document."""
        return asdict(self)


def explain(series: Sequence[Series], rule: CaseRule, *, annotated: Annotated) -> tuple[Choice, ...]:
    """Say of every series of a study what the case rule makes of it.

    Args:
        series: Every image series of the study.
        rule: The rule.
        annotated: Series that carry a mask.

    Returns:
        One choice a series, in order of series UID and part.
    """
    considered: dict[SeriesKey, list[Candidate]] = {}
    fates: dict[SeriesKey, tuple[str, str, str]] = {}
    for channel in rule.channels:
        own = candidates(series, channel)
        for one in own:
            considered.setdefault(one.series.key, []).append(one)
        fitting = [one.series for one in own if not one.rejected]
        if rule.per == "annotated-series":
            rows = [_by_mask(one, channel.name, annotated) for one in fitting]
        else:
            rows = _by_preference(fitting, channel.name, list(narrowed(fitting, channel, annotated)) if fitting else [])
        for key, fate in rows:
            fates[key] = min(fate, fates.get(key, fate), key=lambda one: one[0] != CHOSEN)
    return tuple(_choice(one, considered[one.key], fates, annotated) for one in sorted(series, key=lambda one: one.key))


def _by_mask(one: Series, channel: str, annotated: Annotated) -> tuple[SeriesKey, tuple[str, str, str]]:
    if one.key in annotated:
        return one.key, (CHOSEN, channel, "it carries a mask")
    return one.key, (REJECTED, channel, "it carries no mask")


def _by_preference(
    fitting: Sequence[Series], channel: str, rounds: list[tuple[str, list[Series]]]
) -> list[tuple[SeriesKey, tuple[str, str, str]]]:
    left, decided = list(fitting), "the only one that fits" if len(fitting) == 1 else ""
    fates: list[tuple[SeriesKey, tuple[str, str, str]]] = []
    for preference, kept in rounds:
        keys = {one.key for one in kept}
        lost = [one for one in left if one.key not in keys]
        fates += [(one.key, (PREFERRED_LESS, channel, f"{preference} prefers another")) for one in lost]
        decided = f"preferred by {preference}" if lost else decided
        left = kept
    if len(left) == 1:
        return [*fates, (left[0].key, (CHOSEN, channel, decided))]
    why = "no preference tells it from another"
    return [*fates, *((one.key, (TIED, channel, why)) for one in left)]


def _choice(
    one: Series,
    considered: Sequence[Candidate],
    fates: Mapping[SeriesKey, tuple[str, str, str]],
    annotated: Annotated,
) -> Choice:
    facts = facts_of(one, is_annotated=one.key in annotated)
    if (fate := fates.get(one.key)) is not None:
        verdict, channel, reason = fate
        return Choice(named(one), verdict, channel, (reason,), facts)
    nearest = min(considered, key=lambda candidate: len(candidate.reasons))
    return Choice(named(one), REJECTED, nearest.channel, nearest.reasons, facts)


def facts_of(one: Series, *, is_annotated: bool) -> dict[str, object]:
    """Give what rules may ask about a series, JSON-ready; a description is free text and is not repeated."""
    made = one.acquisition
    phase, told_by = phase_of(made)
    return {
        "modality": made.modality,
        "slices": len(one.slices),
        "thickness_mm": made.slice_thickness_mm,
        "kernel": list(made.kernel),
        "body_part": made.body_part,
        "contrast": bool(made.contrast_agent.strip()),
        "contrast_phase": phase,
        "phase_told_by": told_by,
        "annotated": is_annotated,
    }
