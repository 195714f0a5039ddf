"""Tasks that are run by whoever puts them: for tests, without a server and without a worker.

    with app.local() as ran:
        await sign_up("ada@example.com")            # puts `welcome`, which has run by now
    assert [run.kwargs for run in ran.of(welcome)] == [{"address": "ada@example.com"}]

What is put goes through JSON, the function's annotations and the App's own middleware, as it would
with a worker; a plain function runs in a thread.

    put ──► run at once ──► recorded
     ├── put by a task: run when that has ended, before the first put returns
     └── put_in, put_at: recorded; run by `await ran.run_delayed()`

A put never fails for what its task does, as with a server. So that no failure is overlooked, the
end of the block raises what tasks raised, unless it was opened with `may_fail=True`.
"""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import AsyncExitStack, ExitStack, suppress
from contextvars import ContextVar
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from qclient.errors import BadJson, NotFound
from qclient.message import Message, anything
from qclient.middleware import compose
from qclient.reports import Outcome, Put
from qclient.tasks.control import Reject, Release
from qclient.tasks.envelope import arrived
from qclient.tasks.job import State
from qclient.tasks.task import Task
from qclient.words import Duration, body, fields
from qclient.worker.delivery import Delivery, running
from qclient.worker.isolation import Isolated
from qclient.worker.outcome import reason

if TYPE_CHECKING:
    from qclient.tasks.app import App

RUNS_MAX: Final = 1000
"""Tasks that one put may set off: tasks that put each other without end are a fault of theirs."""

_WORDS: Final = {
    State.WAITING: "ready",
    State.RUNNING: "leased",
    State.DONE: "done",
    State.DEAD: "dead",
}


class LocalRun(msgspec.Struct, eq=False):
    """A task that was put here.

    Attributes:
        id: of its message.
        name: the task's.
        args: by position, as the function got them.
        kwargs: by name, as the function got them.
        queue: where it was put.
        state: waiting (until `run_delayed`), running, done or dead.
        result: what the function returned.
        error: what it raised at the last attempt.
        attempts: how often it ran.
        is_delayed: it was put for later.
        info: `delay`, `at`, `key`, `trace`, `priority` … as they were put.
        raw: its message.
        progress: what it last said of it, as JSON.
        kept: its result as JSON, where the task keeps it.
    """

    id: int
    name: str
    queue: str
    raw: bytes
    info: dict[str, str]
    is_delayed: bool = False
    args: Any = ()
    kwargs: Any = {}
    state: State = State.WAITING
    result: Any = None
    error: BaseException | None = None
    attempts: int = 0
    progress: bytes | None = None
    kept: bytes | None = None

    def __repr__(self) -> str:
        said = self.result if self.error is None else repr(self.error)
        return f"<{self.name} {self.args} {self.kwargs}: {self.state}, {said}>"


class Line:
    """What the tasks that one put has set off have put."""

    def __init__(self) -> None:
        self.waiting: deque[LocalRun] = deque()
        self.count = 0
        self.is_open = True


_line: ContextVar[Line | None] = ContextVar("qclient_local_line", default=None)


