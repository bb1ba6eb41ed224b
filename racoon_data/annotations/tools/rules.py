"""Rules on a row: paths to texts, numbers, dates and codes, with errors that name the rule and what stood there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import TypeVar

from racoon_data.annotations.tools.mapping import CodeTable, ReportMapping, TextRule, TextTable, paths_in_rule
from racoon_data.annotations.tools.paths import NodePath, compile_path, nearest, select
from racoon_data.annotations.tools.trees import Node
from racoon_data.errors import MappingError
from racoon_data.labels import CodedConcept

# A single thousands mark without a decimal one ("1.250") may as well be a decimal mark: it is refused, not guessed.
_NUMBERS = {
    ".": re.compile(r"[+-]?(\d*\.)?\d+([eE][+-]?\d+)?|[+-]?\d{1,3}((,\d{3})+\.\d+|(,\d{3}){2,})"),
    ",": re.compile(r"[+-]?(\d*,)?\d+([eE][+-]?\d+)?|[+-]?\d{1,3}((\.\d{3})+,\d+|(\.\d{3}){2,}|( \d{3})+(,\d+)?)"),
}
_GROUPS = {".": ",", ",": ". "}
_SHOWN = 24
Mapped = TypeVar("Mapped")

compiled = lru_cache(maxsize=512)(compile_path)


def shape_of(text: str) -> str:
    """Describe a text without showing it: digits become 9, letters a.

    Example:
        >>> shape_of("12,5 ml")
        '99,9 aa'
    """
    shape = "".join("9" if one.isdigit() else "a" if one.isalpha() else one for one in text[:_SHOWN])
    return shape + ("..." if len(text) > _SHOWN else "")


@dataclass(slots=True)
class Rules:
    """The rules of one mapping at work on one document.

    Attributes:
        mapping: The mapping.
        hits: Rules of which a path led somewhere.
        misses: First row, and path, where a rule's paths led nowhere.
    """

    mapping: ReportMapping
    hits: set[str] = field(default_factory=set)
    misses: dict[str, tuple[Node, NodePath]] = field(default_factory=dict)

    def nodes(self, rule: str, row: Node, value: object) -> list[Node]:
        """Follow the paths of a rule to nodes with text; the first path that leads to any wins."""
        for text in paths_in_rule(value):
            path = compiled(text)
            reached = select(row, path)
            if reached:
                self.hits.add(rule)
            elif rule not in self.misses:
                self.misses[rule] = (row, path)
            if found := [node for node in reached if node.text]:
                return found
        return []

    def texts(self, rule: str, row: Node, value: TextRule | None) -> tuple[str, ...]:
        """Give every text a rule finds, mapped; its constant or default where it finds none.

        Raises:
            MappingError: It is required and finds nothing, or its map lacks a value.
        """
        if value is None:
            return ()
        table = value if isinstance(value, TextTable) else TextTable(path=value)
        if table.constant:
            return (table.constant,)
        found = tuple(node.text for node in self.nodes(rule, row, table))
        if not found:
            if table.required:
                raise self.missing(rule, row, value)
            return (table.default,) if table.default else ()
        if not table.map:
            return found
        return tuple(_mapped(rule, text, table.map, table.default or None) for text in found)

    def text(self, rule: str, row: Node, value: TextRule | None) -> str:
        """Give the first text a rule finds, empty where it finds none; see ``texts``."""
        return next(iter(self.texts(rule, row, value)), "")

    def number(self, rule: str, row: Node, value: TextRule, *, decimal: str) -> str:
        """Give a number with a decimal point, empty where there is none; digits stay as written.

        Raises:
            MappingError: The text is no number in the mapping's notation.
        """
        text = self.text(rule, row, value).replace("\u00a0", " ").replace("\u2212", "-").strip()
        if not text:
            return ""
        if _NUMBERS[decimal].fullmatch(text):
            bare = text.translate({ord(group): None for group in _GROUPS[decimal]})
            return bare.replace(",", ".")
        other = "," if decimal == "." else "."
        meant = f"; did you mean decimal = {other!r}?" if _NUMBERS[other].fullmatch(text) else ""
        raise MappingError(
            f"rule {rule!r} expects a number with decimal {decimal!r}, found {shape_of(text)!r}{meant}",
            hint="point the rule at the bare number, its unit at the unit rule",
        )

    def day(self, rule: str, row: Node, value: TextRule | None) -> date | None:
        """Give a date, ``None`` where there is none.

        Raises:
            MappingError: The text is no date in the mapping's format.
        """
        text = self.text(rule, row, value)
        if not text:
            return None
        try:
            return datetime.strptime(text, self.mapping.date_format).date()
        except ValueError as error:
            wanted = self.mapping.date_format
            message = f"rule {rule!r} expects a date like {wanted}, found {shape_of(text)!r}"
            raise MappingError(message, hint="write date_format as the export writes dates") from error

    def code(self, rule: str, row: Node, table: CodeTable | None) -> CodedConcept | None:
        """Give the concept a rule finds, ``None`` where it finds nothing.

        Raises:
            MappingError: It is required and finds nothing, its map lacks the value, or a code has no scheme.
        """
        if table is None:
            return None
        if table.constant is not None:
            return table.constant.concept
        node = next(iter(self.nodes(rule, row, table)), None) if table.map else self._holder(rule, row, table)
        if node is None:
            if table.required:
                raise self.missing(rule, row, table)
            return table.default.concept if table.default else None
        if not table.map:
            return self._own_code(rule, node, table)
        return _mapped(rule, node.text, table.map, table.default).concept

    def _holder(self, rule: str, row: Node, table: CodeTable) -> Node | None:
        for text in paths_in_rule(table):
            if reached := select(row, compiled(text)):
                self.hits.add(rule)
                return reached[0]
            self.misses.setdefault(rule, (row, compiled(text)))
        return None

    def _own_code(self, rule: str, node: Node, table: CodeTable) -> CodedConcept | None:
        value = next((one.text for one in select(node, compiled(table.value)) if one.text), "")
        meaning = next((one.text for one in select(node, compiled(table.meaning)) if one.text), "")
        if not value:
            return None
        scheme = self.text(rule, node, table.scheme)
        if not scheme:
            raise MappingError(
                f"rule {rule!r} expects a coding scheme beside its code, found none", hint="name 'scheme'"
            )
        return CodedConcept(value, scheme, meaning if meaning != value else "")

    def missing(self, rule: str, row: Node, value: object) -> MappingError:
        """Say what a required rule looked for and what stands there instead."""
        for text in paths_in_rule(value):
            wanted, beside, close = nearest(row, compiled(text))
            if wanted:
                return _not_there(rule, wanted, beside, close)
        return MappingError(
            f"rule {rule!r} expects a value, found an empty one", hint="check the export, or drop 'required'"
        )

    def strangers(self) -> list[tuple[str, MappingError]]:
        """Give rules whose paths led nowhere in the whole document although a resembling name stands there."""
        found = []
        for rule, (row, path) in self.misses.items():
            wanted, beside, close = nearest(row, path)
            if rule not in self.hits and close:
                found.append((rule, _not_there(rule, wanted, beside, close)))
        return found


def _not_there(rule: str, wanted: str, beside: tuple[str, ...], close: str) -> MappingError:
    there = ", ".join(beside) or "nothing"
    meant = f"; did you mean {close!r}?" if close else ""
    return MappingError(f"rule {rule!r} expects {wanted!r}, found {there}{meant}", hint="mend the rule's path")


def _mapped(rule: str, text: str, table: Mapping[str, Mapped], default: Mapped | None) -> Mapped:
    """Look a text up in a value map, exactly first, then without case."""
    folded = {key.casefold(): value for key, value in table.items()}
    found = table.get(text, folded.get(text.casefold(), default))
    if found is not None:
        return found
    close = get_close_matches(text.casefold(), folded, n=1)
    meant = next((f"; did you mean {key!r}?" for key in table if close and key.casefold() == close[0]), "")
    raise MappingError(
        f"rule {rule!r} expects one of {_listed(list(table))}, found {shape_of(text)!r}{meant}",
        hint="add the value to the rule's map, or give it a default",
    )


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:6])) + (", ..." if len(names) > 6 else "")
