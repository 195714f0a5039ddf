"""At most so many runs of a task in a time, in this worker process.

    App(middleware=[RateLimit({"charge": 5, "scrape": Rate(100, per=60, burst=10)}), *standard()])

A token bucket for each task: it holds `burst` tokens, gets `count` in each `per`, and each attempt
takes one. What finds none takes the next that will come, if that is soon enough, and waits for it;
turns are in the order they were asked for. The others go back to their queue until it is about
their turn: `turns.py`.

Each worker process has buckets of its own: four of them run four times as many.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from qclient.errors import BadRequest
from qclient.middleware import CallNext
from qclient.middleware.turns import HOLD_S, LINE_MAX, LINE_S, Away, check_names, hold_s, seconds
from qclient.tasks.control import Release
from qclient.words import Duration
from qclient.worker.delivery import Delivery

if TYPE_CHECKING:
    from qclient.worker.worker import Worker


class Rate(msgspec.Struct, frozen=True):
    """A limit.

    Attributes:
        count: runs that may begin
        per: in this time, seconds or timedelta.
        burst: that may begin at once, after a time without any.
    """

    count: float
    per: Duration = 1.0
    burst: int = 1


class Bucket:
    """The tokens of one task.

    It is kept as one number, the time at which the bucket will be full: each token that is taken
    moves that on by the time that one takes to come.
    """

    def __init__(self, rate: Rate) -> None:
        """Full.

        Raises:
            BadRequest: the rate makes no sense.
        """
        if not (rate.count > 0 and seconds(rate.per) > 0 and rate.burst >= 1):
            raise BadRequest(f"a rate has a count, a time and a burst of at least 1, not {rate}")
        self._token_s = seconds(rate.per) / rate.count
        self._spare_s = self._token_s * (rate.burst - 1)
        self._full_at = 0.0
        self._away = Away()

    def take(self, now: float, within_s: float) -> float | None:
        """Take the next token: the seconds until it is there.

        None, and nothing is taken, where that is not within `within_s`.
        """
        if now - self._full_at > HOLD_S:  # nobody came for the tokens that were there
            self._away.forget()
        full_at = max(self._full_at, now)
        wait_s = full_at - self._spare_s - now
        if wait_s > within_s:
            return None
        self._full_at = full_at + self._token_s
        return max(wait_s, 0.0)

    def line_s(self, hold_s: float) -> float:
        """How far ahead tokens are given out, where nobody is to wait for longer than `hold_s`."""
        if hold_s == math.inf:
            return hold_s
        return min(hold_s, max(LINE_MAX * self._token_s, LINE_S))

    def away_s(self, now: float, within_s: float) -> float:
        """For how long to go that came in vain: back before the tokens given out are used up."""
        return self._away.next_s(
            now, self._full_at - self._spare_s - within_s / 2 - now, self._token_s
        )


class RateLimit:
    """Limits tasks by name.

    Args:
        limits: for each task a Rate, or how many a second.
        hold: how long a run may wait for its turn in a place of the worker, seconds or timedelta;
            None for as long as it takes.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        limits: Mapping[str, Rate | float],
        *,
        hold: Duration | None = HOLD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._buckets = {
            name: Bucket(limit if isinstance(limit, Rate) else Rate(limit))
            for name, limit in limits.items()
        }
        self._hold_s = hold_s(hold)
        self._clock = clock

    def __call__(self, call_next: CallNext, delivery: Delivery) -> Coroutine[Any, Any, Any]:
        """Run, when it is its turn."""
        bucket = self._buckets.get(delivery.task.name)
        if bucket is None:
            return call_next(delivery)
        return self._limited(bucket, call_next, delivery)

    @asynccontextmanager
    async def lifespan(self, worker: "Worker") -> AsyncIterator[None]:
        """See that there is a task for each limit.

        Raises:
            BadRequest: there is none.
        """
        check_names(worker, self._buckets)
        yield

    async def _limited(self, bucket: Bucket, call_next: CallNext, delivery: Delivery) -> Any:
        now = self._clock()
        within_s = bucket.line_s(self._hold_s)
        wait_s = bucket.take(now, within_s)
        if wait_s is None:
            why = f"task {delivery.task.name} is over its rate"
            raise Release(why, after=bucket.away_s(now, within_s))
        if wait_s:
            await asyncio.sleep(wait_s)
            delivery.began_at = self._clock()
        return await call_next(delivery)
