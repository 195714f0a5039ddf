"""A task that is put by itself whenever it is due. What is to be put, and when, without any I/O.

    @app.cron("30 2 * * *", timezone="Europe/Vienna")
    @app.task
    async def report() -> None: ...

Every worker of the app, whatever queues it takes from, puts the next due time's message **as soon
as the one before has passed** (in a burst it puts none), with `at=` for its time and a `dedup` key
of the task's name and that time: the first one is stored, the others are duplicates. So there is no
leader, and one worker is enough. That message is also all that is remembered: it waits at the
server, for everyone to see, while no worker runs, and is run late when one does. What was due
besides it meanwhile was never put.

    catch_up    a due time at which no worker could run it
    once        the first of those missed is run when a worker is there again, up to 30 days late
    all         each of the last day is run, and the first of those missed
    none        one is run if it begins within a minute, none later

**Why never twice.** Nobody puts a due time that has passed for longer than REACH, and its key holds
for an hour more, by the message's own `dedup_window`, whatever the queue's is: so late may a
worker's clock be, or a put that is under way.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import msgspec

from qclient import verbs
from qclient.tasks.envelope import Envelope
from qclient.tasks.schedule import EPOCH, MILLISECOND, Schedule
from qclient.tasks.task import Task

CatchUp = Literal["once", "all", "none"]
"""What becomes of due times at which no worker ran."""

SLACK: Final = timedelta(hours=1)
REACH: Final[dict[CatchUp, timedelta]] = {
    "once": timedelta(hours=1),
    "all": timedelta(days=1),
    "none": timedelta(minutes=1),
}
"""So long after its time a message may still be put."""

LATE: Final[dict[CatchUp, timedelta]] = {
    "once": timedelta(days=30),
    "all": timedelta(days=30),  # without it nobody would know of the others
    "none": timedelta(minutes=1),
}
"""So long after its time it may begin; then it expires. A queue's own ttl would end it too soon."""


class Periodic(msgspec.Struct, frozen=True):
    """A task and when it is due.

    Attributes:
        task: what is run; it takes no arguments.
        schedule: when.
        catch_up: see the top of the file.
    """

    task: Task[..., Any]
    schedule: Schedule
    catch_up: CatchUp

    def missed(self, since: datetime, until: datetime, now: datetime) -> Iterator[datetime]:
        """The due times between two of them that may still be put; for `all`."""
        due = self.schedule.after(max(since, now - REACH[self.catch_up]))
        while due < until:
            yield due
            due = self.schedule.after(due)

    def is_too_late(self, due: datetime, now: datetime) -> bool:
        """Whether it may not be put any more, since its key may not hold."""
        return now - due > REACH[self.catch_up]

    def head(self, due: datetime, now: datetime) -> bytes:
        """The line of its PUT up to the key and the body."""
        options = self.task.options
        ahead = max(due - now, timedelta())
        late = LATE[self.catch_up]
        if options.ttl is not None:
            ttl = options.ttl
            late = min(late, ttl if isinstance(ttl, timedelta) else timedelta(seconds=ttl))
        return verbs.put_head(
            options.queue,
            at=due,
            priority=options.priority,
            ttl=ahead + late,
            key=options.key,
            trace=options.trace,
            dedup_window=ahead + REACH[self.catch_up] + SLACK,
        )

    def dedup(self, due: datetime) -> str:
        """The key that all workers put this due time with."""
        stamp = due.astimezone(UTC).isoformat(timespec="milliseconds")
        return f"{self.task.name}@{stamp.removesuffix('+00:00').removesuffix('.000')}Z"

    def envelope(self, due: datetime) -> Envelope:
        """The message's body."""
        return Envelope(self.task.name, due_ms=(due - EPOCH) // MILLISECOND)

    def __str__(self) -> str:
        missed = "" if self.catch_up == "once" else f", catch up {self.catch_up}"
        return f"{self.schedule}{missed}"
