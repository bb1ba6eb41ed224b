"""A vendor's report through a mapping file: rows to findings, one export per patient, study, reader and day."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from fnmatch import fnmatch
from pathlib import Path
from typing import TypeVar

from racoon_data.annotations.tools.mapping import Evaluation, Measurement, ReportMapping
from racoon_data.annotations.tools.paths import is_showable, select
from racoon_data.annotations.tools.rules import Rules, compiled
from racoon_data.annotations.tools.trees import Node, parse_csv, parse_json, parse_xml, read_bytes
from racoon_data.errors import BrokenExportError, MappingError, RacoonError, UnmappedFieldError
from racoon_data.labels import CodedConcept, Finding
from racoon_data.outcomes import Outcome, outcome_of
from racoon_data.refs import FileRef, InstanceRef
from racoon_data.tool_exports import Look, Masks, Pointers, ToolExport, content_uid, name_in

STEP = "read"
_NOWHERE = InstanceRef("", "", "")
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class _Owner:
    """What rows must agree in to be one export."""

    pointers: Pointers
    reader: str
    day: date | None


@dataclass(slots=True)
class _Reading:
    """What a document has given so far."""

    name: str
    rules: Rules
    rows: dict[_Owner, list[Finding]] = field(default_factory=lambda: defaultdict(list))
    series: dict[_Owner, set[str]] = field(default_factory=lambda: defaultdict(set))
    outcomes: list[Outcome] = field(default_factory=list)

    def attempt(self, place: str, work: Callable[[], Value], otherwise: Value) -> Value:
        """Do one thing; what goes wrong costs this thing alone and leaves a row."""
        try:
            return work()
        except MappingError as error:
            self.refuse(place, error)
            return otherwise

    def refuse(self, place: str, error: RacoonError) -> None:
        """Note that something was not read."""
        self.outcomes.append(outcome_of(error, ref=FileRef(f"{self.name}#{place}" if place else self.name), step=STEP))


@dataclass(frozen=True, slots=True)
class MappedReader:
    """Reads the reports of one tool through its mapping.

    Attributes:
        mapping: The mapping file.
    """

    mapping: ReportMapping
    kind: str = "mapped"

    def claims(self, path: Path) -> bool:
        """Tell whether the mapping's file pattern fits."""
        return fnmatch(path.name.lower(), self.mapping.pattern.lower())

    def look(self, path: Path) -> Look:
        """Read every row.

        Raises:
            BrokenExportError: The file is not what the mapping says it is.
            HostileExportError: It is built like no report.
            MappingError: The mapping finds no row in it.
        """
        data = read_bytes(path)
        root, uneven = self._parse(data)
        reading = _Reading(path.name, Rules(self.mapping))
        for line in uneven:
            message = "the row has another number of cells than the header"
            reading.refuse(f"line {line}", BrokenExportError(message, hint="check its quoting"))
        rows = select(root, compiled(self.mapping.rows))
        if not rows and not uneven:
            raise reading.rules.missing("rows", root, self.mapping.rows)
        for number, row in enumerate(rows, start=1):
            self._read_row(row, f"line {row.row}" if row.row else f"row {number}", reading)
        for rule, error in reading.rules.strangers():
            reading.refuse(f"rule {rule}", error)
        reading.outcomes += _unread(root, self.mapping, path.name)
        return Look(tuple(self._exports(reading, data)), tuple(reading.outcomes))

    def masks(self, path: Path, export: ToolExport) -> Masks:
        """Give none: mapped reports hold findings."""
        return iter(())

    def _parse(self, data: bytes) -> tuple[Node, tuple[int, ...]]:
        if self.mapping.format == "csv":
            return parse_csv(data, encoding=self.mapping.encoding, delimiter=self.mapping.delimiter)
        return (parse_xml(data) if self.mapping.format == "xml" else parse_json(data)), ()

    def _read_row(self, row: Node, place: str, reading: _Reading) -> None:
        owner = reading.attempt(place, lambda: self._owner(row, place, reading), None)
        if owner is None:
            return
        base = self._base(row, place, reading)
        found: list[Finding] = []
        for rule in self.mapping.measurements:
            for sub in select(row, compiled(rule.rows)):
                finding = reading.attempt(place, lambda s=sub, r=rule: self._measured(s, r, base, reading), None)  # type: ignore[misc]
                found += [finding] if finding else []
        for judged in self.mapping.evaluations:
            for sub in select(row, compiled(judged.rows)):
                finding = reading.attempt(place, lambda s=sub, r=judged: self._judged(s, r, base, reading), None)  # type: ignore[misc]
                found += [finding] if finding else []
        if not found and not any(str(end.ref).endswith(f"#{place}") for end in reading.outcomes):
            reading.refuse(
                place, MappingError("the row holds no measurement and no evaluation", hint="check the rules")
            )
        reading.rows[owner] += found
        series_uids = self.mapping.links.series_uids
        reading.series[owner].update(reading.rules.texts("links.series_uids", row, series_uids))

    def _owner(self, row: Node, place: str, reading: _Reading) -> _Owner:
        rules, links = reading.rules, self.mapping.links
        pointers = Pointers(
            patient=rules.text("links.patient", row, links.patient),
            study_uid=rules.text("links.study_uid", row, links.study_uid),
            accession=rules.text("links.accession", row, links.accession),
            frame_of_reference=rules.text("links.frame_of_reference", row, links.frame_of_reference) or None,
        )
        day = reading.attempt(place, lambda: rules.day("links.date", row, links.date), None)
        return _Owner(pointers, rules.text("links.reader", row, links.reader), day)

    def _base(self, row: Node, place: str, reading: _Reading) -> Finding:
        """Read what holds for all findings of a row; a part that cannot be read stays empty."""
        rules, lesion, links = reading.rules, self.mapping.lesion, self.mapping.links

        def text(key: str) -> str:
            return reading.attempt(place, lambda: rules.text(f"lesion.{key}", row, getattr(lesion, key)), "")

        def code(key: str) -> CodedConcept | None:
            return reading.attempt(place, lambda: rules.code(f"lesion.{key}", row, getattr(lesion, key)), None)

        none: tuple[str, ...] = ()
        sops = reading.attempt(place, lambda: rules.texts("links.sop_uids", row, links.sop_uids), none)
        return Finding(
            _NOWHERE,
            CodedConcept("", ""),
            tracking_id=text("tracking_id"),
            tracking_uid=text("tracking_uid"),
            time_point=text("time_point"),
            finding=code("finding"),
            site=code("site"),
            laterality=code("laterality"),
            referenced_sops=tuple(dict.fromkeys(sops)),
        )

    def _measured(self, row: Node, rule: Measurement, base: Finding, reading: _Reading) -> Finding | None:
        rules = reading.rules
        value = rules.number(rule.name, row, rule.value, decimal=rule.decimal or self.mapping.decimal)
        if not value:
            return None
        concept = rules.code(rule.name, row, rule.concept)
        if concept is None:
            raise MappingError(
                f"rule {rule.name!r} expects a concept for its value, found none", hint="give it a default"
            )
        return replace(
            base,
            concept=concept,
            value=value,
            unit=rules.text(rule.name, row, rule.unit),
            derivation=rules.code(rule.name, row, rule.derivation),
            method=rules.code(rule.name, row, rule.method),
        )

    def _judged(self, row: Node, rule: Evaluation, base: Finding, reading: _Reading) -> Finding | None:
        rules = reading.rules
        answer = rules.code(rule.name, row, rule.answer)
        text = rules.text(rule.name, row, rule.text)
        concept = rules.code(rule.name, row, rule.concept) if answer or text else None
        if concept is None:
            return None
        value = (answer.meaning or answer.value) if answer else text
        return replace(base, concept=concept, value=value, answer=answer)

    def _exports(self, reading: _Reading, data: bytes) -> list[ToolExport]:
        exports = []
        for number, (owner, found) in enumerate(reading.rows.items(), start=1):
            if not found:
                continue
            uid = content_uid(self.kind, data, str(number))
            source = InstanceRef(owner.pointers.study_uid, "", uid)
            sops = frozenset(sop for finding in found for sop in finding.referenced_sops)
            exports.append(
                ToolExport(
                    uid,
                    f"{self.kind}:{self.mapping.name}",
                    replace(owner.pointers, sop_uids=sops, series_uids=frozenset(reading.series[owner])),
                    findings=tuple(replace(finding, source=source, reader=owner.reader) for finding in found),
                    reader=owner.reader,
                    day=owner.day,
                    kept_texts=_kept_texts(self.mapping),
                )
            )
        return exports


