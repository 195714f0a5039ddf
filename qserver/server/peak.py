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


class Peak:
    """Watches what the messages take.

    Attributes:
        bytes: the most they took since memory was given back.
    """

    def __init__(self, broker: Broker) -> None:
        self.bytes = 0
        self._bytes_min = PEAK_BYTES_MIN
        self._broker = broker
        self._trim = _find_trim()

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