class LocalRuns:
    """Runs and records an App's tasks within its block. Made by `App.local`.

    It is a sequence of all that was put, in order. As `async with` it enters the App's lifespan
    too.

    Attributes:
        loop: where the last task ran.
    """

    def __init__(self, app: "App", *, retries: bool, threads: bool, may_fail: bool) -> None:
        self.loop: asyncio.AbstractEventLoop
        self._app: Final = app
        self._retries: Final = retries
        self._threads: Final = threads
        self._may_fail: Final = may_fail
        self._runs: list[LocalRun] = []
        self._dedup: dict[tuple[str, str], int] = {}
        self._run_one: Final = compose(app.middleware or (), self._call)
        self._bound: Final = ExitStack()
        self._lifespan: Final = AsyncExitStack()

    # ── what tests look at ──

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[LocalRun]:
        return iter(self._runs)

    def __getitem__(self, at: int) -> LocalRun:
        return self._runs[at]

    def of(self, task: Task[..., Any] | str) -> list[LocalRun]:
        """What was put of one task."""
        name = task if isinstance(task, str) else task.name
        return [run for run in self._runs if run.name == name]

    @property
    def delayed(self) -> list[LocalRun]:
        """What was put for later, and has not run."""
        return [run for run in self._runs if run.state == State.WAITING]

    @property
    def failures(self) -> list[LocalRun]:
        """What is dead."""
        return [run for run in self._runs if run.state == State.DEAD]

    async def run_delayed(self) -> list[LocalRun]:
        """Run what was put for later, as if its time had come; what that puts for later stays."""
        due = self.delayed
        for run in due:
            await self._run_with_all(run)
        return due

    # ── its block ──

    def __enter__(self) -> Self:
        self._bound.enter_context(self._app.bound(self))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bound.close()
        errors = [run.error for run in self.failures if isinstance(run.error, Exception)]
        if error is None and errors and not self._may_fail:
            raise ExceptionGroup(f"{len(errors)} of {len(self)} tasks failed", errors)

    async def __aenter__(self) -> Self:
        self.__enter__()
        if self._app.lifespan is not None:
            await self._lifespan.enter_async_context(self._app.lifespan())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            await self._lifespan.aclose()
        finally:
            self.__exit__(kind, error, trace)

    # ── what tasks and jobs ask: see `Outlet` ──

    async def put_with(self, head: bytes, item: object, dedup: str | None = None) -> Put:
        """Run it, or leave it for when the task that puts it has ended."""
        _, queue, options = head.split(b" ", 2)
        info, _ = fields(options)
        if dedup is not None:
            known = self._dedup.setdefault((queue.decode(), dedup), len(self._runs) + 1)
            if known <= len(self._runs):
                return Put(known, is_duplicate=True)
        run = self._recorded(queue.decode(), item, info)
        if not run.is_delayed:
            await self._run_with_all(run)
        return Put(run.id)

    async def put_many(self, queue: str, bodies: Iterable[object], **options: Any) -> list[int]:
        """`put_with` for each."""
        info = {name: str(value) for name, value in options.items() if value is not None}
        runs = [self._recorded(queue, each, info) for each in bodies]
        for run in runs:
            await self._run_with_all(run)
        return [run.id for run in runs]

    async def result(self, id: int, *, wait: Duration = 0) -> Outcome[Any]:  # noqa: A002
        """As RESULT answers; what was left for later is run for one that waits.

        Raises:
            NotFound: no such run, or it keeps no result.
        """
        if not 1 <= id <= len(self._runs):
            raise NotFound(f"message {id} is not there")
        run = self._runs[id - 1]
        if wait and run.state == State.WAITING and not run.is_delayed:
            await self._run(run)
        if run.state == State.DONE and run.kept is None:
            raise NotFound(f"message {id} is not there")
        info = {"deliveries": str(run.attempts)}
        if run.error is not None:
            info |= {"reason": reason(run.error), "failures": str(run.attempts)}
        if run.progress is not None:
            info["progress"] = run.progress.decode()
        state = "delayed" if run.state == State.WAITING and run.is_delayed else _WORDS[run.state]
        return Outcome(id, state, run.kept or b"null", info)

    # ── what a delivery asks: see `progress.Teller` ──

    def report(self, message: Message[Any], progress: bytes) -> None:
        """Note how far a run is."""
        self._runs[message.id - 1].progress = progress

    # ── leaves ──

    def _recorded(self, queue: str, item: object, info: dict[str, str]) -> LocalRun:
        raw = body(item)
        is_delayed = "delay" in info or "at" in info
        call = arrived(raw)
        run = LocalRun(len(self._runs) + 1, call.task, queue, raw, info, is_delayed)
        with suppress(Reject):  # when it runs it fails
            run.args, run.kwargs = self._app.tasks[call.task].read(call)
        self._runs.append(run)
        return run

    async def _run_with_all(self, run: LocalRun) -> None:
        """Run this, and then what it and those behind it have put."""
        line = _line.get()
        if line is not None and line.is_open:
            line.waiting.append(run)
            return
        line = Line()
        line.waiting.append(run)
        token = _line.set(line)
        try:
            while line.waiting:
                line.count += 1
                if line.count > RUNS_MAX:
                    raise RuntimeError(
                        f"one put has set off {RUNS_MAX} tasks: do they put each other for ever?"
                    )
                await self._run(line.waiting.popleft())
        finally:
            line.is_open = False
            _line.reset(token)

    async def _run(self, run: LocalRun) -> None:
        """Run it to its end; again after a failure, where that is wanted."""
        if run.state != State.WAITING:  # for its result, already
            return
        self.loop = asyncio.get_running_loop()
        task = self._app.tasks[run.name]
        run.state = State.RUNNING
        attempts_max = task.rules.max_attempts if self._retries else 1
        while run.state == State.RUNNING:
            run.attempts += 1
            try:
                run.result = await self._attempt(run, task)
                run.kept = None if task.rules.keep_s is None else body(run.result)
            except Release:
                run.state, run.is_delayed = State.WAITING, True
            except (Exception, SystemExit) as error:  # noqa: BLE001  it is the test's to look at
                run.error = error.__cause__ or error if isinstance(error, Reject) else error
                is_last = isinstance(error, Reject | BadJson) or run.attempts >= attempts_max
                run.state = State.DEAD if is_last else State.RUNNING
            else:
                run.state, run.error = State.DONE, None

    async def _attempt(self, run: LocalRun, task: Task[..., Any]) -> Any:
        failures = run.attempts - 1
        key, trace = run.info.get("key"), run.info.get("trace")
        message: Message[Any] = Message(
            f"{run.id}.{run.attempts}",
            run.queue,
            run.raw,
            anything,
            run.attempts,
            failures,
            key=key,
            trace=trace,
            _settler=self,
        )
        call = arrived(run.raw)
        args, kwargs = task.read(call)
        delivery = Delivery(message, task, args, kwargs, call.due_ms)
        delivery.arrived_at = delivery.began_at = time.monotonic()
        try:
            return await Isolated(self._current(delivery))
        finally:
            if delivery.reporter is not None:
                delivery.reporter.close()

    async def _current(self, delivery: Delivery) -> Any:
        running.set(delivery)
        return await self._run_one(delivery)

    async def _call(self, delivery: Delivery) -> Any:
        """The innermost part: the function itself."""
        function = partial(delivery.task.function, *delivery.args, **delivery.kwargs)
        if delivery.task.is_async:
            return await function()
        return await asyncio.to_thread(function) if self._threads else function()