def _kept_texts(mapping: ReportMapping) -> frozenset[str]:
    rules = [rule for rule in mapping.evaluations if rule.name in mapping.privacy.keep]
    concepts = [rule.concept.constant for rule in rules if rule.concept.constant is not None]
    fields = {"tracking_id", "time_point"} & set(mapping.privacy.keep)
    return frozenset(fields | {f"{code.scheme}:{code.value}" for code in concepts})


def _unread(root: Node, mapping: ReportMapping, name: str) -> list[Outcome]:
    """Count values that no rule looked at, by where they stand."""
    counts: Counter[str] = Counter()
    for leaf in root.leaves():
        if not leaf.is_read and leaf.name not in mapping.privacy.ignore:
            counts[_place_of(leaf)] += 1
    outcomes = []
    for place, count in sorted(counts.items()):
        error = UnmappedFieldError(
            f"{count} value(s) at {place} are read by no rule and left out",
            hint="add a rule, or list the name under [privacy] ignore",
        )
        outcomes.append(outcome_of(error, ref=FileRef(name_in(Path(name), place)), step=STEP))
    return outcomes


def _place_of(leaf: Node) -> str:
    parts: list[str] = []
    node: Node | None = leaf
    while node is not None and node.name:
        parts.append(node.name if is_showable(node.name) else "?")
        node = node.parent
    if parts and leaf.parent is not None and leaf.parent.attributes.get(leaf.name) is leaf:
        parts[0] = f"@{parts[0]}"
    return "/".join(reversed(parts)) or "?"
