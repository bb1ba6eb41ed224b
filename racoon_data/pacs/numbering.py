"""Series and instance numbers: which ones an answer lacks, and when nothing can be missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_BEYOND = 3
_MOST_ASKED = 5_000


class Numbers:
    """The numbers of series or instances seen so far.

    Attributes:
        count: Answers noted.
        announced: How many there are, as the peer says; ``None`` where it does not.
    """

    def __init__(self, keyword: str, announced: int | None) -> None:
        """Begin.

        Args:
            keyword: ``SeriesNumber`` or ``InstanceNumber``.
            announced: How many there are, as the peer says; ``None`` where it does not.
        """
        self._keyword = keyword
        self.announced = announced
        self._seen: set[int] = set()
        self.count = 0

    @property
    def is_all_here(self) -> bool:
        """Whether as many were seen as announced."""
        return self.announced is not None and self.count >= self.announced

    @property
    def unseen(self) -> int:
        """How many numbers up to the largest were not seen."""
        return max(self._seen, default=0) - len(self._seen)

    def note(self, values: Mapping[str, str]) -> None:
        """Note one answer."""
        self.count += 1
        text = values.get(self._keyword, "").strip()
        if text.lstrip("+-").isdigit():
            self._seen.add(int(text))

    def to_ask(self, *, can_prove_by_gaps: bool) -> Iterator[int]:
        """Give the numbers to ask for: the gaps, and those around, further as long as something is found.

        Args:
            can_prove_by_gaps: Stop a little beyond the largest number; else go on until the announced count is
                there, or nothing was found for as many numbers as were seen.
        """
        asked: set[int] = set()
        while len(asked) < _MOST_ASKED and not self.is_all_here:
            low, high = (min(self._seen), max(self._seen)) if self._seen else (1, 1)
            beyond = _BEYOND if can_prove_by_gaps else max(_BEYOND, len(self._seen))
            due = [n for n in range(min(low, 1) - 1, high + beyond + 1) if n not in self._seen and n not in asked]
            if not due:
                return
            asked.add(due[0])
            yield due[0]
