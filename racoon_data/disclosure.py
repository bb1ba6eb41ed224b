"""Counts that may leave a site: small cells are hidden, and so is what would give them away by subtraction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

# Five is the usual threshold of European health data; sites raise it in their settings.
SMALLEST = 5


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table.

    Attributes:
        count: What is counted: instances, cases, patients.
        people: How many persons stand behind it; a thousand slices of one person are still one person.
    """

    count: int
    people: int

    @classmethod
    def of(cls, people: int) -> Self:
        """Give a cell that counts persons."""
        return cls(people, people)


def publish(cells: Mapping[str, Cell], *, smallest: int = SMALLEST) -> dict[str, int | None]:
    """Give the counts of cells whose sum is published too.

    A cell with at least one and fewer than ``smallest`` persons is hidden. Where the hidden cells are fewer than
    two, or hold fewer than ``smallest`` persons together, the sum would give them away: the smallest other
    cells are hidden as well. Zeros are shown: nobody stands behind them. Where no other cell is left to hide,
    the sum may not be published either: see ``publish_total``.

    Args:
        cells: Cells by name.
        smallest: Fewest persons a shown cell may hold.

    Returns:
        Counts by name in the given order, ``None`` where hidden.
    """
    hidden = _hidden({name: cell.people for name, cell in cells.items()}, smallest)
    return {name: None if name in hidden else cell.count for name, cell in cells.items()}


def publish_total(cells: Mapping[str, Cell], *, smallest: int = SMALLEST) -> int | None:
    """Give the sum of cells, ``None`` where it would give a hidden cell away or is small itself."""
    people = {name: cell.people for name, cell in cells.items()}
    if 0 < sum(people.values()) < smallest or _is_open(people, _hidden(people, smallest), smallest):
        return None
    return sum(cell.count for cell in cells.values())


def publish_table(
    rows: Mapping[str, Mapping[str, Cell]], *, smallest: int = SMALLEST
) -> dict[str, dict[str, int | None]]:
    """Give the counts of a table whose sums by row and by column are published too.

    Rows and columns are closed in turn until neither gives a hidden cell away; hiding only ever adds
    cells, so this ends.

    Args:
        rows: Cells by row and column; a column a row lacks counts as nobody.
        smallest: Fewest persons a shown cell may hold.

    Returns:
        Counts by row and column, ``None`` where hidden.
    """
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    people = {name: {one: row[one].people if one in row else 0 for one in columns} for name, row in rows.items()}
    hidden: set[tuple[str, str]] = set()
    before = -1
    while len(hidden) > before:
        before = len(hidden)
        for name in rows:
            chosen = {one for row, one in hidden if row == name}
            hidden |= {(name, one) for one in _hidden(people[name], smallest, chosen)}
        for one in columns:
            chosen = {row for row, column in hidden if column == one}
            hidden |= {(row, one) for row in _hidden({row: people[row][one] for row in rows}, smallest, chosen)}
    return {
        name: {one: None if (name, one) in hidden else cell.count for one, cell in row.items()}
        for name, row in rows.items()
    }


def _hidden(people: Mapping[str, int], smallest: int, also: set[str] | None = None) -> set[str]:
    """Choose what is hidden in one row: the small cells, ``also``, and what these need for cover."""
    hidden = {name for name, count in people.items() if 0 < count < smallest} | (also or set())
    rest = sorted((count, name) for name, count in people.items() if count and name not in hidden)
    while rest and _is_open(people, hidden, smallest):
        hidden.add(rest.pop(0)[1])
    return hidden


def _is_open(people: Mapping[str, int], hidden: set[str], smallest: int) -> bool:
    """Tell whether the sum of a row gives its hidden cells away."""
    behind = sum(people[name] for name in hidden)
    # a hidden cell holds at least one person: a sum as small as the number of cells tells them all
    return bool(hidden) and (len(hidden) < 2 or behind < smallest or behind <= len(hidden))
