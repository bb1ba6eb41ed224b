"""Whole instances to disk behind the wire: gathered in memory, written and hashed while the next one arrives."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from racoon_data.pacs.landing import Announced, Landed, Landing, Refusal
from racoon_data.pacs.link import Basket

_BASKETS = 4
# Below this, handing an instance to another thread costs more than writing it.
_WORTH_A_THREAD = 64 * 1024


End = tuple[Announced, Landing, Landed | Refusal]


class Carrier:
    """Puts instances on disk in the order they came, large ones in a thread: neither hash nor write needs Python.

    What became of each is told to the owner's thread alone, see :meth:`ended`.

    Attributes:
        basket: Where the next data set is gathered.
    """

    def __init__(self) -> None:
        """Begin with nothing under way."""
        self._free = [Basket() for _ in range(_BASKETS)]
        self._loads: deque[tuple[Announced, Landing, Basket, Future[Landed | Refusal]]] = deque()
        self._ends: list[End] = []
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="carrier")
        self.basket = self._free.pop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._helper.shutdown()

    def carry(self, announced: Announced, landing: Landing) -> None:
        """Put the admitted instance in the basket on disk, and take an empty basket."""
        data = self.basket.data
        if not self._loads and len(data) < _WORTH_A_THREAD:
            self._ends.append((announced, landing, landing.land(data)))
            return
        self._loads.append((announced, landing, self.basket, self._helper.submit(landing.land, data)))
        if not self._free:
            self._retire()
        self.basket = self._free.pop()

    def ended(self, *, wait: bool = False) -> list[End]:
        """Say what became of instances, in the order they came; of each once.

        Args:
            wait: Whether to wait for all that are under way.
        """
        while self._loads and (wait or self._loads[0][3].done()):
            self._retire()
        ends, self._ends = self._ends, []
        return ends

    def _retire(self) -> None:
        announced, landing, basket, future = self._loads.popleft()
        self._free.append(basket)
        self._ends.append((announced, landing, future.result()))
