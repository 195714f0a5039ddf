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
from concurrent.futures import Executor, Future
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


class SimThread(Executor):
    """Does what it is given after a while, one after the other."""

    def __init__(self, loop: "SimLoop", chance: Random) -> None:
        self._loop = loop
        self._chance = chance
        self._free_at = 0.0

    def submit(self, func: Callable[..., Any], *args: Any) -> "Future[Any]":  # type: ignore[override]
        """As an executor does."""
        future: Future[Any] = Future()
        begins = self._loop.time() + self._chance.choice((0.0, 1e-5, 1e-3))
        self._free_at = max(begins, self._free_at)
        self._loop.call_at(self._free_at, self._work, future, func, args)
        return future

    def _work(self, future: "Future[Any]", func: Callable[..., Any], args: Any) -> None:
        loop = self._loop
        if self._free_at > loop.time():  # what was before took longer than was known
            loop.call_at(self._free_at, self._work, future, func, args)
            return
        tell: Callable[[Any], None] = future.set_result
        loop.enter_thread()
        try:
            outcome = func(*args)
        except Exception as error:  # noqa: BLE001 - it is the waiting caller's
            tell, outcome = future.set_exception, error
        finally:
            took = loop.leave_thread()
        self._free_at = loop.time() + took
        loop.call_later(took, tell, outcome)


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
        for handle in [*self._ready, *self._scheduled]:
            context = handle._context  # type: ignore[attr-defined]
            if context.get(PROCESS, 0) == process:
                handle.cancel()

    def thread(self) -> "SimThread":
        """One that works beside the loop."""
        return SimThread(self, self._chance)

    def run_in_executor(  # type: ignore[override]
        self, _executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> "asyncio.Future[Any]":
        """As a loop does that has threads."""
        return asyncio.wrap_future(self.thread().submit(func, *args), loop=self)

    def enter_thread(self) -> None:
        """What is done from now on takes a thread's time."""
        self._spent_in_thread = 0.0

    def leave_thread(self) -> float:
        """And no longer; answers how much it took."""
        took, self._spent_in_thread = self._spent_in_thread, None
        assert took is not None
        return took

    async def create_server(  # type: ignore[override]
        self, factory: Any, *_args: Any, **_options: Any
    ) -> Any:
        """The network listens for it."""
        return self.network.listen(factory)
