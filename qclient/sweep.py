"""A listing that is looked at again and again, and is too long to be read whole each time.

    turn 1   a b c d |               the bound is reached
    turn 2           | e f g ·       the end: the round is over; what it did not meet is gone
    turn 3   a b x d |               `x` is new

A turn costs the same however long the listing is; the longer it is, the later news are seen.
"""

from collections.abc import AsyncIterator, Callable
from typing import Final, Generic, TypeVar

import msgspec

K = TypeVar("K", int, str)
R = TypeVar("R")

PAGE: Final = 500
ROWS_MAX: Final = 4 * PAGE
BYTES_MAX: Final = 4 << 20
"""Of the bodies that one turn reads; at least one is always read."""


class Turn(msgspec.Struct, Generic[K, R], frozen=True):
    """What one turn found.

    Attributes:
        rows: all that was read, in order.
        news: those of them that were not there before.
        gone: keys of those that are there no more.
    """

    rows: list[R]
    news: list[R]
    gone: set[K]


class Sweep(Generic[K, R]):
    """Reads a listing in turns.

    Args:
        read: the rows behind a key, in order; behind None those from the start.
        key: of a row, by which the listing is in order.
        weigh: the bytes of a row's body.

    Attributes:
        rounds: how often the end was reached.
        known: keys of what is there, as far as it was read.
    """

    def __init__(
        self,
        read: Callable[[K | None], AsyncIterator[R]],
        key: Callable[[R], K],
        weigh: Callable[[R], int] | None = None,
    ) -> None:
        self.rounds = 0
        self.known: set[K] = set()
        self._read: Callable[[K | None], AsyncIterator[R]] = read
        self._key: Callable[[R], K] = key
        self._weigh = weigh
        self._cursor: K | None = None
        self._met: set[K] = set()
        self._found: Turn[K, R] = Turn([], [], set())

    async def turn(self) -> Turn[K, R]:
        """Read on, from where the last turn ended, until the bound or the end.

        Where reading fails, the next turn tells what this one had found.
        """
        found = self._found
        weight = 0
        async for row in self._read(self._cursor):
            self._meet(row, found)
            if self._weigh is not None:
                weight += self._weigh(row)
            if len(found.rows) >= ROWS_MAX or weight >= BYTES_MAX:
                break
        else:
            self._end_round(found)
        self._found = Turn([], [], set())
        return found

    async def round(self) -> AsyncIterator[Turn[K, R]]:
        """Read on until the end."""
        rounds = self.rounds
        while self.rounds == rounds:
            yield await self.turn()

    def _meet(self, row: R, found: Turn[K, R]) -> None:
        key = self._key(row)
        found.rows.append(row)
        if key not in self.known:
            self.known.add(key)
            found.news.append(row)
        self._met.add(key)
        self._cursor = key

    def _end_round(self, found: Turn[K, R]) -> None:
        found.gone.update(self.known - self._met)
        self.known, self._met, self._cursor = self._met, set(), None
        self.rounds += 1
