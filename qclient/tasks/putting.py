"""One put of a task under way, and what wraps it: the producer's half of some middleware.

A middleware of the App that has a method `putting` is told of each put, wherever that happens: in a
service, in a script, in another task. It may change the put, and may give a context for it.

    def putting(self, putting: Putting) -> None:
        putting.is_timed = True     # its messages say when they could begin

The contexts are entered in the order of the middleware, before anything is sent, and left when the
server has answered. An App without such middleware pays nothing.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from qclient.tasks.envelope import Envelope
from qclient.words import Duration, text

if TYPE_CHECKING:
    from qclient.tasks.task import Task


_NOTHING: Final = nullcontext()


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


Around = Callable[[Putting], AbstractContextManager[object] | None]
"""Is told of a put, and may give a context for it."""


def puttings(middleware: Iterable[object]) -> tuple[Around, ...]:
    """The `putting` of those that have one, in order."""
    return tuple(each.putting for each in middleware if hasattr(each, "putting"))


def entered(arounds: Iterable[Around], putting: Putting) -> AbstractContextManager[object]:
    """All of their contexts as one."""
    given = [context for around in arounds if (context := around(putting)) is not None]
    if len(given) == 1:
        return given[0]
    return _all(given) if given else _NOTHING


@contextmanager
def _all(contexts: Iterable[AbstractContextManager[object]]) -> Iterator[None]:
    with ExitStack() as stack:
        for context in contexts:
            stack.enter_context(context)
        yield
