"""Which messages may have the record that they can be rebuilt from in which segment.

Ids grow, so those of the PUTs in a segment are a range; those of messages that were told again
later are a list. A message may have gone, or have been told again since: it knows its segment, and
whoever asks compares. What was given out once is not given out again.
"""

from array import array
from typing import Final

from qserver.broker.table import PAGE_BITS, Table

SLICE: Final = 512
"""So many ids are given out at a time."""


class Bases:
    """Ids by the segment of their base record, to be asked for the oldest segment's.

    Attributes:
        newest: in which messages were put last.
    """

    __slots__ = ("_firsts", "_told", "newest")

    def __init__(self) -> None:
        self._firsts: dict[int, int] = {}
        self._told: dict[int, array[int]] = {}
        self.newest = 0

    def put(self, segment: int, message_id: int) -> None:
        """A message with an id above all others was put, perhaps with others behind it."""
        if segment != self.newest:
            self.newest = segment
            self._firsts.setdefault(segment, message_id)

    def tell_again(self, segment: int, message_id: int) -> None:
        """A message was told again, or has an id that is not above all others."""
        told = self._told.get(segment)
        if told is None:
            told = self._told[segment] = array("q")
        told.append(message_id)

    def take(self, segment: int, messages: Table) -> list[int]:
        """Some ids of the segment; none when all were taken."""
        first = self._firsts.get(segment)
        if first is None:
            return self._take_told(segment)
        later = [other for number, other in self._firsts.items() if number > segment]
        end = min(later, default=1 << 63)
        pages = messages.pages
        end = min(end, (max(pages, default=-1) + 1) << PAGE_BITS)
        while first < end:
            number = first >> PAGE_BITS
            stop = min(end, (number + 1) << PAGE_BITS)
            ids: list[int] = []
            page = pages.get(number)
            if page is not None and len(page) <= SLICE:
                ids = sorted([message_id for message_id in page if first <= message_id < stop])
            elif page is not None:
                stop = min(stop, first + SLICE)
                ids = [message_id for message_id in range(first, stop) if message_id in page]
            self._firsts[segment] = first = stop
            if ids:
                return ids
        del self._firsts[segment]
        return self._take_told(segment)

    def give_back(self, segment: int, ids: list[int]) -> None:
        """Some of what was taken is to be taken again."""
        for message_id in ids:
            self.tell_again(segment, message_id)

    def forget_before(self, segment: int) -> None:
        """Older segments are dropped."""
        for older in [number for number in self._firsts if number < segment]:
            del self._firsts[older]
        for older in [number for number in self._told if number < segment]:
            del self._told[older]

    def _take_told(self, segment: int) -> list[int]:
        told = self._told.get(segment)
        if not told:
            return []
        ids = told[-SLICE:].tolist()
        del told[-SLICE:]
        return ids
