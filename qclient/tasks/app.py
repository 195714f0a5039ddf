"""An App: the tasks of a service by name, and the client that puts them.

There is no global one: what belongs together shares an App, and a test makes its own.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import tzinfo
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar, overload

from qclient.backoff import Backoff
from qclient.client import Client
from qclient.errors import BadRequest, Closed
from qclient.middleware import Middleware
from qclient.opening import DEFAULT_URL, connect
from qclient.tasks.outlet import Outlet
from qclient.tasks.periodic import CatchUp, Periodic
from qclient.tasks.putting import puttings
from qclient.tasks.schedule import Cron, Every, Schedule
from qclient.tasks.task import AsyncTask, Options, PlainTask, Rules, Task, Where
from qclient.words import Duration, duration

if TYPE_CHECKING:
    from qclient.tasks.local import LocalRuns

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=Task[..., Any])

TIMEOUT_S: Final = 3600.0
MAX_ATTEMPTS: Final = 5
BACKOFF: Final = Backoff(first_s=2.0, max_s=300.0)
PERIODIC_NAME_BYTES_MAX: Final = 200

Lifespan = Callable[[], AbstractAsyncContextManager[Any]]
"""Entered by a worker before it fetches anything, left when its last task has ended."""


class Decorator(Protocol):
    """What `app.task(…)` gives: it makes a task of a function."""

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> PlainTask[P, R]: ...


class App:
    """Tasks by name.

    Args:
        name: for people and for sessions of its workers.
        queue: where tasks are put that don't say otherwise.
        middleware: what wraps each run in a worker, the outermost first; by default
            `qclient.middleware.standard()`: logging, retry, timeout.
        lifespan: makes what tasks need, in the worker: a database pool, say.
    """

    def __init__(
        self,
        name: str = "app",
        *,
        queue: str = "default",
        middleware: Sequence[Middleware] | None = None,
        lifespan: Lifespan | None = None,
    ) -> None:
        self.name: Final = name
        self.queue: Final = queue
        self.middleware: Final = None if middleware is None else tuple(middleware)
        self.lifespan: Final = lifespan
        self.puttings: Final = puttings(self.middleware or ())
        self._tasks: dict[str, Task[..., Any]] = {}
        self._periodic: list[Periodic] = []
        self._outlets: list[Outlet] = []

    @property
    def tasks(self) -> Mapping[str, Task[..., Any]]:
        """All tasks by name, in the order they were written."""
        return MappingProxyType(self._tasks)

    @property
    def queues(self) -> tuple[str, ...]:
        """All queues of its tasks."""
        return tuple(dict.fromkeys(task.queue for task in self._tasks.values()))

    @property
    def periodic(self) -> Sequence[Periodic]:
        """What is put by itself, and when, in the order it was written."""
        return tuple(self._periodic)

    @property
    def client(self) -> Client:
        """The client that `connect` or a worker gave it.

        Raises:
            Closed: there is none.
        """
        if not isinstance(self.outlet, Client):
            raise Closed("the app runs its tasks here: there is no client")
        return self.outlet

    @property
    def outlet(self) -> Outlet:
        """Where its tasks are put.

        Raises:
            Closed: the app is not connected.
        """
        if not self._outlets:
            raise Closed("the app is not connected: async with app.connect(url): …")
        return self._outlets[-1]

    @asynccontextmanager
    async def connect(self, url: str = DEFAULT_URL, **options: Any) -> AsyncIterator[Client]:
        """Connect, so that tasks can be put. The options are those of `qclient.connect`.

        A service does this once, where it starts.
        """
        async with connect(url, **options) as client:
            with self.bound(client):
                yield client

    @contextmanager
    def bound(self, outlet: Outlet) -> Iterator[None]:
        """Put tasks through a client that is connected already; the last one bound counts."""
        self._outlets.append(outlet)
        try:
            yield
        finally:
            self._outlets.remove(outlet)

    def local(
        self, *, retries: bool = False, threads: bool = True, may_fail: bool = False
    ) -> "LocalRuns":
        """Run tasks here, as they are put, without a server: for tests.

            with app.local() as ran:
                await sign_up("ada@example.com")
            assert [run.kwargs for run in ran.of(welcome)] == [{"address": "ada@example.com"}]

        Args:
            retries: what failed is run again at once, up to the task's `max_attempts`; else the
                first failure is the last.
            threads: plain functions run in a thread, as in a worker; else right here, which
                database fixtures may want.
            may_fail: the end of the block raises nothing for tasks that failed.

        Returns:
            A context, also for `async with`, which enters the app's lifespan; see `LocalRuns`.
        """
        from qclient.tasks.local import LocalRuns  # noqa: PLC0415  it needs the worker's parts

        return LocalRuns(self, retries=retries, threads=threads, may_fail=may_fail)

    @overload
    def task(  # type: ignore[overload-overlap]
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> AsyncTask[P, R]: ...
    @overload
    def task(self, function: Callable[P, R], /) -> PlainTask[P, R]: ...
    @overload
    def task(
        self,
        /,
        *,
        queue: str | None = None,
        name: str | None = None,
        timeout: Duration | None = TIMEOUT_S,
        max_attempts: int = MAX_ATTEMPTS,
        backoff: Backoff = BACKOFF,
        where: Where | None = None,
        priority: int | None = None,
        ttl: Duration | None = None,
        keep_result: Duration | None = None,
    ) -> Decorator: ...
    def task(
        self,
        function: Callable[..., Any] | None = None,
        /,
        *,
        queue: str | None = None,
        name: str | None = None,
        timeout: Duration | None = TIMEOUT_S,
        max_attempts: int = MAX_ATTEMPTS,
        backoff: Backoff = BACKOFF,
        where: Where | None = None,
        priority: int | None = None,
        ttl: Duration | None = None,
        keep_result: Duration | None = None,
    ) -> Any:
        """Make a task of a function: `@app.task` or `@app.task(queue="mail", …)`.

        Args:
            function: async or plain.
            queue: where it is put; the app's by default.
            name: what its messages call it; the function's name by default.
            timeout: of one run, seconds or timedelta; an hour by default, None for no limit.
            max_attempts: failures until its message is dead. A queue has such a limit of its own,
                `max_failures`, which holds too: 10 unless it is set. A worker that starts says
                so where that is less.
            backoff: delays between attempts.
            where: `loop`, `thread` or `process`: what a worker runs it in. By default an async
                function on the loop and a plain one in a thread.
            priority: see `Client.put`.
            ttl: see `Client.put`.
            keep_result: how long what it returns is kept for `Job.result`, seconds or timedelta;
                not at all by default.

        Raises:
            BadRequest: an option makes no sense.
        """
        options = Options(self.queue if queue is None else queue, priority=priority, ttl=ttl)

        def register(function: Callable[..., Any]) -> Task[..., Any]:
            is_async = inspect.iscoroutinefunction(function)
            known = name or function.__name__
            rules = Rules(
                timeout_s=_timeout_s(timeout),
                max_attempts=_attempts(max_attempts),
                backoff=backoff,
                where=_where(known, where, is_async=is_async),
                keep_s=_keep_s(keep_result),
            )
            if known in self._tasks:
                raise BadRequest(f"there is a task {known!r} already: give name=")
            kind = AsyncTask if is_async else PlainTask
            task: Task[..., Any] = kind(self, function, known, options, rules)
            self._tasks[known] = task
            return task

        return register if function is None else register(function)

    def cron(
        self, expression: str, *, timezone: str | tzinfo = "UTC", catch_up: CatchUp = "once"
    ) -> Callable[[T], T]:
        """Let a task be put by itself, whenever a cron expression is due. Stands over `task`.

            @app.cron("30 2 * * *", timezone="Europe/Vienna")
            @app.task
            async def report() -> None: ...

        It runs once for each time, however many workers there are. A task can have several
        expressions and periods; where they meet, it runs once.

        Args:
            expression: minute, hour, day of the month, month, day of the week; see `Cron`.
            timezone: the IANA name of the zone whose clocks it means.
            catch_up: what becomes of times at which no worker ran: the first missed one is run
                late (`once`), so is each of the last day (`all`), or one begins within a minute or
                never (`none`).

        Raises:
            BadRequest: the expression or the zone can't be read, or the task needs arguments.
        """
        return self._periodically(Cron(expression, timezone), catch_up)

    def every(self, period: Duration, *, catch_up: CatchUp = "once") -> Callable[[T], T]:
        """Let a task be put by itself in equal periods, counted from 1970 in UTC.

        Args:
            period: seconds or timedelta, at least 50 ms.
            catch_up: see `cron`.

        Raises:
            BadRequest: the period is too short, or the task needs arguments.
        """
        return self._periodically(Every(period), catch_up)

    def _periodically(self, schedule: Schedule, catch_up: CatchUp) -> Callable[[T], T]:
        def register(task: T) -> T:
            _check_periodic(task)
            self._periodic.append(Periodic(task, schedule, catch_up))
            return task

        return register


def _check_periodic(task: Task[..., Any]) -> None:
    if not isinstance(task, Task):
        raise BadRequest(f"@app.cron and @app.every stand over @app.task, not over {task!r}")
    if not task.arguments.takes_none:
        raise BadRequest(f"task {task.name!r} is periodic: nobody gives it arguments")
    if len(task.name.encode()) > PERIODIC_NAME_BYTES_MAX:
        raise BadRequest(f"task {task.name!r} is periodic: its name is part of a key, and too long")


def _timeout_s(timeout: Duration | None) -> float | None:
    return None if timeout is None else float(duration(timeout, "timeout"))


def _keep_s(keep: Duration | None) -> float | None:
    seconds = None if keep is None else float(duration(keep, "keep_result"))
    if seconds == 0:
        raise BadRequest("keep_result is more than 0 seconds, or left out")
    return seconds


def _attempts(count: int) -> int:
    if count < 1:
        raise BadRequest(f"max_attempts is 1 or more, not {count!r}")
    return count


def _where(name: str, where: Where | None, *, is_async: bool) -> Where:
    if where is None:
        return "loop" if is_async else "thread"
    if is_async and where != "loop":
        raise BadRequest(f"task {name!r} is async: it runs on the loop, not in a {where}")
    return where
