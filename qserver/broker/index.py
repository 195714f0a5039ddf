"""The ids of one queue's messages in order, so that a LIST can begin anywhere and cost one page.

Ids join at the end and are never taken out singly, which would cost something in every ACK: who
reads meets ids of removed messages and skips them. Instead, each time a block of ids fills up, two
older blocks are swept of the ids that have gone, in turn. So the index holds at most about twice
the ids that are alive, and each PUT pays for a two-hundredth of a sweep.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final

BLOCK: Final = 512
SWEEPS: Final = 2


class Index:
    """Ids in ascending order.

    Args:
        is_alive: whether the id still belongs to a message of this queue.
    """

    __slots__ = ("_blocks", "_is_alive", "_next_swept", "_tail")

    def __init__(self, is_alive: Callable[[int], bool]) -> None:
        self._is_alive = is_alive
        self._tail = array("q")
        self._blocks = [self._tail]
        self._next_swept = 0

    def __len__(self) -> int:
        """How many ids it holds, those of removed messages with them."""
        return sum(map(len, self._blocks))

    def add(self, message_id: int) -> None:
        """Add an id above all the others."""
        self._tail.append(message_id)
        if len(self._tail) >= BLOCK:
            self._tail = array("q")
            self._blocks.append(self._tail)
            self._sweep()

    def insert(self, message_id: int) -> None:
        """Add an id anywhere."""
        at = max(bisect_right(self._blocks, message_id, key=_first) - 1, 0)
        block = self._blocks[at]
        block.insert(bisect_right(block, message_id), message_id)
        if len(block) > 2 * BLOCK and block is not self._tail:
            self._blocks[at : at + 1] = [block[:BLOCK], block[BLOCK:]]

    def after(self, message_id: int) -> Iterator[int]:
        """The ids above that one. Not to be changed meanwhile."""
        at = max(bisect_right(self._blocks, message_id, key=_first) - 1, 0)
        yield from self._blocks[at][bisect_right(self._blocks[at], message_id) :]
        for block in self._blocks[at + 1 :]:
            yield from block

    def _sweep(self) -> None:
        for _ in range(SWEEPS):
            at = self._next_swept
            if at >= len(self._blocks) - 1:  # never the tail, which has just begun
                self._next_swept = 0
                return
            block = array("q", filter(self._is_alive, self._blocks[at]))
            before = self._blocks[at - 1] if at else None
            if before is not None and len(before) + len(block) <= BLOCK:
                before.extend(block)
                del self._blocks[at]
            elif block or before is not None:
                self._blocks[at] = block
                self._next_swept += 1
            else:
                del self._blocks[at]


def _first(block: "array[int]") -> int:
    return block[0] if block else -1
