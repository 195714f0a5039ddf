"""Several worker processes, and one that looks after them.

    the first ──► starts worker 1 … N: the same command line, each with its number
       ├── one died ──────────► started again after a pause, which doubles
       ├── SIGTERM, SIGINT ───► passed on: stop; a second one: leave; a third: killed
       └── a file changed ────► all leave and are started again (`--reload`)

Each worker has a process group of its own, so Ctrl-C reaches it by way of the first only, once. Its
stdin is a pipe from the first: at its end the first is gone, and the worker stops too.

No code of the user runs in the first, so none can hold it up, and a changed file needs no more than
new workers.
"""

import asyncio
import logging
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from qclient.backoff import Backoff
from qclient.worker.membership import NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger("qclient.worker")

OK: Final = 0
USAGE: Final = 2

PAUSES: Final = Backoff(first_s=0.5, max_s=30.0)
"""Before one that died is started again."""

STEADY_S: Final = 60.0
"""One that has lived so long is started again as if it had never died."""

LEAVE_S: Final = 5.0
"""What workers get to leave after a second signal, before they are killed."""

RELOAD_S: Final = 2.0
"""What running tasks get when a file has changed, before their worker leaves."""


class Restarts:
    """How long to wait before one that died is started again.

    Args:
        pauses: grow with each death that follows soon on its start.
    """

    def __init__(self, pauses: Backoff = PAUSES) -> None:
        self._pauses = pauses
        self._count = 0

    def pause_s(self, lived_s: float) -> float:
        """For one that has just died."""
        self._count = 0 if lived_s >= STEADY_S else self._count
        self._count += 1
        return self._pauses.delay_s(self._count - 1)


class Crew:
    """See the top of the file.

    Args:
        command: of a worker; each gets its number in the environment.
        count: how many.
        changes: what is yielded is why all are started again; then one that died waits for that.
        environment: of the workers; this process's by default.
        pauses: before one that died is started again.

    Attributes:
        codes: how each ended, by its number; negative for a signal.
    """

    def __init__(
        self,
        command: Sequence[str],
        count: int,
        *,
        changes: AsyncIterator[str] | None = None,
        environment: Mapping[str, str] | None = None,
        pauses: Backoff = PAUSES,
    ) -> None:
        self.codes: dict[int, int] = {}
        self._command = command
        self._count = count
        self._changes = changes
        self._environment = os.environ if environment is None else environment
        self._pauses = pauses
        self._processes: dict[int, Process] = {}
        self._stopping = asyncio.Event()
        self._changed = asyncio.Event()
        self._replaced: set[int] = set()
        self._signals = 0
        self._verdict = OK
        self._read_end, self._write_end = os.pipe()

    async def run(self) -> int:
        """Work until stopped, or until all have ended by themselves.

        Returns:
            The exit code: 0, or the one of the worker that made all stop, or of the first that had
        another.
        """
        watching = asyncio.ensure_future(self._watch())
        try:
            with self._handling_signals():
                await asyncio.gather(*(self._keep(n) for n in range(1, self._count + 1)))
        finally:
            watching.cancel()
            await asyncio.wait([watching])
            os.close(self._read_end)
            os.close(self._write_end)
        if not watching.cancelled():
            watching.result()
        codes = [exit_code(code) for _, code in sorted(self.codes.items()) if code]
        return self._verdict or next(iter(codes), OK)

    def on_signal(self) -> None:
        """Stop; from the second time on with less patience."""
        self._signals += 1
        self._stopping.set()
        if self._signals == 1:
            logger.info("stopping %d workers", len(self._processes))
        if self._signals > 2:  # noqa: PLR2004
            self._send(signal.SIGKILL)
            return
        # two of one kind could arrive as one
        self._send(signal.SIGTERM if self._signals == 1 else signal.SIGINT)
        if self._signals == 2:  # noqa: PLR2004
            asyncio.get_running_loop().call_later(LEAVE_S, self._send, signal.SIGKILL)

    # ── leaves ──

    async def _keep(self, number: int) -> None:
        """Let there be a worker of that number."""
        restarts = Restarts(self._pauses)
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began_at = loop.time()
            code = self.codes[number] = await self._live(number)
            if self._stopping.is_set():
                if code == -signal.SIGTERM:  # it had not begun yet
                    self.codes[number] = OK
                return
            if number in self._replaced:
                self._replaced.discard(number)
            elif self._changes is not None:
                logger.warning("worker %d ended with %d: it waits for a change", number, code)
                await self._either(self._changed, self._stopping)
            elif code in (OK, USAGE):  # a burst is over, or nothing would become better
                if code == USAGE:
                    self._verdict = code
                    self.on_signal()
                return
            else:
                pause_s = restarts.pause_s(loop.time() - began_at)
                logger.error(
                    "worker %d died with %d: its messages go to others, it is back in %.1f s",
                    number,
                    code,
                    pause_s,
                )
                await self._either(self._stopping, within_s=pause_s)

    async def _live(self, number: int) -> int:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env={**self._environment, NUMBER: str(number)},
            stdin=self._read_end,
            process_group=0,
        )
        self._processes[number] = process
        if self._stopping.is_set():
            self._send(signal.SIGTERM, [process])
        code = await process.wait()
        del self._processes[number]
        return code

    async def _watch(self) -> None:
        """Start all again at each change."""
        if self._changes is None:
            return
        async for change in self._changes:
            if self._stopping.is_set():
                return
            logger.info("%s changed: the workers are started again", change)
            self._changed.set()
            self._changed = asyncio.Event()
            self._replaced |= self._processes.keys()
            replaced = list(self._processes.values())
            for within_s, number in ((RELOAD_S, signal.SIGTERM), (LEAVE_S, signal.SIGINT)):
                self._send(number, replaced)
                await self._gone(replaced, within_s)
            self._send(signal.SIGKILL, replaced)

    async def _gone(self, processes: Sequence[Process], within_s: float) -> None:
        waits = [asyncio.ensure_future(each.wait()) for each in processes]
        if waits:
            await asyncio.wait(waits, timeout=within_s)
        for each in waits:
            each.cancel()

    async def _either(self, *events: asyncio.Event, within_s: float | None = None) -> None:
        waits = [asyncio.ensure_future(each.wait()) for each in events]
        await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()

    def _send(self, number: signal.Signals, to: Sequence[Process] | None = None) -> None:
        """Not by `send_signal`: it may take the code of one that ends from who waits for it."""
        for process in list(self._processes.values()) if to is None else to:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.kill(process.pid, number)

    @contextmanager
    def _handling_signals(self) -> "Iterator[None]":
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.on_signal)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)


def exit_code(code: int) -> int:
    """As a shell shows it: 128 and the signal's number for one that a signal ended."""
    return 128 - code if code < 0 else code


def own_command() -> list[str]:
    """The command line of this process, by whatever name it was started."""
    return [sys.executable, "-m", "qclient", *sys.argv[1:]]
