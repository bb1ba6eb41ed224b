"""Do sites outline alike? Indicators of label noise, compared between datasets by ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import median

from racoon_data.cases import QcIssue
from racoon_data.qc import codes
from racoon_data.qc.facts import LabelFacts
from racoon_data.qc.look import Seen
from racoon_data.qc.robust import LEAST, dominance
from racoon_data.refs import CaseRef

# Nine of ten comparisons point the same way, which chance does less than once in 15,000 times (z of 4).
_LEAST_DELTA, _LEAST_Z = 0.9, 4.0
_LEAST_RATIO = 1.15
_ALIKE_VOXELS = 2.0

INDICATORS: Mapping[str, Callable[[LabelFacts], float | None]] = {
    "roughness of the boundary": lambda one: one.roughness,
    "pieces": lambda one: float(one.components),
    "step of the image at the boundary": lambda one: abs(one.fit.step) if one.fit else None,
}


def check_sites(sites: Mapping[str, Sequence[Seen]], labels: Iterable[str]) -> tuple[QcIssue, ...]:
    """Compare how sites outline each label.

    A site's habit is told where nearly all of its values lie on one side of the other sites' (Cliff's delta of 0.9 or
    more, Mann-Whitney z of 4 or more), the medians differ by 15 % or more, and both groups have twelve cases. Sites
    whose voxels differ by more than a factor of two in volume are not compared: the same outline looks rougher there.

    Args:
        sites: Cases by site.
        labels: Label names.

    Returns:
        One warning a habit; its ``case`` is the site.
    """
    return tuple(issue for label in labels for site in sites for issue in _of_site(site, sites, label))


def _of_site(site: str, sites: Mapping[str, Sequence[Seen]], label: str) -> Iterator[QcIssue]:
    ours = _labels(sites[site], label)
    others = [one for name in sites if name != site for one in _labels(sites[name], label)]
    if min(len(ours), len(others)) < LEAST or not _are_alike(ours, others):
        return
    for name, read in INDICATORS.items():
        here, there = ([value for one in group if (value := read(one)) is not None] for group in (ours, others))
        if min(len(here), len(there)) < LEAST:
            continue
        delta, z = dominance(here, there)
        low, high = sorted((median(here), median(there)))
        if abs(delta) >= _LEAST_DELTA and abs(z) >= _LEAST_Z and high >= _LEAST_RATIO * low:
            seen = f"median {median(here):.3g} in {len(here)} cases, {median(there):.3g} in {len(there)} elsewhere"
            yield codes.LABEL_HABIT.of(CaseRef(site), f"{label}: {name}, {seen} (delta {delta:+.2f})")


def _labels(cases: Iterable[Seen], name: str) -> list[LabelFacts]:
    found = []
    for one in cases:
        if one.facts is None:
            continue
        value = next((label.value for label in one.facts.stated.schema.labels if label.name == name), 0)
        if (label := one.facts.measured.label(value)) is not None:
            found.append(label)
    return found


def _are_alike(ours: Sequence[LabelFacts], others: Sequence[LabelFacts]) -> bool:
    low, high = sorted(median(one.ml / one.voxels for one in group) for group in (ours, others))
    return high <= _ALIKE_VOXELS * low
