"""What there is to look at: datasets, their cases, files, findings and reviews."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from racoon_data.errors import DamagedDatasetError, RacoonError, SettingsError
from racoon_data.files.atomic import sha256_of
from racoon_data.files.case_sidecar import load_sidecar
from racoon_data.files.manifest import MANIFEST_NAME, CaseRecord, Manifest, load_manifest
from racoon_data.files.nifti import read_nifti
from racoon_data.qc.findings import read_issues
from racoon_data.qc.thumbnails import hex_of, thumbnails
from racoon_data.refs import FileRef
from racoon_data.site.reviews import LONGEST_COMMENT, Review, ReviewVerdict, add_review, latest_reviews
from racoon_data.volumes import Volume

_PICTURES_KEPT = 4000
_AGAIN = "copy or build the dataset again; racoon dataset check names every file that changed"


class AbsentError(Exception):
    """There is no such dataset, case or file."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A dataset as it lies on disk now."""

    root: Path
    manifest: Manifest
    cases: Mapping[str, CaseRecord]


@dataclass(slots=True)
class Shelf:
    """The datasets of a viewer; files are only read, reviews go into the site's database.

    Attributes:
        roots: Dataset folder by the name it is shown under.
        database: The site's SQLite file; ``None`` outside a site, where nothing can be reviewed.
        reviewer: Who reviews.
    """

    roots: Mapping[str, Path]
    database: Path | None = None
    reviewer: str = ""
    _opened: dict[str, tuple[int, Opened]] = field(default_factory=dict)
    _whole: set[tuple[Path, int, int]] = field(default_factory=set)
    _pictures: dict[tuple[str, str], bytes] = field(default_factory=dict)
    _drawing: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(2))

    def datasets(self) -> list[dict[str, Any]]:
        """List the datasets with their number of cases; a damaged one says why."""
        return [self._line(name) for name in sorted(self.roots)]

    def _line(self, name: str) -> dict[str, Any]:
        try:
            return {"name": name, "cases": len(self.open(name).cases), "trouble": ""}
        except RacoonError as error:
            return {"name": name, "cases": 0, "trouble": str(error)}

    def open(self, name: str) -> Opened:
        """Read a manifest, again only where it was replaced.

        Raises:
            AbsentError: There is no such dataset.
            DamagedDatasetError: The folder holds no finished dataset.
        """
        if name not in self.roots:
            raise AbsentError
        root = self.roots[name]
        stamp = (root / MANIFEST_NAME).stat().st_mtime_ns if (root / MANIFEST_NAME).is_file() else 0
        kept = self._opened.get(name)
        if kept is None or kept[0] != stamp:
            manifest = load_manifest(root)
            kept = (stamp, Opened(root, manifest, {case.case_id: case for case in manifest.cases}))
            self._opened[name] = kept
            self._pictures = {key: picture for key, picture in self._pictures.items() if key[0] != name}
        return kept[1]

    def gallery(self, name: str) -> dict[str, Any]:
        """Give a dataset's cases with their findings and reviews, and its labels with their colours."""
        opened = self.open(name)
        reviews = self._reviews(name)
        issues: dict[str, list[dict[str, str]]] = {}
        for issue in read_issues(opened.root):
            issues.setdefault(issue.case.case_id, []).append(issue.to_json())
        return {
            "name": name,
            "site": opened.manifest.site,
            "sha256": opened.manifest.dataset_sha256,
            "can_review": self.database is not None,
            "labels": _labels(opened.manifest),
            "cases": [_row(case, issues.get(case.case_id, []), reviews) for case in opened.manifest.cases],
        }

    def case(self, name: str, case_id: str) -> dict[str, Any]:
        """Give everything beside the voxels of a case.

        Raises:
            AbsentError: There is no such case.
            DamagedDatasetError: Its sidecar is damaged.
        """
        opened, record = self._find(name, case_id)
        sidecar = load_sidecar(opened.root / record.sidecar)
        issues = [issue.to_json() for issue in read_issues(opened.root) if issue.case.case_id == case_id]
        return {
            **_row(record, issues, self._reviews(name)),
            "channels": [{"name": channel.name, "unit": channel.unit} for channel in sidecar.channels],
            "readers": [reader.reader for reader in sidecar.readers],
            "reader_segments": [
                {str(segment.value): segment.name for segment in reader.segments if segment.value is not None}
                for reader in sidecar.readers
            ],
            "spacing_mm": sidecar.geometry.spacing_mm,
            "size": sidecar.geometry.size,
            "orientation": sidecar.geometry.orientation,
            "acquisition": sidecar.channels[0].acquisition.model_dump(mode="json", exclude_defaults=True),
        }

    def file(self, name: str, case_id: str, kind: str, number: int) -> Path:
        """Give a file of a case that is what the manifest says.

        Args:
            name: The dataset.
            case_id: The case.
            kind: ``image``, ``label`` or ``reader``.
            number: Which one, from 0.

        Raises:
            AbsentError: There is no such file.
            DamagedDatasetError: The file is not the one that was written.
        """
        opened, record = self._find(name, case_id)
        files = {"image": record.images, "label": (record.label,) if record.label else (), "reader": record.readers}
        if kind not in files or not 0 <= number < len(files[kind]):
            raise AbsentError
        path = files[kind][number]
        self._check(opened.root / path, record.sha256.get(path, ""))
        return opened.root / path

    def picture(self, name: str, case_id: str) -> bytes:
        """Draw the axial picture of a case, as WebP; it is kept in memory."""
        opened, record = self._find(name, case_id)
        with self._drawing:
            if (name, case_id) not in self._pictures:
                if len(self._pictures) >= _PICTURES_KEPT:
                    self._pictures.pop(next(iter(self._pictures)))
                self._pictures[name, case_id] = _axial(opened, record)
            return self._pictures[name, case_id]

    def review(self, name: str, case_id: str, verdict: str, comment: str) -> dict[str, str]:
        """Keep what was said of a case.

        Raises:
            AbsentError: There is no such case.
            SettingsError: There is no site to keep it in, or it is no review.
        """
        _, record = self._find(name, case_id)
        if self.database is None:
            raise SettingsError("outside a site nothing is kept", hint="serve a dataset of a site")
        if verdict not in list(ReviewVerdict) or len(comment) > LONGEST_COMMENT:
            raise SettingsError("this is no review", hint=f"accepted, rejected or open; {LONGEST_COMMENT} characters")
        at = datetime.now(UTC).isoformat(timespec="seconds")
        seen = record.sha256.get(record.sidecar, "")
        review = Review(name, case_id, ReviewVerdict(verdict), comment, self.reviewer, at, seen)
        add_review(self.database, review)
        return review.to_json()

    def _find(self, name: str, case_id: str) -> tuple[Opened, CaseRecord]:
        opened = self.open(name)
        if case_id not in opened.cases:
            raise AbsentError
        return opened, opened.cases[case_id]

    def _reviews(self, name: str) -> dict[str, Review]:
        return latest_reviews(self.database, name) if self.database is not None else {}

    def _check(self, path: Path, sha256: str) -> None:
        """Compare a file with its checksum, once for each state of the file."""
        try:
            facts = path.stat()
            key = (path, facts.st_mtime_ns, facts.st_size)
            if key not in self._whole and sha256_of(path) == sha256:
                self._whole.add(key)
        except OSError as error:
            raise DamagedDatasetError("a file of the case is missing", ref=FileRef(path.name), hint=_AGAIN) from error
        if key not in self._whole:
            raise DamagedDatasetError("the file is not the one that was written", ref=FileRef(path.name), hint=_AGAIN)


