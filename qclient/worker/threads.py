"""Plain functions in threads.

A thread can't be stopped from outside, so a cancelled function gets `CancelledError` raised at its
next line of Python, and its delivery keeps its place and its lease until it has really ended: what
waits inside a library in C ends when that does. Else it would be run elsewhere beside itself.

The threads are daemons, unlike those of `concurrent.futures`: one that never ends doesn't hold up
the end of the process.
"""

import asyncio
import contextlib
import ctypes
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from contextvars import copy_context
from functools import partial
from typing import Any, Final

_interrupt: Final = ctypes.pythonapi.PyThreadState_SetAsyncExc


class Work:
    """One call, and what came of it."""

    def __init__(self, call: Callable[[], Any], ended: asyncio.Future[None]) -> None:
        self.ended = ended
        self.result: Any = None
        self.error: BaseException | None = None
        self._call: Callable[[], Any] = partial(copy_context().run, call)
        self._lock = threading.Lock()
        self._thread: int | None = None
        self._is_cancelled = False

    def run(self) -> None:
        """Called by a thread; never raises."""
        try:
            try:
                self._begin()
                self.result = self._call()
            finally:
                self._end()
        except BaseException as error:  # noqa: BLE001  it is for whoever waits
            self.error = error
            self._end()

    def cancel(self) -> None:
        """Raise CancelledError in it, at once or at its next line. Called by the loop, once."""
        with self._lock:
            self._is_cancelled = True
            if self._thread is not None:
                _interrupt(ctypes.c_ulong(self._thread), ctypes.py_object(asyncio.CancelledError))

    def _begin(self) -> None:
        with self._lock:
            if self._is_cancelled:
                raise asyncio.CancelledError
            self._thread = threading.get_ident()

    def _end(self) -> None:
        """From here on nothing is raised from outside; what was on its way is taken back."""
        with self._lock:
            if self._thread is not None:
                _interrupt(ctypes.c_ulong(self._thread), None)
                self._thread = None


class Threads:
    """Threads that are made as they are needed, at most `count`."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._works: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._busy = 0
        self._loop = asyncio.get_running_loop()

    async def run(
        self,
        function: Callable[..., Any],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        on_cancel: Callable[[], None] | None = None,
    ) -> Any:
        """The function's result.

        Cancelled, it waits until the function has ended; what that returned nevertheless is the
        result. Cancelled again, it leaves it alone.

        Args:
            function: what to call.
            args: by position.
            kwargs: by name.
            on_cancel: called besides, on the loop.
        """
        work = Work(partial(function, *args, **(kwargs or {})), self._loop.create_future())
        self._busy += 1
        if self._busy > len(self._threads) < self._count:
            self._add()
        self._works.put(work)
        try:
            await asyncio.shield(work.ended)
        except asyncio.CancelledError as cancelled:
            work.cancel()
            if on_cancel is not None:
                on_cancel()
            await asyncio.shield(work.ended)
            if work.error is not None:  # whatever became of the interruption inside
                raise cancelled from work.error
        if work.error is not None:
            raise work.error
        return work.result

    def close(self) -> None:
        """End the threads that have nothing to do, and the others when they have."""
        for _ in self._threads:
            self._works.put(None)

    def _add(self) -> None:
        thread = threading.Thread(target=self._serve, name="qclient task", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        while (work := self._works.get()) is not None:
            work.run()
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._ended, work)

    def _ended(self, work: Work) -> None:
        self._busy -= 1
        if not work.ended.done():
            work.ended.set_result(None)
