"""Busy polling: not to sleep where the next request comes sooner than one is awake again.

A client that sends a request, waits for its reply and sends the next is back within some 10 or 20
us. To sleep for that long and be woken costs more CPU than to look again and again, and the client
waits for it. So after a turn the loop goes on looking for a moment, as long as that is rewarded:

    in time    ── so many requests in a row came within the window ──►  the loop looks on
    too late   ── a window went by in vain ──►  it sleeps, and wants twice as many in a row before
                  it tries again; or the least, if what it did before was worth it

So who asks seldom, or from afar, costs nothing; an idle server sleeps; and on a crowded machine,
where a client gets no core while the server looks, it is soon given up.

Where several clients share a sync, the loop sleeps: meanwhile more of them gather for the next one.
And beside a batch that is under way in a thread, which wants to run.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

from qserver.config import Config

WINDOW_S: Final = 0.00005
"""So long the loop looks on: two or three times what going to sleep and waking up costs."""

IN_ROW_MIN: Final = 8
"""So many requests in a row must have come within the window."""

IN_ROW_MAX: Final = 4096

WORTH: Final = 64
"""A window in vain is made good by so many requests that came in time."""


class BusyPoll:
    """Keeps the loop from sleeping after a turn, where that is rewarded.

    Args:
        now: the monotonic clock.
        shares_syncs: whether replies wait for a sync, so that several clients share it.

    Attributes:
        is_polling: whether the loop looks on.
    """

    def __init__(self, now: Callable[[], float], *, shares_syncs: bool = False) -> None:
        self.is_polling = False
        self._now = now
        self._shares_syncs = shares_syncs
        self._turned_at = 0.0
        self._in_row = 0
        self._needed = IN_ROW_MIN

    def heard(self, now: float) -> None:
        """The first request of a turn was heard."""
        self._in_row = self._in_row + 1 if now - self._turned_at < WINDOW_S else 0

    def turned(self, now: float, *, alone: bool) -> None:
        """A turn has ended; `alone` says whether one client is connected."""
        if self._shares_syncs and not alone:
            return
        self._turned_at = now
        if not self.is_polling and self._in_row >= self._needed:
            self.is_polling = True
            asyncio.get_running_loop().call_soon(self.look_on)

    def look_on(self) -> None:
        """The loop has looked; let it do so once more, or sleep."""
        if self._now() - self._turned_at < WINDOW_S:
            asyncio.get_running_loop().call_soon(self.look_on)
            return
        is_worth_it = self._in_row >= self._needed + WORTH
        self._needed = IN_ROW_MIN if is_worth_it else min(2 * self._needed, IN_ROW_MAX)
        self._in_row = 0
        self.is_polling = False


def busy_poll_for(config: Config, now: Callable[[], float]) -> BusyPoll | None:
    """None where it is switched off, or where there is one core: then the client has none."""
    if not config.busy_poll or cores() == 1:
        return None
    return BusyPoll(now, shares_syncs=config.data is not None and config.sync_s is None)


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
