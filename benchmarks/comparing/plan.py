"""What is measured: operations, cells of connections and requests ahead, durability classes."""

import re
from dataclasses import dataclass
from typing import Final

OPS: Final = ("put", "drain", "cycle")
"""To put; to get and ack what is stored; to put, get and ack."""

CLASSES: Final = ("none", "interval", "always")
"""Nothing on disk; synced at intervals; synced before every reply."""


@dataclass(frozen=True, order=True)
class Cell:
    """So many connections, each with so many messages in flight."""

    connections: int
    ahead: int

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """`50x32`, or `50` for `50x1`."""
        match = re.fullmatch(r"([1-9][0-9]{0,3})(?:x([1-9][0-9]{0,3}))?", text)
        if match is None:
            raise ValueError(f"{text!r} is no cell: 50x32 is 50 connections, 32 ahead on each")
        return cls(int(match[1]), int(match[2] or 1))

    def __str__(self) -> str:
        return f"{self.connections}x{self.ahead}"


CELLS: Final = (Cell(1, 1), Cell(50, 1), Cell(1, 100), Cell(50, 32))

MESSAGES: Final = {Cell(1, 1): 5_000, Cell(50, 1): 20_000}
"""Of one run; a second or so of a quick server."""

MESSAGES_OTHERWISE: Final = 100_000

SYNCED_SHARE: Final = {Cell(1, 1): 0.1, Cell(50, 1): 0.5}
"""Of these, where each waits for the disk."""


def messages(cell: Cell, durability: str, share: float) -> int:
    """How many messages one run has: whole batches, at least one of each connection."""
    if durability == "always":
        share *= SYNCED_SHARE.get(cell, 1.0)
    wanted = MESSAGES.get(cell, MESSAGES_OTHERWISE) * share
    return max(round(wanted / cell.ahead), cell.connections) * cell.ahead
