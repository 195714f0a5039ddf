"""How often things happened, for STATS."""

from typing import Final

COUNTED: Final = (
    *("acks", "deads", "duplicates", "expiries", "leases"),
    *("losses", "nacks", "puts", "releases"),
)
"""What is counted, in the order in which it is told."""


class Counters:
    """How often things happened since the start."""

    __slots__ = COUNTED

    def __init__(self) -> None:
        self.puts = 0
        self.duplicates = 0
        self.leases = 0
        self.acks = 0
        self.nacks = 0
        self.releases = 0
        self.losses = 0
        self.expiries = 0
        self.deads = 0
