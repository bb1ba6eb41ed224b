"""Pre-flight: what a site tells of itself before round 0, without patient data, and what does not fit the job."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from racoon_data.disclosure import SMALLEST, Cell, publish
from racoon_data.errors import JobMismatchError
from racoon_data.files.manifest import CaseRecord, LabelSchemaRecord, Manifest, load_manifest
from racoon_data.files.nifti import read_nifti_grid
from racoon_data.settings import Frozen
from racoon_train.job.job import Job

_PACKAGES = ("racoon", "torch", "monai", "numpy", "flwr", "nvflare")
_GIB = 1024**3
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Spacing = tuple[float, float, float]


class Difference(Frozen):
    """One thing that does not fit: what, as the job wants it, as it is at the site."""

    alias: str
    what: str
    job: str
    site: str

    def __str__(self) -> str:
        return f"{self.alias}: {self.what}: job {self.job}, site {self.site}"


class Preflight(Frozen):
    """What one site tells (``schemas/federation-preflight``): no patient data, small counts hidden.

    Attributes:
        alias: Pseudonymous name of the site.
        job_sha256: The job it approved.
        dataset_sha256: Identity of its dataset; the same under two aliases is refused.
        content_sha256: Hash over the image files alone, so that a renamed copy is found too.
        label_schema_sha256: Hash of the whole label schema.
        recipe_sha256: Recipe of its dataset.
        labels: Voxel value by class name.
        annotated: Classes that were looked for here.
        channels: Channel names.
        cases: Cases by split; small numbers are ``None``.
        class_cases: Training cases in which a class was looked for; small numbers are ``None``.
        spacing_mm: Smallest and largest spacing along i, j and k, to a tenth of a millimetre.
        versions: Installed packages.
        free_disk_gib: Free space, in whole GiB.
        gpu: Whether a CUDA device is there.
        connected_ms: Time of a handshake with the coordinator, ``None`` where none was made.
        differences: What does not fit the job, as the site judged it: it alone knows its exact counts.
    """

    schema_version: Literal["1.0"] = "1.0"
    alias: str
    job_sha256: Sha256
    dataset_sha256: Sha256
    content_sha256: Sha256
    label_schema_sha256: Sha256
    recipe_sha256: Sha256
    labels: dict[str, int]
    annotated: tuple[str, ...]
    channels: tuple[str, ...]
    cases: dict[str, int | None]
    class_cases: dict[str, int | None]
    spacing_mm: tuple[Spacing, Spacing]
    versions: dict[str, str]
    free_disk_gib: int
    gpu: bool
    connected_ms: int | None = None
    differences: tuple[Difference, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Give it as a JSON document."""
        return self.model_dump(mode="json")


