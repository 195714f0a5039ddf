"""The clocks that a server reads: the only place where time comes in.

Everything below is told what time it is. A simulation gives a server clocks of its own.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Two clocks.

    Attributes:
        monotonic: seconds that only grow: leases, waits, timers.
        wall: seconds since 1970, as people set it: what is written down.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
