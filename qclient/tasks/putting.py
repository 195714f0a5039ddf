"""One put of a task under way, and what wraps it: the producer's half of some middleware.

A middleware of the App that has a method `putting` is asked for a context at each put, wherever
that happens: in a service, in a script, in another task.

    def putting(self, putting: Putting) -> AbstractContextManager[object]:
        putting.is_timed = True     # its messages say when they could begin
        return nullcontext()

The contexts are entered in the order of the middleware, before anything is sent, and left when the
server has answered. An App without such middleware pays nothing.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from qclient.tasks.envelope import Envelope
from qclient.words import Duration, text

if TYPE_CHECKING:
    from qclient.tasks.task import Task


class Putting(msgspec.Struct, eq=False):
    """A put under way.

    Attributes:
        task: what is put, with its options.
        trace: what its messages carry for whoever runs them. One that has none can be given one.
        later: the delay, or the time, before which it is not run.
        is_timed: whether its messages say when they could begin at the earliest.
        ids: of its messages, once the server has answered.
    """

    task: "Task[..., Any]"
    trace: str | None = None
    later: Duration | datetime = 0
    is_timed: bool = False
    ids: Sequence[int] = ()

    def headed(self, head: bytes) -> bytes:
        """The line of a PUT up to its body, with the trace that it was given here."""
        if self.trace is None or self.trace == self.task.options.trace:
            return head
        return head + b"trace=%b " % text(self.trace)

    def stamped(self, envelope: Envelope) -> Envelope:
        """The same envelope, with its time where that is wanted."""
        if self.is_timed:
            envelope.due_ms = self._due_ms()
        return envelope

    def _due_ms(self) -> int:
        later = self.later
        if isinstance(later, datetime):
            due_s = max(later.timestamp(), time.time())
        elif isinstance(later, timedelta):
            due_s = time.time() + later.total_seconds()
        else:
            due_s = time.time() + later
        return int(due_s * 1000)


Around = Callable[[Putting], AbstractContextManager[object]]
"""Gives the context of one put."""


def puttings(middleware: Iterable[object]) -> tuple[Around, ...]:
    """The `putting` of those that have one, in order."""
    return tuple(each.putting for each in middleware if hasattr(each, "putting"))


@contextmanager
def entered(arounds: Sequence[Around], putting: Putting) -> Iterator[None]:
    """Within all of these contexts."""
    with ExitStack() as stack:
        for around in arounds:
            stack.enter_context(around(putting))
        yield
