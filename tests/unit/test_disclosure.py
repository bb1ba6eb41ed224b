"""Small cells are hidden, and nobody finds them by subtraction."""

import random
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from racoon_data.disclosure import Cell, publish, publish_table, publish_total


def people(**counts):
    """Cells that count persons."""
    return {name: Cell.of(count) for name, count in counts.items()}


def test_a_small_cell_takes_a_second_one_along():
    """With the sum known, one hidden cell would be found by subtraction: the next smallest hides with it."""
    assert publish(people(a=3, b=40, c=9), smallest=5) == {"a": None, "b": 40, "c": None}


def test_large_cells_and_zeros_are_shown():
    """Nobody stands behind a zero."""
    assert publish(people(a=5, b=0), smallest=5) == {"a": 5, "b": 0}


def test_many_slices_of_one_person_are_small():
    """A cell is judged by the persons behind it."""
    assert publish({"a": Cell(900, 1), "b": Cell(7, 7), "c": Cell(8, 8)}, smallest=5) == {
        "a": None,
        "b": None,
        "c": 8,
    }


def test_a_sum_that_gives_away_its_only_cell_is_hidden():
    """Where no other cell gives cover the sum goes too."""
    assert publish_total(people(a=3, b=0), smallest=5) is None
    assert publish_total(people(a=3, b=9), smallest=5) == 12


@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 12), min_size=1), st.integers(2, 6))
@settings(deadline=None, max_examples=200)
def test_every_small_cell_stays_uncertain(counts, smallest):
    """An attacker who knows the sum and the rule still finds two different values for each small cell."""
    cells = people(**counts)
    shown, total = publish(cells, smallest=smallest), publish_total(cells, smallest=smallest)
    hidden = [name for name, value in shown.items() if value is None]
    if total is None or len(hidden) > 4:
        return
    left = total - sum(value for value in shown.values() if value is not None)
    fits = [row for row in product(range(1, left + 1), repeat=len(hidden)) if sum(row) == left]
    for place, name in enumerate(hidden):
        if counts[name] < smallest:
            assert len({row[place] for row in fits}) > 1


def test_rows_and_columns_of_a_table_cover_each_other():
    """Neither the sum of a row nor that of a column gives a hidden cell away."""
    chance = random.Random(5)
    for _ in range(200):
        rows = {row: {column: Cell.of(chance.choice((0, 1, 4, 6, 30))) for column in "xyz"} for row in ("p", "q", "r")}
        shown = publish_table(rows, smallest=5)
        for line in [[(row, c) for c in "xyz"] for row in rows] + [[(row, c) for row in rows] for c in "xyz"]:
            hidden = [place for place in line if shown[place[0]][place[1]] is None]
            others = [(r, c) for r, c in line if shown[r][c] and (r, c) not in hidden]
            behind = sum(rows[r][c].people for r, c in hidden)
            assert not hidden or (len(hidden) > 1 and behind >= 5) or not others
        assert all(shown[r][c] is None for r in rows for c in "xyz" if 0 < rows[r][c].people < 5)
