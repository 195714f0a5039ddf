"""How long to wait before the next attempt to connect."""

import random
from collections.abc import Callable

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """Exponential backoff with full jitter: anything from 0 to a bound that doubles.

    Full jitter spreads the clients of a server that comes back over the whole interval, where a
    fixed delay would bring them all at the same instant.

    Attributes:
        first_s: bound of the first delay.
        max_s: the bound grows no further.
        random: gives numbers from 0 to 1.
    """

    first_s: float = 0.05
    max_s: float = 1.0
    random: Callable[[], float] = random.random

    def delay_s(self, attempt: int) -> float:
        """Seconds to wait before attempt number `attempt`, counted from 0."""
        bound: float = min(self.max_s, self.first_s * 2 ** min(attempt, 30))
        return bound * self.random()
