"""What shows only when all cases are seen together: copies, leaks, mixed axes and cases that stand apart."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from racoon_data.cases import QcIssue
from racoon_data.grid.reorient import orientation_of
from racoon_data.labels import LabelSchema
from racoon_data.qc import codes
from racoon_data.qc.codes import Defect
from racoon_data.qc.facts import CaseFacts, LabelFacts
from racoon_data.qc.look import Seen
from racoon_data.qc.robust import LEAST, outliers
from racoon_data.refs import CaseRef

_DOMINANT = 0.9


def check_across(cases: Sequence[Seen], schema: LabelSchema, *, orientation: str = "native") -> tuple[QcIssue, ...]:
    """Compare the cases of a dataset with each other.

    Args:
        cases: Every case, as it was seen.
        schema: The label language.
        orientation: Where the recipe says axes point; ``native`` asks for what most cases have.

    Returns:
        What was seen, by case.
    """
    facts = [one.facts for one in cases if one.facts is not None]
    found = (
        *copies(cases),
        *leaks(cases),
        *mixed_orientation(facts, orientation),
        *rare_kernels(facts),
        *(issue for measure in (*_of_images(), *_of_labels(schema)) for issue in measure.issues(facts)),
    )
    return tuple(sorted(found, key=lambda issue: issue.case))


def copies(cases: Iterable[Seen]) -> Iterator[QcIssue]:
    """Find the same image under two names."""
    for same in _groups(cases, _fingerprints):
        for one in same:
            others = ", ".join(sorted({other.record.case_id for other in same} - {one.record.case_id}))
            yield codes.DUPLICATE.of(CaseRef(one.record.case_id), f"same voxels as {others}")


def leaks(cases: Iterable[Seen]) -> Iterator[QcIssue]:
    """Find patients, series and images on both sides of a split or in two folds."""
    kinds: dict[str, Callable[[Seen], Iterable[str]]] = {
        "patient": lambda one: (one.record.patient,),
        "series": _series,
        "voxels": _fingerprints,
    }
    for kind, keys in kinds.items():
        for same in _groups(cases, keys):
            if len({one.place for one in same}) < 2:
                continue
            named = f"patient {same[0].record.patient}" if kind == "patient" else f"the same {kind}"
            where = ", ".join(f"{one.record.case_id} ({_words(one)})" for one in same)
            for one in same:
                yield codes.LEAK.of(CaseRef(one.record.case_id), f"{named}: {where}")


def _groups(cases: Iterable[Seen], keys: Callable[[Seen], Iterable[str]]) -> Iterator[list[Seen]]:
    groups: dict[str, list[Seen]] = defaultdict(list)
    for one in cases:
        for key in keys(one):
            groups[key].append(one)
    for _, same in sorted(groups.items()):
        if len(same) > 1:
            yield same


def _fingerprints(one: Seen) -> Iterator[str]:
    if one.facts is not None:
        yield one.facts.measured.images[0].fingerprint


def _series(one: Seen) -> Iterator[str]:
    if one.facts is not None:
        yield from {channel.series_uid for channel in one.facts.stated.channels} - {""}


def _words(one: Seen) -> str:
    return one.record.split if one.record.fold is None else f"{one.record.split}, fold {one.record.fold}"


def mixed_orientation(facts: Sequence[CaseFacts], orientation: str) -> Iterator[QcIssue]:
    """Find cases whose axes point elsewhere than the recipe says, or than those of most cases."""
    codes_of = {one.ref: orientation_of(one.measured.images[0].geometry) for one in facts}
    if not codes_of:
        return
    expected = orientation
    if orientation == "native":
        counts = Counter(codes_of.values())
        expected = min(counts, key=lambda code: (-counts[code], code))
    for ref, code in codes_of.items():
        if code != expected:
            share = sum(other == expected for other in codes_of.values())
            yield codes.MIXED_ORIENTATION.of(ref, f"axes point {code}; {share} of {len(facts)} cases point {expected}")


def rare_kernels(facts: Sequence[CaseFacts]) -> Iterator[QcIssue]:
    """Find kernels that fewer than one case in ten has where all others share one; needs twelve cases."""
    kernels = {one.ref: one.stated.channels[0].kernel for one in facts if one.stated.channels[0].kernel}
    if len(kernels) < LEAST:
        return
    common, count = Counter(kernels.values()).most_common(1)[0]
    if count >= _DOMINANT * len(kernels):
        for ref, kernel in kernels.items():
            if kernel != common:
                yield codes.KERNEL_OUTLIER.of(ref, f"kernel {kernel}; {count} of {len(kernels)} cases have {common}")


@dataclass(frozen=True, slots=True)
class _Measure:
    """One number by which cases are compared."""

    defect: Defect
    name: str
    unit: str
    value: Callable[[CaseFacts], float | None]
    floor: float
    is_log: bool = False

    def issues(self, facts: Iterable[CaseFacts]) -> Iterator[QcIssue]:
        """Name the cases that stand apart."""
        values = {one.ref.case_id: value for one in facts if (value := self.value(one)) is not None}
        for odd in outliers(values, floor=self.floor, is_log=self.is_log):
            usual = f"median of {odd.count} cases {odd.median:.3g}, expected {odd.low:.3g} to {odd.high:.3g}"
            yield self.defect.of(CaseRef(odd.key), f"{self.name} {odd.value:.3g}{self.unit}; {usual}")


def _of_images() -> Iterator[_Measure]:
    for axis, letter in enumerate("ijk"):
        spacing = partial(_spacing, axis=axis)
        yield _Measure(codes.SPACING_OUTLIER, f"spacing along {letter}", " mm", spacing, 0.02, is_log=True)
    yield _Measure(codes.EXTENT_OUTLIER, "length from head to feet", " mm", _length, 0.05, is_log=True)
    yield _Measure(codes.INTENSITY_OUTLIER, "median value", "", partial(_image_value, name="p50"), 40.0)
    yield _Measure(codes.INTENSITY_OUTLIER, "99th percentile", "", partial(_image_value, name="p99"), 60.0)
    yield _Measure(codes.THICKNESS_OUTLIER, "slices of", " mm", _thickness, 0.05, is_log=True)


def _of_labels(schema: LabelSchema) -> Iterator[_Measure]:
    for label in schema.labels:

        def of(
            read: Callable[[LabelFacts], float | None], value: int = label.value
        ) -> Callable[[CaseFacts], float | None]:
            return lambda facts: read(one) if (one := facts.measured.label(value)) else None

        name = label.name
        inside = of(lambda one: one.intensity)
        yield _Measure(codes.LABEL_INTENSITY, f"{name}: median value inside", "", _in_hu(inside), 25.0)
        yield _Measure(codes.LABEL_VOLUME, f"{name}:", " ml", of(lambda one: one.ml), 0.1, is_log=True)
        pieces = of(lambda one: float(one.components))
        yield _Measure(codes.LABEL_COMPONENTS, f"{name}: pieces", "", pieces, 0.25, is_log=True)
        rough = of(lambda one: one.roughness)
        yield _Measure(codes.LABEL_ROUGHNESS, f"{name}: boundary", " times a ball's", rough, 0.06, is_log=True)


def _in_hu(value: Callable[[CaseFacts], float | None]) -> Callable[[CaseFacts], float | None]:
    """Compare values only where they have a unit; those of MR have none."""
    return lambda facts: value(facts) if facts.stated.channels[0].unit == "HU" else None


def _spacing(facts: CaseFacts, *, axis: int) -> float:
    return facts.measured.images[0].geometry.spacing_mm[axis]


def _length(facts: CaseFacts) -> float | None:
    grid = facts.measured.images[0].geometry
    axis = next(number for number, letter in enumerate(orientation_of(grid)) if letter in "SI")
    return grid.spacing_mm[axis] * grid.shape[axis]


def _image_value(facts: CaseFacts, *, name: str) -> float | None:
    is_hu = facts.stated.channels[0].unit == "HU"
    value: float = getattr(facts.measured.images[0], name)
    return value if is_hu else None


def _thickness(facts: CaseFacts) -> float | None:
    return facts.stated.channels[0].slice_thickness_mm


def readers_of(cases: Iterable[Seen]) -> Mapping[str, int]:
    """Count the cases each reader outlined, by reader."""
    counts: Counter[str] = Counter()
    for one in cases:
        counts.update({part.reader or "reader not named" for part in (one.sidecar.annotations if one.sidecar else ())})
    return counts
