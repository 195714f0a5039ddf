"""A task: a function that can be put, with the function's own signature.

    await send.put(user_id=3)                       now
    await send.put_in(60, user_id=3)                in a minute
    await send.put_at(morning, user_id=3)           then
    await send.put_many(send.call(user_id=n) for n in range(1000))
    await send.with_options(priority=9, key="ada").put(user_id=3)
    send(user_id=3)                                 calls the function here and now

Type checkers see the parameters of the function in each of these.
"""

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterable
from copy import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, ParamSpec, TypeVar, cast

import msgspec

from qclient import verbs
from qclient.backoff import Backoff
from qclient.tasks.arguments import Arguments
from qclient.tasks.envelope import Arrived, Envelope
from qclient.tasks.job import Job
from qclient.tasks.outlet import Outlet
from qclient.tasks.putting import Putting, entered
from qclient.tasks.returned import Returned
from qclient.words import Duration

if TYPE_CHECKING:
    from qclient.tasks.app import App

P = ParamSpec("P")
R = TypeVar("R")

Where = Literal["loop", "thread", "process"]
"""What a task's function runs in."""


class Rules(msgspec.Struct, frozen=True):
    """What a worker keeps to when it runs a task.

    Attributes:
        timeout_s: a run that takes longer is cancelled and counts as a failure; None for no limit.
        max_attempts: failures until the message is dead. The queue's own `max_failures` holds too.
        backoff: how long to wait after each failure.
        where: what the function runs in.
        keep_s: how long the function's result is kept; None where nobody wants it.
    """

    timeout_s: float | None
    max_attempts: int
    backoff: Backoff
    where: Where
    keep_s: float | None = None


class Options(msgspec.Struct, frozen=True):
    """What a task's messages are put with; see `Client.put`."""

    queue: str
    priority: int | None = None
    ttl: Duration | None = None
    key: str | None = None
    trace: str | None = None
    dedup: str | None = None

    def head(self, delay: Duration | None = None, at: datetime | None = None) -> bytes:
        """The line of a PUT up to its body."""
        return verbs.put_head(
            self.queue,
            delay=delay,
            at=at,
            priority=self.priority,
            ttl=self.ttl,
            key=self.key,
            trace=self.trace,
        )


class Call(msgspec.Struct, Generic[P], frozen=True):
    """A call that is not put yet. Made by `Task.call`."""

    envelope: Envelope


