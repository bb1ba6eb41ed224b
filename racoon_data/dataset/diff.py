"""What differs between two datasets, case by case, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from racoon_data.files.case_sidecar import CaseSidecar, load_sidecar
from racoon_data.files.manifest import CaseRecord, Manifest, load_manifest

Change = Literal["added", "removed", "changed"]
UNEXPLAINED = "unexplained: same sources, recipe, labels and versions"
_PLAIN = ("patient", "split", "fold", "relative_day", "annotated", "unmapped")
_PLACE = {"split", "fold"}


@dataclass(frozen=True, slots=True)
class FactChange:
    """Something the datasets say of themselves and in which they differ.

    Attributes:
        name: What, such as ``recipe.spacing_mm`` or ``software.SimpleITK``.
        before: Its value in the first dataset; ``None`` where it is absent.
        after: Its value in the second.
    """

    name: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class CaseChange:
    """One case that is not the same in both datasets.

    Attributes:
        case_id: The case.
        change: ``added``, ``removed`` or ``changed``.
        what: What differs, as phrases: ``image CT: voxels``, ``split: train -> test``.
        because: What that follows from; empty where only the split moved.
    """

    case_id: str
    change: Change
    what: tuple[str, ...] = ()
    because: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """Everything in which two datasets differ.

    Attributes:
        same_hash: Both have one dataset hash: all files of all cases, the split, recipe and labels agree.
        same: Cases that are the same in both.
        facts: What they say of themselves.
        cases: The cases, by id.
    """

    same_hash: bool
    same: int
    facts: tuple[FactChange, ...]
    cases: tuple[CaseChange, ...]

    def to_json(self) -> dict[str, Any]:
        """Give the difference as a JSON document."""
        facts, cases = [asdict(one) for one in self.facts], [asdict(one) for one in self.cases]
        return {"same_hash": self.same_hash, "same_cases": self.same, "facts": facts, "cases": cases}


def diff_datasets(before: Path, after: Path) -> Difference:
    """Compare two finished datasets by their manifests and sidecars; no voxel is read.

    Raises:
        DamagedDatasetError: One has no manifest, or a sidecar of a changed case cannot be read.
        SchemaError: A manifest cannot be read.
    """
    old, new = load_manifest(before), load_manifest(after)
    facts = tuple(_fact_changes(old, new))
    causes = tuple(_causes(facts))
    olds, news = ({case.case_id: case for case in manifest.cases} for manifest in (old, new))
    cases: list[CaseChange] = []
    for case_id in sorted(olds.keys() | news.keys()):
        was, now = olds.get(case_id), news.get(case_id)
        if was is None:
            cases.append(CaseChange(case_id, "added", because=_left_out(old, case_id)))
        elif now is None:
            cases.append(CaseChange(case_id, "removed", because=_left_out(new, case_id)))
        elif was != now:
            cases.append(_changed((before, old, was), (after, new, now), causes))
    same = len(olds.keys() & news.keys()) - sum(one.change == "changed" for one in cases)
    return Difference(old.dataset_sha256 == new.dataset_sha256, same, facts, tuple(cases))


def _fact_changes(old: Manifest, new: Manifest) -> Iterator[FactChange]:
    olds, news = _facts(old), _facts(new)
    for name in sorted(olds.keys() | news.keys()):
        if olds.get(name) != news.get(name):
            yield FactChange(name, olds.get(name), news.get(name))


def _facts(manifest: Manifest) -> dict[str, Any]:
    fields = ("name", "site", "channels", "annotated_labels", "ignore_value", "counts", "recipe", "software")
    facts = manifest.model_dump(mode="json", include=set(fields))
    schema = manifest.label_schema.model_dump(mode="json", exclude={"labels"})
    labels = {label.name: label.model_dump(mode="json", exclude={"name"}) for label in manifest.label_schema.labels}
    share = manifest.splits.test_fraction if manifest.splits is not None else None
    return dict(_flat({**facts, "label_schema": {**schema, "labels": labels}, "test_fraction": share}))


def _flat(document: Mapping[str, Any], head: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{head}{name}.")
        else:
            yield head + name, value


def _causes(facts: tuple[FactChange, ...]) -> Iterator[str]:
    """Name what may change any case: the recipe, the labels, the versions."""
    for kind, words in (("recipe", "recipe"), ("label_schema", "label schema"), ("annotated_labels", "coverage")):
        names = [fact.name for fact in facts if fact.name == kind or fact.name.startswith(f"{kind}.")]
        if names:
            yield f"{words} ({', '.join(name.removeprefix(f'{kind}.') for name in names)})"
    for fact in facts:
        if fact.name.startswith("software."):
            yield f"{fact.name.removeprefix('software.')} {fact.before} -> {fact.after}"


def _left_out(manifest: Manifest, case_id: str) -> tuple[str, ...]:
    """Say why a case is not in the other dataset, where its manifest knows."""
    ends = [one for one in manifest.outcomes if one.ref == f"case {case_id}"]
    return tuple(f"{one.status}: {one.code}" for one in ends) or ("not among what came in",)


_Side = tuple[Path, Manifest, CaseRecord]


def _changed(was: _Side, now: _Side, causes: tuple[str, ...]) -> CaseChange:
    old, new = was[2], now[2]
    plain = [name for name in _PLAIN if getattr(old, name) != getattr(new, name)]
    what = [f"{name}: {_shown(getattr(old, name))} -> {_shown(getattr(new, name))}" for name in plain]
    if old.contents == new.contents and not set(plain) - _PLACE:
        if what:
            return CaseChange(new.case_id, "changed", tuple(what))
        return CaseChange(new.case_id, "changed", ("sidecar",), causes or (UNEXPLAINED,))
    sidecars = load_sidecar(was[0] / old.sidecar), load_sidecar(now[0] / new.sidecar)
    what += [*_file_changes(was, now, sidecars), *_volume_changes(old, new)]
    own = tuple(_source_changes(*sidecars))
    return CaseChange(new.case_id, "changed", tuple(what), (*own, *causes) or (UNEXPLAINED,))


def _shown(value: object) -> str:
    return "none" if value in (None, ()) else ", ".join(value) if isinstance(value, tuple) else str(value)


def _file_changes(was: _Side, now: _Side, sidecars: tuple[CaseSidecar, CaseSidecar]) -> Iterator[str]:
    (_, old_manifest, old), (_, new_manifest, new) = was, now
    olds = {**dict(zip(old_manifest.channels, old.images, strict=False)), "": old.label}
    news = {**dict(zip(new_manifest.channels, new.images, strict=False)), "": new.label}
    voxels = [{output.path: output.pixel_sha256 for output in sidecar.outputs} for sidecar in sidecars]
    for name in (*news, *(name for name in olds if name not in news)):
        before, after = olds.get(name), news.get(name)
        words = f"image {name}" if name else "label"
        if before is None or after is None:
            if before != after:
                yield f"{words}: {'gone' if after is None else 'new'}"
        elif old.sha256[before] != new.sha256[after]:
            is_same = voxels[0].get(before) == voxels[1].get(after)
            yield f"{words}: {'place or header, voxels agree' if is_same else 'voxels'}"
    if {path: old.sha256[path] for path in old.readers} != {path: new.sha256[path] for path in new.readers}:
        yield "readers"


def _volume_changes(old: CaseRecord, new: CaseRecord) -> Iterator[str]:
    for name in sorted(old.label_ml.keys() | new.label_ml.keys()):
        before, after = old.label_ml.get(name), new.label_ml.get(name)
        if before != after:
            words = ("not annotated" if volume is None else f"{volume:g} ml" for volume in (before, after))
            yield f"{name}: {' -> '.join(words)}"


def _source_changes(old: CaseSidecar, new: CaseSidecar) -> Iterator[str]:
    """Name sources of a case that are others now."""
    if [channel.sop_instance_uids for channel in old.channels] != [one.sop_instance_uids for one in new.channels]:
        yield "other source images"
    if {one.sop_instance_uid for one in old.annotations} != {one.sop_instance_uid for one in new.annotations}:
        yield "other annotations"