def look_at(alias: str, root: Path, job: Job, *, home: Path, connected_ms: int | None = None) -> Preflight:
    """Look at a dataset and this machine as a job needs them.

    Args:
        alias: Name of the site.
        root: Dataset folder.
        job: The job.
        home: Folder whose disk counts.
        connected_ms: Time of a handshake with the coordinator.

    Raises:
        DatasetError: The folder holds no finished dataset.
    """
    manifest = load_manifest(root)
    labelled = [record for record in manifest.cases if record.label]
    found = Preflight(
        alias=alias,
        job_sha256=job.sha256,
        dataset_sha256=manifest.dataset_sha256,
        content_sha256=_content(labelled),
        label_schema_sha256=label_schema_sha256(manifest.label_schema),
        recipe_sha256=manifest.recipe_sha256,
        labels={label.name: label.value for label in manifest.label_schema.labels},
        annotated=_annotated(manifest),
        channels=manifest.channels,
        cases=publish({name: _cell(_split(labelled, name)) for name in ("train", "test")}, smallest=SMALLEST),
        class_cases=publish({name: _cell(_with(labelled, name, manifest)) for name in job.class_names}),
        spacing_mm=_spacing(root, labelled),
        versions=versions(),
        free_disk_gib=int(shutil.disk_usage(_existing(home)).free // _GIB),
        gpu=_has_gpu(),
        connected_ms=connected_ms,
    )
    return found.model_copy(update={"differences": tuple(_judged(found, manifest, labelled, job))})


def versions() -> dict[str, str]:
    """Name the versions of Python and of the packages that matter; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def label_schema_sha256(schema: LabelSchemaRecord) -> str:
    """Hash a label schema: names, values, codes, synonyms and priorities."""
    text = json.dumps(schema.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def refuse_doubles(datasets: Mapping[str, str]) -> None:
    """Refuse one dataset under two aliases: it would count twice.

    Raises:
        JobMismatchError: Two aliases have the same hash.
    """
    seen: dict[str, str] = {}
    for alias, digest in sorted(datasets.items()):
        if digest in seen:
            raise JobMismatchError(
                f"{seen[digest]} and {alias} bring the same dataset", ref=alias, hint="let one of them take part"
            )
        seen[digest] = alias


def judged_together(found: Sequence[Preflight], job: Job, *, own: Mapping[str, str] | None = None) -> list[Difference]:
    """Give every difference of every site, and those that only show when sites are laid side by side.

    Args:
        found: One document a site.
        job: The job.
        own: The coordinator's versions; racoon must be the same everywhere.
    """
    differences = [each for one in found for each in one.differences]
    wanted = (own or versions()).get("racoon", "")
    for one in sorted(found, key=lambda each: each.alias):
        if one.job_sha256 != job.sha256:
            differences.append(Difference(alias=one.alias, what="job", job=job.sha256, site=one.job_sha256))
        if (theirs := one.versions.get("racoon", "none")) != wanted:
            differences.append(Difference(alias=one.alias, what="racoon", job=wanted, site=theirs))
    for kind in ("dataset_sha256", "content_sha256"):
        differences += _doubles(found, kind)
    if problem := job.rules.problem_with(job.quorum_of(len(found))):
        differences.append(Difference(alias="job", what="strategy", job=job.rules.strategy.name, site=problem))
    return list(dict.fromkeys(differences))


def refuse(differences: Iterable[Difference]) -> None:
    """Raise where anything does not fit, with the whole difference.

    Raises:
        JobMismatchError: There is a difference.
    """
    lines = [str(each) for each in differences]
    if lines:
        hint = "change the job, or leave the site out; --dry-run shows the same as a warning"
        raise JobMismatchError("; ".join(lines), hint=hint)


def _doubles(found: Sequence[Preflight], kind: str) -> list[Difference]:
    owner: dict[str, str] = {}
    doubles = []
    for one in sorted(found, key=lambda each: each.alias):
        first = owner.setdefault(getattr(one, kind), one.alias)
        if first != one.alias:
            doubles.append(Difference(alias=one.alias, what="dataset", job="one of its own", site=f"that of {first}"))
    return doubles


def _judged(found: Preflight, manifest: Manifest, cases: Sequence[CaseRecord], job: Job) -> Iterable[Difference]:
    wanted = job.requirements
    pairs: list[tuple[str, object, object]]
    pairs = [(f"label {each.name}", each.value, found.labels.get(each.name, "absent")) for each in job.labels]
    pairs += [("channels", len(wanted.channels) or job.network.in_channels, len(found.channels))]
    pairs += [("channels", list(wanted.channels), list(found.channels))] if wanted.channels else []
    for key in ("label_schema_sha256", "recipe_sha256"):
        if getattr(wanted, key):
            pairs.append((key.removesuffix("_sha256").replace("_", " "), getattr(wanted, key), getattr(found, key)))
    for what, theirs, ours in pairs:
        if theirs != ours:
            yield Difference(alias=found.alias, what=what, job=str(theirs), site=str(ours))
    for what, is_met, text in _needs(found, manifest, cases, job):
        if not is_met:
            yield Difference(alias=found.alias, what=what, job=text, site="not met")


def _needs(
    found: Preflight, manifest: Manifest, cases: Sequence[CaseRecord], job: Job
) -> Iterable[tuple[str, bool, str]]:
    wanted = job.requirements
    here = [name for name in job.class_names if name in found.annotated]
    yield "annotated classes", bool(here), "at least one of the job's"
    for name in wanted.annotated:
        yield f"annotated {name}", name in found.annotated, "annotated"
    yield "train cases", len(_split(cases, "train")) >= wanted.train_cases, f"{wanted.train_cases} or more"
    yield "test cases", len(_split(cases, "test")) >= wanted.test_cases, f"{wanted.test_cases} or more"
    for name in here:
        count = len(_with(cases, name, manifest))
        yield f"cases of {name}", count >= wanted.cases_per_class, f"{wanted.cases_per_class} or more"
    low, high = found.spacing_mm
    for axis, limits in enumerate(wanted.spacing_mm or ()):
        is_inside = limits[0] - 0.05 <= low[axis] and high[axis] <= limits[1] + 0.05
        yield f"spacing along {'ijk'[axis]}", is_inside, f"{limits[0]} to {limits[1]} mm"
    yield "free disk", found.free_disk_gib >= wanted.free_disk_gib, f"{wanted.free_disk_gib} GiB"
    yield "GPU", found.gpu or not wanted.gpu, "CUDA"


def _annotated(manifest: Manifest) -> tuple[str, ...]:
    return manifest.annotated_labels or tuple(label.name for label in manifest.label_schema.labels)


def _split(cases: Sequence[CaseRecord], name: str) -> list[CaseRecord]:
    return [case for case in cases if case.split == name]


def _with(cases: Sequence[CaseRecord], name: str, manifest: Manifest) -> list[CaseRecord]:
    return [case for case in _split(cases, "train") if name in (case.annotated or _annotated(manifest))]


def _cell(cases: Sequence[CaseRecord]) -> Cell:
    return Cell(len(cases), len({case.patient for case in cases}))


def _content(cases: Sequence[CaseRecord]) -> str:
    hashes = sorted(case.sha256.get(image, "") for case in cases for image in case.images)
    return hashlib.sha256("\n".join(hashes).encode("ascii")).hexdigest()


def _spacing(root: Path, cases: Sequence[CaseRecord]) -> tuple[Spacing, Spacing]:
    found = [read_nifti_grid(root / case.images[0]).spacing_mm for case in cases]
    i, j, k = ([round(point[axis], 1) for point in found] for axis in range(3))
    return (min(i), min(j), min(k)), (max(i), max(j), max(k))


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())


def _has_gpu() -> bool:
    return Path("/dev/nvidia0").exists()  # asking torch would cost this short process a second
