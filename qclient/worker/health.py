"""A worker is well when it was heard lately.

Well means that a GET was answered within its wait and some patience, or that every place is taken,
so that there is nothing to ask for. `probe.py` tells it to others.
"""

from typing import Final

from qclient.worker.fetching import Fetching

TOUCH_S: Final = 5.0
PATIENCE_S: Final = 10.0


class Health:
    """Of one worker."""

    def __init__(self, fetching: Fetching, wait_s: float) -> None:
        self._fetching = fetching
        self._patience_s = wait_s + PATIENCE_S

    def is_well(self, now: float) -> bool:
        """Whether it does what it should, at that time of the loop's clock."""
        is_heard = now - self._fetching.heard_at <= self._patience_s
        return is_heard or self._fetching.slots.free <= 0
