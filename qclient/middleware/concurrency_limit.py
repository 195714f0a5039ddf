"""At most so many runs of a task at once, or of one of its keys, in this worker process.

    App(middleware=[ConcurrencyLimit({
        "resize": 2,                            # two at a time
        "sync": Limit(1, key="customer"),       # one at a time for each customer
    }), *standard()])

What finds no room waits, first come, first served, and goes back where that takes too long:
`turns.py`. Each worker process counts for itself: four of them run four times as many.
"""

import asyncio
import inspect
import math
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from qclient.errors import BadRequest
from qclient.middleware import CallNext
from qclient.middleware.turns import HOLD_S, check_names, hold_s
from qclient.tasks.control import Release
from qclient.tasks.task import Task
from qclient.words import Duration
from qclient.worker.delivery import Delivery

if TYPE_CHECKING:
    from qclient.worker.worker import Worker


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
        users: those inside and those that wait.
    """

    __slots__ = ("places", "users")

    def __init__(self, count: int) -> None:
        self.places = asyncio.Semaphore(count)
        self.users = 0


class ConcurrencyLimit:
    """Limits tasks by name.

    Args:
        limits: for each task a Limit, or how many at once.
        hold: how long a run may wait for its turn, seconds or timedelta; None for as long as it
            takes.
    """

    def __init__(
        self, limits: Mapping[str, Limit | int], *, hold: Duration | None = HOLD_S
    ) -> None:
        self._limits = {
            name: limit if isinstance(limit, Limit) else Limit(limit)
            for name, limit in limits.items()
        }
        for name, limit in self._limits.items():
            if limit.count < 1:
                raise BadRequest(f"the limit of task {name!r} is 1 or more, not {limit.count!r}")
        self._hold_s = hold_s(hold)
        self._rooms: dict[Hashable, Room] = {}

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
            try:
                return await call_next(delivery)
            finally:
                room.places.release()
        finally:
            room.users -= 1
            if not room.users:
                del self._rooms[which]

    async def _wait(self, room: Room, delivery: Delivery) -> None:
        try:
            async with asyncio.timeout(None if self._hold_s == math.inf else self._hold_s):
                await room.places.acquire()
        except TimeoutError:
            why = f"as many of task {delivery.task.name} run as may"
            raise Release(why, after=self._hold_s) from None
        delivery.began_at = time.monotonic()


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
