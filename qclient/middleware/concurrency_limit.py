"""At most so many runs of a task at once, or of one of its keys, in this worker process.

    App(middleware=[ConcurrencyLimit({
        "resize": 2,                            # two at a time
        "sync": Limit(1, key="customer"),       # one at a time for each customer
    }), *standard()])

What finds no room waits, first come, first served; it goes back for a while where that takes too
long, or too many wait: `turns.py`. Each worker process counts for itself: four of them run four
times as many.
"""

import asyncio
import inspect
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qclient.errors import BadRequest
from qclient.middleware import CallNext
from qclient.middleware.turns import HOLD_S, LINE_MAX, Away, check_names, hold_s
from qclient.tasks.control import Release
from qclient.tasks.task import Task
from qclient.words import Duration
from qclient.worker.delivery import Delivery

if TYPE_CHECKING:
    from qclient.worker.worker import Worker


RUN_S: Final = 0.01
"""How long a run takes, before one has told. A guess that is too short costs a message that comes
once more in vain; one too long leaves room empty."""


class Limit(msgspec.Struct, frozen=True):
    """A limit.

    Attributes:
        count: runs that may be under way at once
        key: of the same key: the name of an argument, or a function of the delivery. Without it of
            the task.
    """

    count: int
    key: str | Callable[[Delivery], Hashable] | None = None


class Room:
    """Where runs of one key are: `count` places, and the line before them.

    Attributes:
        away: those that found the line too long.
        began_at: when the last one went in.
        count: how many places.
        users: those inside and those that wait.
        waiting: those that wait.
    """

    __slots__ = ("away", "began_at", "count", "places", "users", "waiting")

    def __init__(self, count: int) -> None:
        self.places = asyncio.Semaphore(count)
        self.away = Away()
        self.began_at = 0.0
        self.count = count
        self.users = 0
        self.waiting = 0


class ConcurrencyLimit:
    """Limits tasks by name.

    Args:
        limits: for each task a Limit, or how many at once.
        hold: how long a run may wait for its turn in a place of the worker, seconds or timedelta;
            None for as long as it takes.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        limits: Mapping[str, Limit | int],
        *,
        hold: Duration | None = HOLD_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = {
            name: limit if isinstance(limit, Limit) else Limit(limit)
            for name, limit in limits.items()
        }
        for name, limit in self._limits.items():
            if limit.count < 1:
                raise BadRequest(f"the limit of task {name!r} is 1 or more, not {limit.count!r}")
        self._hold_s = hold_s(hold)
        self._clock = clock
        self._rooms: dict[Hashable, Room] = {}
        self._run_s = dict.fromkeys(limits, RUN_S)

    def __call__(self, call_next: CallNext, delivery: Delivery) -> Coroutine[Any, Any, Any]:
        """Run, when there is room."""
        limit = self._limits.get(delivery.task.name)
        if limit is None:
            return call_next(delivery)
        return self._limited(limit, call_next, delivery)

    @asynccontextmanager
    async def lifespan(self, worker: "Worker") -> AsyncIterator[None]:
        """See that there is a task for each limit, and an argument for each key.

        Raises:
            BadRequest: there is none.
        """
        check_names(worker, self._limits)
        for name, limit in self._limits.items():
            if isinstance(limit.key, str):
                _parameter(worker.app.tasks[name], limit.key)
        yield

    # ── leaves ──

    async def _limited(self, limit: Limit, call_next: CallNext, delivery: Delivery) -> Any:
        which = (delivery.task.name, _key(limit, delivery))
        room = self._rooms.get(which)
        if room is None:
            room = self._rooms[which] = Room(limit.count)
        room.users += 1
        try:
            if room.places.locked():
                await self._wait(room, delivery)
            else:
                await room.places.acquire()
            began_at = room.began_at = self._clock()
            try:
                return await call_next(delivery)
            finally:
                self._note_run(delivery.task.name, self._clock() - began_at)
                room.places.release()
        finally:
            room.users -= 1
            if not room.users:
                del self._rooms[which]

    async def _wait(self, room: Room, delivery: Delivery) -> None:
        if self._hold_s == math.inf:
            await room.places.acquire()
        elif room.waiting >= max(LINE_MAX, room.count):
            raise self._away(room, delivery)
        else:
            room.waiting += 1
            try:
                async with asyncio.timeout(self._hold_s):
                    await room.places.acquire()
            except TimeoutError:
                raise self._away(room, delivery) from None
            finally:
                room.waiting -= 1
        delivery.began_at = self._clock()

    def _away(self, room: Room, delivery: Delivery) -> Release:
        """Sends one away: back before those that wait here are through, or have given up."""
        name, now = delivery.task.name, self._clock()
        run_s = max(self._run_s[name], now - room.began_at)
        apart_s = min(self._hold_s, run_s) / room.count
        after_s = room.away.next_s(now, (room.waiting + 1) / 2 * apart_s, apart_s)
        return Release(f"as many of task {name} run as may", after=after_s)

    def _note_run(self, name: str, seconds: float) -> None:
        """Keep in mind how long runs of a task take, the last ones above all."""
        self._run_s[name] += (seconds - self._run_s[name]) / 8


def _key(limit: Limit, delivery: Delivery) -> Any:
    key = limit.key
    if key is None:
        return None
    if not isinstance(key, str):
        return key(delivery)
    if key in delivery.kwargs:
        return delivery.kwargs[key]
    at, parameter = _parameter(delivery.task, key)
    return delivery.args[at] if at < len(delivery.args) else parameter.default


@lru_cache(maxsize=256)
def _parameter(task: Task[..., Any], name: str) -> tuple[int, inspect.Parameter]:
    """An argument of a task: where it stands, and its default.

    Raises:
        BadRequest: the task has no such argument.
    """
    for at, parameter in enumerate(inspect.signature(task.function).parameters.values()):
        if parameter.name == name:
            return at, parameter
    raise BadRequest(f"task {task.name!r} has no argument {name!r} to limit by")