def _labels(manifest: Manifest) -> list[dict[str, Any]]:
    labels = [
        {"value": label.value, "name": label.name, "colour": hex_of(label.value)}
        for label in manifest.label_schema.labels
    ]
    if manifest.ignore_value is not None:
        labels.append({"value": manifest.ignore_value, "name": "ignore", "colour": "#9aa5b1"})
    return labels


def _row(case: CaseRecord, issues: list[dict[str, str]], reviews: Mapping[str, Review]) -> dict[str, Any]:
    review = reviews.get(case.case_id)
    seen = case.sha256.get(case.sidecar, "")
    return {
        "case": case.case_id,
        "patient": case.patient,
        "split": case.split,
        "images": len(case.images),
        "has_label": case.label is not None,
        "label_ml": case.label_ml,
        "annotated": case.annotated,
        "issues": issues,
        "review": {**review.to_json(), "is_of_this_build": review.sidecar_sha256 == seen} if review else None,
    }


def _axial(opened: Opened, record: CaseRecord) -> bytes:
    array, geometry = read_nifti(opened.root / record.images[0])
    labels = read_nifti(opened.root / record.label)[0] if record.label else None
    unit = load_sidecar(opened.root / record.sidecar).channels[0].unit
    names = {label.value: label.name for label in opened.manifest.label_schema.labels}
    picture = thumbnails(Volume(array, geometry, unit), labels, names=names)[0]
    return base64.b64decode(picture.data_uri.partition(",")[2])
