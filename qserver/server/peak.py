"""Memory goes back to the system after a peak.

What a million messages took does not return by itself when they have gone. An index keeps their
ids, the allocators keep what they have, and what the interpreter holds in its free lists is strewn
over all of it, since full collections, which empty these, are practically switched off. So about
once a second it is looked whether a peak is over: then the indexes are swept, the free lists
emptied, and the C library gives back what it can.

That takes the loop about 20 ms after a million messages, once for each time that what is left has
halved; what costs more where more is left is done only when little is.
"""

import ctypes
import gc
from collections.abc import Callable
from typing import Final

from qserver.broker.broker import Broker

PEAK_BYTES_MIN: Final = 8 << 20
"""A peak of less is not worth it."""

REST_BYTES_MIN: Final = 1 << 20
"""But what a peak has left is worth another look, down to this."""

MESSAGES_MAX: Final = 20_000
"""With more messages left than this, indexes and free lists stay: that would take too long."""


def _find_trim() -> Callable[[int], int] | None:
    try:
        trim: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library than glibc
        return None
    return trim


GC_THRESHOLDS: Final = (5_000, 5, 1 << 30)
"""Young garbage is collected, the old generation never but by `Peak`.

A full collection walks the tables of millions of messages, 10 ms and more each time, to find
nothing: what the broker holds is freed by reference counts, and connections and queues, which
stand in cycles, take these apart when they end.
"""

YOUNG: Final = 1
"""The generations that are young: what survives a collection of these is old."""

AGES_S: Final = 0.1
"""What is young is collected this often at least, while anything happens.

Else a line of messages, or a set of leases, may be all that grows: a million stand in it when it is
looked at for the first time, which takes 26 ms. So it is small then, and old afterwards.
"""


class Peak:
    """Watches what the messages take.

    Attributes:
        bytes: the most they took since memory was given back.
        ages_at: monotonic second at which `let_age` is to be called.
    """

    def __init__(self, broker: Broker) -> None:
        self.bytes = 0
        self.ages_at = 0.0
        self._bytes_min = PEAK_BYTES_MIN
        self._broker = broker
        self._trim = _find_trim()

    def let_age(self, now: float) -> None:
        """Let what is young grow old."""
        gc.collect(YOUNG)
        self.ages_at = now + AGES_S

    def look(self) -> bool:
        """Give memory back if a peak is over; answers whether it was."""
        taken = self._broker.memory
        self.bytes = max(self.bytes, taken)
        if self.bytes < self._bytes_min or taken > self.bytes // 2:
            return False
        if len(self._broker.messages) <= MESSAGES_MAX:
            for queue in self._broker.queues.values():
                queue.index.shrink()
            gc.collect()
        if self._trim is not None:
            self._trim(0)
        self.bytes = taken
        self._bytes_min = REST_BYTES_MIN if taken >= REST_BYTES_MIN else PEAK_BYTES_MIN
        return True
