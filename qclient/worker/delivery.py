"""A delivery: one run of a task, and what it can ask about itself.

    @app.task
    async def convert(path: str) -> None:
        delivery = current()
        if delivery.attempt > 1: …

Middleware gets it as an argument; a task asks `current()`, also in a thread.
"""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

import msgspec

from qclient.message import Message
from qclient.tasks.control import Why
from qclient.tasks.job import Progress
from qclient.tasks.task import Task
from qclient.worker.progress import Reporter


class Delivery(msgspec.Struct, eq=False):
    """One run of a task.

    Attributes:
        message: what was leased.
        task: what is run.
        args: its arguments by position.
        kwargs: its arguments by name.
        due_ms: when it could begin at the earliest, in milliseconds since 1970; 0 where its
            producer did not say.
        arrived_at: when it came to this worker, by `time.monotonic()`.
        began_at: when it began, by the same clock.
        expires_at: when it will be cancelled for its timeout, by the same clock, or None.
        cancelled_for: why it is being cancelled, or None.
        slot: where it runs; for the worker.
        result: what the function returned; for the worker.
        reporter: sends its progress, once there has been any; for the worker.
    """

    message: Message[Any]
    task: Task[..., Any]
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    due_ms: float = 0
    arrived_at: float = 0.0
    began_at: float = 0.0
    expires_at: float | None = None
    cancelled_for: Why | None = None
    slot: Any = None
    result: Any = None
    reporter: Reporter | None = None

    @property
    def id(self) -> int:
        """The message's number, the same in every delivery."""
        return self.message.id

    @property
    def queue(self) -> str:
        """Where the message was taken from."""
        return self.message.queue

    @property
    def failures(self) -> int:
        """How often the message failed before."""
        return self.message.failures

    @property
    def attempt(self) -> int:
        """1 for the first, and one more for each failure: what `max_attempts` counts."""
        return self.message.failures + 1

    @property
    def is_lost(self) -> bool:
        """Whether the lease ended while it ran: someone else has or will have the message."""
        return self.message.is_lost

    def progress(self, fraction: float | None = None, text: str = "") -> None:
        """Say how far it has got: `job.status()`, LIST and PEEK show it.

        Costs next to nothing and returns at once, so it may stand in a tight loop: two a second are
        sent at most, and the last one always is, before the message is settled. Also for plain
        functions in threads. What can't be sent is dropped.

        Args:
            fraction: 0 to 1; None where it can't be said.
            text: for people, at most 500 characters.
        """
        if self.reporter is None:
            self.reporter = Reporter(self.message, self.message._settler)  # noqa: SLF001  ours
        self.reporter.report(Progress(fraction, text))

    def __repr__(self) -> str:
        return f"<delivery {self.message.receipt} of {self.task.name}>"


running: Final[ContextVar[Delivery]] = ContextVar("qclient_delivery")


def current() -> Delivery:
    """The delivery of the task that asks.

    Raises:
        LookupError: no task of a worker is running here.
    """
    return running.get()
