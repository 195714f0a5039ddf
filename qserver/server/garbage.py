"""When the interpreter looks for garbage: what is young is looked at while it is small.

What the broker holds is freed by reference counts, and connections and queues, which stand in
cycles, take these apart when they end. So the old generation is left alone, but after a peak.
"""

import gc
from typing import Final

THRESHOLDS: Final = (5_000, 5, 1 << 30)
"""Young garbage is collected, the old generation never by itself.

A full collection walks the tables of millions of messages, 10 ms and more each time, to find
nothing.
"""

YOUNG: Final = 1
"""The generations that are young: what survives a collection of these is old."""

AGES_S: Final = 0.1
"""What is young is collected this often at least, while anything happens.

Else a line of messages, or a set of leases, may be all that grows: a million stand in it when it is
looked at for the first time, which takes 26 ms. So it is small then, and old afterwards.
"""


class Garbage:
    """Keeps the young generations small.

    Attributes:
        ages_at: monotonic second at which `let_age` is to be called.
    """

    def __init__(self) -> None:
        self.ages_at = 0.0

    def let_age(self, now: float) -> None:
        """Let what is young grow old."""
        gc.collect(YOUNG)
        self.ages_at = now + AGES_S
