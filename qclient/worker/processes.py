"""Plain functions in processes of their own, for what needs a CPU or may crash.

Each child is started when it is needed, serves one call at a time, and is killed when its call is
cancelled: another one takes its place. A child that dies by itself fails its call, not the worker.

The function is looked up by its module's name and its own, so it must stand at the top of a module;
its arguments and result are pickled.
"""

import importlib
import multiprocessing
import pickle
import signal
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from qclient.worker.threads import Threads

_spawn: Final = multiprocessing.get_context("spawn")


class ChildDied(Exception):
    """The process that ran a task ended before the task did."""


class Child:
    """A process that runs calls.

    Attributes:
        is_free: it answered its last call, and can have another.
    """

    def __init__(self) -> None:
        self.is_free = True
        self._pipe, theirs = _spawn.Pipe()
        self.process: SpawnProcess = _spawn.Process(target=_serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()

    def call(self, module: str, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """The function's result; blocks. Raises what the function raised, or ChildDied."""
        self.is_free = False
        try:
            self._pipe.send((module, name, args, kwargs))
            is_error, value = self._pipe.recv()
        except (EOFError, OSError) as error:
            self.process.join()
            raise ChildDied(f"its process ended with exit code {self.process.exitcode}") from error
        self.is_free = True
        if is_error:
            raise value
        return value

    def kill(self) -> None:
        """End it at once."""
        self.is_free = False
        self.process.kill()


class Processes:
    """Children, at most `count`."""

    def __init__(self, count: int) -> None:
        self._threads = Threads(count)
        self._idle: list[Child] = []
        self._busy: set[Child] = set()

    async def run(
        self, module: str, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """The result of `module`'s function `name`; cancelled, its process is killed."""
        taken: list[Child] = []

        def call() -> Any:
            child = self._child()
            taken.append(child)
            self._busy.add(child)
            try:
                return child.call(module, name, args, kwargs)
            finally:
                self._busy.discard(child)
                if child.is_free:
                    self._idle.append(child)
                else:
                    child.kill()

        def kill() -> None:
            for child in taken:
                child.kill()

        return await self._threads.run(call, on_cancel=kill)

    def _child(self) -> Child:
        while self._idle:
            child = self._idle.pop()
            if child.is_free:  # it may have been killed when it had just ended
                return child
        return Child()

    def close(self) -> None:
        """Kill them all."""
        self._threads.close()
        for child in [*self._idle, *self._busy]:
            child.kill()


def _serve(pipe: Connection) -> None:
    """What a child does: its parent decides when it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        try:
            module, name, args, kwargs = pipe.recv()
        except EOFError:
            return
        pipe.send_bytes(_answer(module, name, args, kwargs))


def _answer(module: str, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bytes:
    try:
        found: Any = importlib.import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        function = getattr(found, "function", found)  # the name is the task's by now
        answer = (False, function(*args, **kwargs))
    except Exception as error:  # noqa: BLE001  it is the caller's
        answer = (True, error)
    try:
        return pickle.dumps(answer)
    except Exception as error:  # noqa: BLE001  whatever a __reduce__ raises
        return pickle.dumps((True, TypeError(f"{answer[1]!r} can't be pickled: {error}")))
