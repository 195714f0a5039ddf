"""How many messages to ask for beyond the free places, so that none stays empty.

While a GET is under way, tasks end, and their places would stay empty until the next one is
answered. As many as ended during the last GETs will end during the next, so that many are asked
for in advance: what ends until this answer comes, and once more until the one behind it. With tasks
of milliseconds that is most of the throughput; with tasks of seconds it is nothing, and no message
waits here that another worker could have begun.
"""

from typing import Final

ROUNDS: Final = 3.0
"""Answers that are covered: this one, the next, and one for those that take longer than most."""

WEIGHT: Final = 0.3
"""Of the latest GET against those before."""


class Lookahead:
    """A guess from what was seen.

    Args:
        most: never more than this; 0 switches it off.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._ended = 0.0

    @property
    def ahead(self) -> int:
        """How many more than there are places for."""
        return min(self._most, int(self._ended * ROUNDS))

    def answered(self, ended: int, *, is_full: bool) -> None:
        """A GET was answered while so many tasks ended; with all that was asked for, or less.

        With less the queue is empty: the time was spent waiting, and says nothing about the way.
        """
        if is_full:
            self._ended += (ended - self._ended) * WEIGHT
        else:
            self._ended *= 1 - WEIGHT

    def was_wrong(self) -> None:
        """Messages waited here for too long."""
        self._ended = 0.0
