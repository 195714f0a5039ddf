"""Leases kept alive from a thread of the operating system, with a connection of its own.

A task that blocks the event loop would otherwise lose its lease, and run twice just when it takes
long. The thread belongs to the worker's session:

    every lease_s / 3      TOUCH *, which renews all that the session holds
    more often             is the loop still turning? who blocks it?

`TOUCH *` says how many leases it renewed. Where that is less than what is held here, the thread
asks again by receipt, and what is `not-leased` is told to the worker as lost. While the session may
hold what nobody here knows of (`fetching.py`), it touches by receipt only.

A loop that is blocked for longer than `blocked_s_max` is taken for dead, and nothing is touched
until it turns again. Code that holds Python's lock all the time stops this thread too: such tasks
belong into processes.
"""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from qclient import verbs
from qclient.errors import Error, ReplyError
from qclient.reports import Settled
from qclient.sync.connection import Connection
from qclient.sync.dialler import Dialler
from qclient.worker.looping import LoopWatch

logger = logging.getLogger("qclient.worker")

RECEIPTS_MAX: Final = 500
"""Receipts of one line."""


class Heart(Protocol):
    """What the heartbeat asks and tells a worker. The questions are asked by its thread."""

    def receipts(self) -> list[str]:
        """Of all that is held and not settled."""
        ...

    def is_in_doubt(self) -> bool:
        """Whether the session may hold what nobody here knows of."""
        ...

    def task_of(self, runner: object) -> str | None:
        """The name of the task that a task of the loop runs, if it is one of ours."""
        ...

    def on_lost(self, receipts: Sequence[str]) -> None:
        """These are not leased any more. Called on the loop."""

    def on_doubt(self) -> None:
        """The session is in doubt. Called on the loop, again and again."""


class Heartbeat:
    """See the top of the file.

    Args:
        dial: connects within the worker's session.
        heart: whom it keeps alive.
        lease_s: see `Settings`.
        watch: how long the loop may be blocked.

    Attributes:
        beats: how often leases were renewed.
    """

    def __init__(self, dial: Dialler, heart: Heart, *, lease_s: float, watch: LoopWatch) -> None:
        self.beats = 0
        self._dial = dial
        self._heart = heart
        self._lease_s = lease_s
        self._watch = watch
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._connection: Connection | None = None
        self._trouble: bool | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="qclient heartbeat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for what is under way, but not long."""
        self._stopped.set()
        connection = self._connection
        if connection is not None:
            connection.end()
        self._thread.join(1.0)

    # ── the thread ──

    def _run(self) -> None:
        period_s = min(self._lease_s / 3, self._watch.period_s)
        touch_at = 0.0
        while not self._stopped.is_set():
            now = time.monotonic()
            self._look(now)
            try:
                connection = self._connected()
                if now >= touch_at and not self._watch.is_dead(now):
                    self._touch(connection)
                    touch_at = now + self._lease_s / 3 - period_s / 2
                self._tell_of(None)
            except Error as error:
                self._drop()
                self._tell_of(error)
            self._stopped.wait(period_s)
        self._drop()

    def _tell_of(self, error: Error | None) -> None:
        """Log that the server is gone, refuses us, or is back: once, not at each beat."""
        before = self._trouble
        self._trouble = None if error is None else isinstance(error, ReplyError)
        if self._trouble == before or self._stopped.is_set():
            return
        if error is None:
            logger.info("the heartbeat is connected again")
        else:
            logger.warning("the heartbeat has no connection, so leases run on unrenewed: %s", error)

    def _look(self, now: float) -> None:
        """See whether the loop turns, and ask it to say so."""
        watch = self._watch
        blocked_s = watch.blocked_s(now)
        if watch.is_news(now):
            task = asyncio.current_task(self._loop)
            name = self._heart.task_of(task) if task else None
            logger.warning(
                "the event loop has been blocked for %.1f s by %s: leases are renewed %s",
                blocked_s,
                f"task {name}, {self._where()}" if name else self._where(),
                "no more, others will have the messages" if watch.is_dead(now) else "by a thread",
            )
        if self._heart.is_in_doubt():
            self._tell(self._heart.on_doubt)
        if watch.ask(now):
            self._tell(self._answer)

    def _answer(self) -> None:
        """Runs on the loop."""
        self._watch.answer()

    def _where(self) -> str:
        """The line that the loop's thread is at."""
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  no public name
        if frame is None:
            return "nobody knows what"
        return f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"

    def _tell(self, told: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(told)
        except RuntimeError:  # the loop is closed
            self._stopped.set()

    def _connected(self) -> Connection:
        """The connection, or a new one where the server has closed it."""
        if self._connection is not None and not self._connection.is_quiet:
            self._drop()
        if self._connection is None:
            self._connection = self._dial()
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _touch(self, connection: Connection) -> None:
        """Renew what is held, and find what is lost."""
        receipts = self._heart.receipts()
        if not receipts:
            return
        if not self._heart.is_in_doubt():
            request = verbs.touch_all(lease=self._lease_s)
            settled = request.parse(connection.exchange(request, self._patience_s))
            self.beats += 1
            if settled.count >= len(receipts):
                return
        lost: list[str] = []
        for at in range(0, len(receipts), RECEIPTS_MAX):
            lost += self._touch_some(connection, receipts[at : at + RECEIPTS_MAX]).not_leased
        self.beats += 1
        if lost:
            self._tell(lambda: self._heart.on_lost(lost))

    def _touch_some(self, connection: Connection, receipts: list[str]) -> Settled:
        request = verbs.touch(receipts, lease=self._lease_s)
        return request.parse(connection.exchange(request, self._patience_s))

    @property
    def _patience_s(self) -> float:
        return max(self._lease_s / 3, 1.0)