class Task(Generic[P, R]):
    """A function that can be put. Made by `App.task`.

    Attributes:
        name: what messages call it.
        function: as it was written.
        options: what its messages are put with.
        rules: what a worker keeps to.
        is_async: whether the function is a coroutine function.
    """

    def __init__(
        self, app: "App", function: Callable[P, Any], name: str, options: Options, rules: Rules
    ) -> None:
        self.name: Final = name
        self.function: Final = function
        self.rules: Final = rules
        self.is_async: Final = inspect.iscoroutinefunction(function)
        self.options = options
        self.arguments: Final = Arguments(function)
        self.returned: Final = Returned(function)
        self._app = app
        self._head = options.head()
        functools.update_wrapper(cast("Callable[..., Any]", self), function)

    def __repr__(self) -> str:
        return f"<task {self.name} of queue {self.options.queue}>"

    @property
    def queue(self) -> str:
        """Where it is put."""
        return self.options.queue

    async def put(self, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """Store a call at the end of the task's queue; a worker runs it.

        Raises:
            TypeError: the function can't be called so.
            BadJson: an argument can't be written as JSON.
            Closed: the app is not connected.
            Full, ConnectionLost: see `Client.put`.
        """
        self.arguments.check(args, kwargs)
        return await self._put(self._head, Envelope(self.name, args, kwargs))

    async def put_in(self, delay: Duration, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """`put`, not run before `delay` has passed: seconds or timedelta."""
        self.arguments.check(args, kwargs)
        head = self.options.head(delay=delay)
        return await self._put(head, Envelope(self.name, args, kwargs), delay)

    async def put_at(self, when: datetime, /, *args: P.args, **kwargs: P.kwargs) -> Job[R]:
        """`put`, not run before `when`: an aware datetime."""
        self.arguments.check(args, kwargs)
        head = self.options.head(at=when)
        return await self._put(head, Envelope(self.name, args, kwargs), when)

    def call(self, *args: P.args, **kwargs: P.kwargs) -> Call[P]:
        """A call to be put later, for `put_many`.

        Raises:
            TypeError: the function can't be called so.
        """
        self.arguments.check(args, kwargs)
        return Call(Envelope(self.name, args, kwargs))

    async def put_many(self, calls: Iterable[Call[P]]) -> list[Job[R]]:
        """Store many calls, a few hundred at a time; it is not all or nothing.

        Raises:
            BatchError: some were refused; its `outcomes` say which, the others are stored.
        """
        options = self.options
        putting = Putting(self, options.trace)
        with entered(self._app.puttings, putting):
            putting.ids = await self._app.outlet.put_many(
                options.queue,
                (putting.stamped(call.envelope) for call in calls),
                priority=options.priority,
                ttl=options.ttl,
                key=options.key,
                trace=putting.trace,
            )
        return [Job(number, options.queue, task=self) for number in putting.ids]

    def job(self, number: int) -> Job[R]:
        """One that was put before, here or elsewhere, by its message's number."""
        return Job(number, self.options.queue, task=self)

    def with_options(
        self,
        *,
        queue: str | None = None,
        priority: int | None = None,
        ttl: Duration | None = None,
        key: str | None = None,
        trace: str | None = None,
        dedup: str | None = None,
    ) -> "Task[P, R]":
        """The same task, put with other options; see `Client.put`. What is None stays as it is."""
        changes = {
            "queue": queue,
            "priority": priority,
            "ttl": ttl,
            "key": key,
            "trace": trace,
            "dedup": dedup,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        other = copy(self)
        other.options = msgspec.structs.replace(self.options, **given)
        other._head = other.options.head()  # noqa: SLF001  its own kind's
        return other

    @property
    def outlet(self) -> Outlet:
        """Where it is put, and where its jobs are asked for.

        Raises:
            Closed: the app is not connected.
        """
        return self._app.outlet

    def prepare(self) -> None:
        """See `Arguments.prepare` and `Returned.prepare`."""
        self.arguments.prepare()
        if self.rules.keep_s is not None:
            self.returned.prepare()

    def read(self, call: Arrived) -> tuple[Any, Any]:
        """The arguments of a call that came.

        Raises:
            Reject: they don't fit the function.
        """
        if not call.args and not call.kwargs and self.arguments.takes_none:
            return (), {}
        return self.arguments.read(call.args, call.kwargs)

    async def _put(self, head: bytes, envelope: Envelope, later: Duration | datetime = 0) -> Job[R]:
        app = self._app
        options = self.options
        if not app.puttings:
            put = await app.outlet.put_with(head, envelope, options.dedup)
            return Job(put.id, options.queue, put.is_duplicate, self)
        putting = Putting(self, options.trace, later)
        with entered(app.puttings, putting):
            head, envelope = putting.headed(head), putting.stamped(envelope)
            put = await app.outlet.put_with(head, envelope, options.dedup)
            putting.ids = (put.id,)
            return Job(put.id, options.queue, put.is_duplicate, self)


class AsyncTask(Task[P, R]):
    """A task of an `async def`: calling it gives its coroutine."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        """Call the function itself, here."""
        return self.function(*args, **kwargs)  # type: ignore[no-any-return]


class PlainTask(Task[P, R]):
    """A task of a plain `def`: calling it runs it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function itself, here."""
        return self.function(*args, **kwargs)  # type: ignore[no-any-return]
