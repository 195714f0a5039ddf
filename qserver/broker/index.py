"""The ids of one queue's messages in order, so that a LIST can begin anywhere and cost one page.

Ids join at the end and are never taken out singly, which would cost something in every ACK: who
reads meets ids of removed messages and skips them. Instead, each time a block of ids fills up and
the index holds more than half as many again as are alive, some of it is swept: blocks at the front
in which nothing is alive (all there is to do where messages leave in the order they came), then
one further block, in turn. So a PUT pays for about one look at an old id, and none while few are
removed: a look at one of a million messages is a cache miss.
"""

import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import Final, Protocol

BLOCK: Final = 512
DROPS_MAX: Final = 4
"""So many dead blocks are dropped from the front at once."""


class Owner(Protocol):
    """Whose ids these are."""

    def __len__(self) -> int:
        """How many are alive."""
        ...

    def has(self, message_id: int) -> bool:
        """Whether the id is alive."""
        ...


class Index:
    """Ids in ascending order."""

    __slots__ = ("_blocks", "_ids", "_next_swept", "_owner", "_tail")

    def __init__(self, owner: Owner) -> None:
        self._owner: Owner | None = owner
        self._tail = array("q")
        self._blocks = [self._tail]
        self._ids = 0
        self._next_swept = 0

    def __len__(self) -> int:
        """How many ids it holds, those of removed messages with them."""
        return sum(map(len, self._blocks))

    def shrink(self) -> None:
        """Let go of all ids, if none is alive; else the next PUTs do, bit by bit."""
        if self._owner is not None and not len(self._owner):
            self._tail = array("q")
            self._blocks = [self._tail]
            self._ids = self._next_swept = 0

    def forget(self) -> None:
        """Let go of the queue, which would stay alive in a cycle."""
        self._owner = None

    def add(self, message_id: int) -> None:
        """Add an id above all the others."""
        self._tail.append(message_id)
        if len(self._tail) >= BLOCK:
            self._begin_tail()

    def add_run(self, first: int, count: int) -> None:
        """Add that many consecutive ids, above all the others."""
        end = first + count
        while first < end:
            part = min(end, first + BLOCK - len(self._tail))
            self._tail.extend(range(first, part))
            first = part
            if len(self._tail) >= BLOCK:
                self._begin_tail()

    def insert(self, message_id: int) -> None:
        """Add an id anywhere; nothing if it is still here from an earlier time."""
        if message_id > self._last():
            self.add(message_id)
            return
        at = self._block_of(message_id)
        block = self._blocks[at]
        where = bisect_right(block, message_id)
        if where and block[where - 1] == message_id:
            return
        block.insert(where, message_id)
        if block is self._tail:
            if len(block) >= BLOCK:
                self._begin_tail()
            return
        self._ids += 1
        if len(block) > 2 * BLOCK:
            self._blocks[at : at + 1] = [block[:BLOCK], block[BLOCK:]]
            self._sweep()

    def after(self, message_id: int) -> Iterator[int]:
        """The ids above that one. Not to be changed meanwhile."""
        at = self._block_of(message_id)
        yield from self._blocks[at][bisect_right(self._blocks[at], message_id) :]
        for block in self._blocks[at + 1 :]:
            yield from block

    def _last(self) -> int:
        """The highest id; 0 without one. Only the tail is ever empty."""
        if self._tail:
            return self._tail[-1]
        return self._blocks[-2][-1] if len(self._blocks) > 1 else 0

    def _block_of(self, message_id: int) -> int:
        """Where the block is that has the id, or would have it."""
        return max(bisect_right(self._blocks, message_id, key=_first) - 1, 0)

    def _begin_tail(self) -> None:
        self._ids += len(self._tail)
        self._tail = array("q")
        self._blocks.append(self._tail)
        self._sweep()

    def _sweep(self) -> None:
        owner = self._owner
        if owner is None or self._ids <= len(owner) * 3 // 2 + 2 * BLOCK:
            return
        for _ in range(DROPS_MAX):
            if len(self._blocks) == 1 or any(map(owner.has, self._blocks[0])):
                break
            self._ids -= len(self._blocks[0])
            del self._blocks[0]
        if self._next_swept >= len(self._blocks) - 1:  # never the tail, which has just begun
            self._next_swept = 0
        else:
            self._sweep_block(self._next_swept, owner)

    def _sweep_block(self, at: int, owner: Owner) -> None:
        """Leave only what is alive in a block, and join it to the one before if both are small."""
        block = array("q", filter(owner.has, self._blocks[at]))
        self._ids -= len(self._blocks[at]) - len(block)
        joins = at > 0 and len(self._blocks[at - 1]) + len(block) <= BLOCK
        if joins:
            self._blocks[at - 1].extend(block)
        if joins or not block:
            del self._blocks[at]
        else:
            self._blocks[at] = block
            self._next_swept += 1


def _first(block: "array[int]") -> int:
    """By what blocks are found: only the tail is ever empty, and what comes is above all."""
    return block[0] if block else sys.maxsize
