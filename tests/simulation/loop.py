"""An event loop whose time is a number, and whose threads work when it says so.

The rest is asyncio's own: tasks, futures, timers and the order of callbacks are the real ones. When
nothing is left to do at an instant, time moves to the next one at which something is; when there is
none, the run is stuck, which is a finding.

What belongs to a server's process carries its number in a context variable. So a process can be
killed: whatever it had scheduled never happens.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from random import Random
from typing import Any

PROCESS: ContextVar[int] = ContextVar("PROCESS", default=0)
"""The process that runs; 0 is the world outside."""

START_S = 5_000.0


TURNS_MAX = 2_000
"""So many turns of the loop in one instant are not work any more."""


class Stuck(AssertionError):
    """Everybody waits, and nothing will ever happen; or something happens without end."""


class SimLoop(asyncio.BaseEventLoop):
    """A loop to run a simulation on.

    Attributes:
        at_rest: called when nothing is left to do at an instant.
        network: what servers listen on.
    """

    _ready: "deque[asyncio.Handle]"
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self.at_rest: Callable[[], None] = lambda: None
        self.network: Any = None
        self._chance = chance
        self._now = START_S
        self._selector = self
        self._turns = 0
        self._clock_resolution = 1e-9
        self._threads_are_free_at: dict[object, float] = {}
        self._spent_in_thread: float | None = None

    # --- time ------------------------------------------------------------------------------------

    def time(self) -> float:
        """Seconds; within a thread's work, with what that has taken."""
        return self._now + (self._spent_in_thread or 0.0)

    def spend(self, seconds: float) -> None:
        """Something takes its time: it holds up the loop, or the thread that it runs in."""
        if self._spent_in_thread is None:
            self._now += seconds
        else:
            self._spent_in_thread += seconds

    async def pause(self, seconds: float) -> None:
        """Wait."""
        over = self.create_future()
        timer = self.call_later(seconds, over.set_result, None)
        try:
            await over
        finally:
            timer.cancel()

    def select(self, timeout: float | None) -> list[object]:
        """Called by asyncio when it would wait for sockets."""
        if timeout is None:
            raise Stuck("nothing is left to happen")
        self._turns += 1
        if self._turns > TURNS_MAX:
            raise Stuck("the loop spins: it is never at rest")
        if timeout > 0:
            self._turns = 0
            self.at_rest()
            self._now += timeout
        return []

    def _process_events(self, _events: list[object]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    # --- processes and threads -------------------------------------------------------------------

    def kill(self, process: int) -> None:
        """Nothing that the process has scheduled happens."""
        self._threads_are_free_at.clear()
        for handle in [*self._ready, *self._scheduled]:
            context = handle._context  # type: ignore[attr-defined]
            if context.get(PROCESS, 0) == process:
                handle.cancel()

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """Work of one of the journal's threads: begun after a while, one after the other."""
        future = self.create_future()
        free_at = self._threads_are_free_at.get(executor, 0.0)
        begins = max(self._now + self._chance.choice((0.0, 1e-5, 1e-3)), free_at)
        self._threads_are_free_at[executor] = begins
        self.call_at(begins, self._work, executor, future, func, args)
        return future

    def _work(
        self,
        executor: object,
        future: "asyncio.Future[Any]",
        func: Callable[..., Any],
        args: Any,
    ) -> None:
        free_at = self._threads_are_free_at.get(executor, 0.0)
        if free_at > self._now:  # what was before took longer than was known
            self.call_at(free_at, self._work, executor, future, func, args)
            return
        self._spent_in_thread = 0.0
        result: Any = None
        error: Exception | None = None
        try:
            result = func(*args)
        except Exception as caught:  # noqa: BLE001 - it is the waiting caller's
            error = caught
        finally:
            took, self._spent_in_thread = self._spent_in_thread, None
        self._threads_are_free_at[executor] = self._now + took
        self.call_later(took, self._worked, future, result, error)

    @staticmethod
    def _worked(future: "asyncio.Future[Any]", result: object, error: Exception | None) -> None:
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    async def create_server(  # type: ignore[override]
        self, factory: Any, *_args: Any, **_options: Any
    ) -> Any:
        """The network listens for it."""
        return self.network.listen(factory)
