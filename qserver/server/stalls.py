"""How long the turns of the loop take: while one lasts, nobody is answered.

A turn begins with the first thing that happens in it (a client's bytes, a timer, a batch that is
stored) and ends when all that came with it is done, or is under way elsewhere. What the machine
gives to other processes meanwhile counts too: clients feel it just the same.
"""

from typing import Final

STALL_S: Final = 0.010
"""A turn that takes longer is counted."""

LOOKS: Final = 30
"""After so many looks, one a second, the longest turn begins to be forgotten."""


class Stalls:
    """The longest turn of late, and how many were long.

    Attributes:
        longest_s: since the last look that forgot.
        total: turns longer than `STALL_S`.
    """

    __slots__ = ("_before_s", "_looks", "longest_s", "total")

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.total = 0
        self._before_s = 0.0
        self._looks = 0

    def note(self, took_s: float) -> None:
        """A turn took so long; to be called where it took longer than `longest_s`, or a stall."""
        self.longest_s = max(self.longest_s, took_s)
        self.total += took_s > STALL_S

    def look(self) -> None:
        """To be called once a second: the longest turn is that of the last 30 to 60 seconds."""
        self._looks += 1
        if self._looks % LOOKS == 0:
            self._before_s = self.longest_s
            self.longest_s = 0.0

    def figures(self) -> dict[str, int | float | str]:
        """What STATS says."""
        longest_s = max(self.longest_s, self._before_s)
        return {"turn_ms_max": longest_s * 1000, "stalls_total": self.total}
