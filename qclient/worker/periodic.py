"""Puts what is due next, for one worker; `tasks/periodic.py` says why it is run once.

    step(now) ──► a message for each task whose last due time has passed ──► put ──► step
        ▲                                                                     └── refused: again
        └── passed: a due time's message came

The worker's clock only says which time is the next one; that it has come says the server's, which
keeps the message until then. A message that comes before its time by the clock here shows that this
clock is late, and the one behind it is put at once.

What waits at the server is put again each minute, and looked for: a PURGE takes the message and
leaves its key. Then it is put once more, with a key made of the id of the one that is gone, which
all workers find alike. Within the last hour before its time that is left out: by then a message
that is gone may be one that has run, by a clock that is not this one's.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol

from qclient.errors import Error, NotFound
from qclient.middleware import CallNext
from qclient.reports import Put
from qclient.tasks.envelope import Envelope
from qclient.tasks.periodic import SLACK, Periodic
from qclient.tasks.schedule import EPOCH
from qclient.worker.delivery import Delivery

logger = logging.getLogger("qclient.worker")

RENEW: Final = timedelta(minutes=1)
"""What waits at the server is put again so often, lest a DROP or a PURGE has taken it."""

RETRY: Final = timedelta(seconds=5)
PUT_S: Final = 60.0
"""So long a put may take; far less than the slack that a key holds for."""

MISSED_MAX: Final = 10_000
"""Missed times of one task that are caught up, the latest ones."""

AT_ONCE: Final = 100

PURGES_MAX: Final = 100
"""So often one due time is put again that was purged."""


class Store(Protocol):
    """Where messages are put: a client."""

    def put_with(self, head: bytes, item: Envelope, dedup: str, /) -> Awaitable[Put]:
        """Store one."""
        ...

    def peek(self, id: int, /) -> Awaitable[object]:  # noqa: A002
        """See whether it is there: NotFound if not."""
        ...


class Line:
    """The due times of one task, as far as this worker has put them.

    Attributes:
        pending: to be put, in order.
        first: the first that was put here.
        last: the last; those between were put too.
        heard: the last whose message came: so late is it at least, whatever the clock here says.
        before: the first whose message came before anything was put here.
        refused: what the server refused last, which is told once.
    """

    def __init__(self, periodic: Periodic) -> None:
        self.periodic: Final = periodic
        self.pending: deque[datetime] = deque(maxlen=MISSED_MAX)
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.heard: datetime | None = None
        self.before: datetime | None = None
        self.refused: datetime | None = None

    def plan(self, now: datetime, *, is_renewal: bool) -> None:
        """Find what is to be put now."""
        periodic = self.periodic
        while self.pending and periodic.is_too_late(self.pending[0], now):
            logger.warning("%s was due at %s and missed", periodic.task.name, self.pending[0])
            self.was_put(self.pending[0])
        if self.pending:
            return
        now = now if self.heard is None else max(now, self.heard)
        if self.last is not None and self.last > now:
            if is_renewal:
                self.pending.append(self.last)
            return
        since = self.before if self.last is None else self.last
        following = periodic.schedule.after(now)
        if since is not None and periodic.catch_up == "all":
            self.pending.extend(periodic.missed(since, following, now))
        self.pending.append(following)

    def passed(self, due: datetime, now: datetime) -> bool:
        """Its message came; whether there is something to put for that."""
        periodic = self.periodic
        self.heard = due if self.heard is None else max(due, self.heard)
        if self.first is None or self.last is None:
            self.before = due if self.before is None else min(due, self.before)
            return False  # the first step comes anyway
        if periodic.catch_up == "all" and due < self.first:
            self.pending.extend(periodic.missed(due, self.first, now))
            self.first = due
        return due >= self.last or bool(self.pending)

    def was_put(self, due: datetime) -> None:
        """It is stored, or given up."""
        if self.pending and self.pending[0] == due:
            self.pending.popleft()
        self.first = due if self.first is None else self.first
        self.last = due if self.last is None else max(due, self.last)

    def was_refused(self) -> None:
        """The first of `pending` is put again later; what was only put once more is not."""
        if self.pending and self.pending[0] == self.last:
            self.pending.popleft()


class PeriodicPuts:
    """Puts the periodic tasks of an app.

    Args:
        entries: what is due when.
        store: where messages are put.
        clock: the time, aware.
    """

    def __init__(
        self,
        entries: Iterable[Periodic],
        store: Store,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._lines = [Line(each) for each in entries]
        self._store = store
        self._clock = clock
        self._renew_at = clock() + RENEW
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Put what is due until cancelled."""
        while True:
            self._news.clear()
            again_at = await self.step(self._clock())
            wait_s = (again_at - self._clock()).total_seconds()
            timer = asyncio.get_running_loop().call_later(max(wait_s, 0.0), self._news.set)
            try:
                await self._news.wait()
            finally:
                timer.cancel()

    async def step(self, now: datetime) -> datetime:
        """Put what is to be put at that time; returns when to look again."""
        is_renewal = now >= self._renew_at
        if is_renewal:
            self._renew_at = now + RENEW
        is_done = True
        for line in self._lines:
            line.plan(now, is_renewal=is_renewal)
            is_done &= await self._put_all(line, now)
        if not is_done:
            return now + RETRY
        return min([self._renew_at, *(line.last for line in self._lines if line.last is not None)])

    def around(self, run: CallNext) -> CallNext:
        """The same, but what runs tells that its due time has come."""
        if not self._lines:
            return run

        def call(delivery: Delivery) -> Any:
            if delivery.due_ms:
                self.passed(delivery.task.name, delivery.due_ms)
            return run(delivery)

        return call

    def passed(self, name: str, due_ms: float) -> None:
        """A task's message came that was due then."""
        due = EPOCH + timedelta(milliseconds=due_ms)
        for line in self._lines:
            if line.periodic.task.name == name and line.passed(due, self._clock()):
                self._news.set()

    async def _put_all(self, line: Line, now: datetime) -> bool:
        periodic = line.periodic
        while line.pending:
            some = list(line.pending)[:AT_ONCE]
            try:
                async with asyncio.timeout(PUT_S):
                    await asyncio.gather(*(self._put_one(periodic, due, now) for due in some))
            except (Error, TimeoutError) as error:
                if line.refused != some[0]:
                    logger.warning("%s of %s can't be put: %r", periodic.task.name, some[0], error)
                    line.refused = some[0]
                line.was_refused()
                return False
            for due in some:
                line.was_put(due)
        return True

    async def _put_one(self, periodic: Periodic, due: datetime, now: datetime) -> None:
        head = periodic.head(due, now)
        envelope = periodic.envelope(due)
        first = key = periodic.dedup(due)
        for _ in range(PURGES_MAX):
            put = await self._store.put_with(head, envelope, key)
            if not (put.is_duplicate and await self._is_purged(put.id, due)):
                break
            key = f"{first}/{put.id}"

    async def _is_purged(self, message_id: int, due: datetime) -> bool:
        """Whether a message is gone that can't have run yet."""
        if due - self._clock() <= SLACK:
            return False
        try:
            await self._store.peek(message_id)
        except NotFound:
            return due - self._clock() > SLACK
        return False
