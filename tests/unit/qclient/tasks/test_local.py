"""Tasks that are run by whoever puts them."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from qclient import BadJson, Closed, NotFound
from qclient.middleware import CallNext, standard
from qclient.tasks import App, JobFailed, Progress, Reject, Release, Retry, State
from qclient.tasks.local import RUNS_MAX
from qclient.worker import Delivery, current


async def test_a_put_has_run_when_it_returns_and_is_recorded() -> None:
    app = App(queue="q")

    @app.task
    async def send(user_id: int, *, at: datetime | None = None) -> str:
        return f"sent to {user_id}"

    noon = datetime(2027, 1, 31, 12, tzinfo=UTC)
    with app.local() as ran:
        job = await send.put(3, at=noon)
        assert (job.id, job.queue, job.is_duplicate) == (1, "q", False)
        [run] = ran
        assert (run.name, run.args, run.kwargs) == ("send", [3], {"at": noon})
        assert (run.state, run.result, run.error) == (State.DONE, "sent to 3", None)
        assert (run.id, run.queue, run.attempts) == (1, "q", 1)


async def test_plain_functions_run_in_a_thread_as_in_a_worker_or_here_where_that_is_asked() -> None:
    app = App()

    @app.task
    def where() -> tuple[int, str]:
        return threading.get_ident(), current().task.name

    here = threading.get_ident()
    with app.local() as ran:
        await where.put()
        thread, name = ran[0].result
        assert thread != here
        assert name == "where"
    with app.local(threads=False) as ran:
        await where.put()
        assert ran[0].result == (here, "where")


async def test_arguments_go_through_json_and_the_annotations() -> None:
    app = App()

    @app.task
    async def count(words: tuple[str, ...]) -> int:
        return len(words)

    with app.local(may_fail=True) as ran:
        await count.put(("a", "b"))
        await count.put([1])  # type: ignore[arg-type]
        with pytest.raises(BadJson):
            await count.put([object()])  # type: ignore[arg-type]
        with pytest.raises(TypeError):
            await count.put()  # type: ignore[call-arg]
    assert ran[0].args == [("a", "b")]
    assert len(ran) == 2
    assert (ran[1].state, ran[1].attempts) == (State.DEAD, 1)
    assert "bad argument words" in str(ran[1].error)


async def test_a_put_does_not_fail_for_its_task_but_the_end_of_the_block_does() -> None:
    app = App()

    @app.task
    async def fail(text: str) -> None:
        raise ValueError(text)

    with (  # noqa: PT012
        pytest.raises(ExceptionGroup, match="2 of 3 tasks failed") as failed,
        app.local() as ran,
    ):
        await fail.put("one")
        await fail.put("two")
        await fail.put_in(60, "three")
    assert [str(error) for error in failed.value.exceptions] == ["one", "two"]
    assert [run.state for run in ran] == [State.DEAD, State.DEAD, State.WAITING]
    assert ran.failures == list(ran)[:2]


async def test_the_end_of_the_block_is_silent_about_failures_that_were_expected() -> None:
    app = App()

    @app.task
    async def fail() -> None:
        raise ValueError("x")

    with app.local(may_fail=True) as ran:
        await fail.put()
    assert isinstance(ran[0].error, ValueError)


async def test_an_exception_of_the_test_is_not_hidden_behind_those_of_tasks() -> None:
    app = App()

    @app.task
    async def fail() -> None:
        raise ValueError("x")

    with pytest.raises(ZeroDivisionError), app.local():  # noqa: PT012
        await fail.put()
        raise ZeroDivisionError


@pytest.mark.parametrize("middleware", [None, standard()])
async def test_failures_are_retried_at_once_where_that_is_asked(middleware: Any) -> None:
    app = App(middleware=middleware)
    attempts: list[int] = []

    @app.task(max_attempts=3)
    async def third_time(limit: int) -> int:
        attempts.append(current().attempt)
        if current().attempt < limit:
            raise Retry("not yet", after=60)
        return current().attempt

    with app.local(retries=True, may_fail=True) as ran:
        await third_time.put(3)
        await third_time.put(4)
    assert attempts == [1, 2, 3, 1, 2, 3]
    assert (ran[0].state, ran[0].result, ran[0].error) == (State.DONE, 3, None)
    assert (ran[1].state, ran[1].attempts) == (State.DEAD, 3)
    assert isinstance(ran[1].error, Retry)


async def test_a_rejected_task_is_not_retried() -> None:
    app = App()

    @app.task
    async def never() -> None:
        raise Reject("no such user")

    with app.local(retries=True, may_fail=True) as ran:
        await never.put()
    assert (ran[0].state, ran[0].attempts, str(ran[0].error)) == (State.DEAD, 1, "no such user")


async def test_what_a_task_puts_runs_when_it_has_ended_and_before_the_first_put_returns() -> None:
    app = App()
    order: list[str] = []

    @app.task
    async def outer() -> None:
        await inner.put(1)
        await inner.put_many(inner.call(n) for n in (2, 3))
        order.append("outer")

    @app.task
    async def inner(n: int) -> None:
        order.append(f"inner {n}")

    with app.local() as ran:
        await outer.put()
        assert order == ["outer", "inner 1", "inner 2", "inner 3"]
        assert [run.name for run in ran.of(inner)] == ["inner"] * 3
        assert [run.name for run in ran.of("outer")] == ["outer"]


async def test_tasks_that_put_each_other_without_end_are_stopped() -> None:
    app = App()

    @app.task
    async def again() -> None:
        await again.put()

    with app.local() as ran:
        with pytest.raises(RuntimeError, match="for ever"):
            await again.put()
        assert len(ran.of(again)) == RUNS_MAX + 1


async def test_what_is_put_by_what_outlives_its_task_still_runs() -> None:
    app = App()
    later: list[asyncio.Task[Any]] = []

    @app.task
    async def outer() -> None:
        later.append(asyncio.create_task(behind()))

    async def behind() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await inner.put()

    @app.task
    async def inner() -> None:
        pass

    with app.local() as ran:
        await outer.put()
        await later[0]
        assert [run.state for run in ran] == [State.DONE, State.DONE]


async def test_what_is_put_for_later_waits_until_it_is_asked_for() -> None:
    app = App()

    @app.task
    async def remind(n: int) -> int:
        if n < 3:
            await remind.put_in(timedelta(days=1), n + 1)
        return n

    with app.local() as ran:
        await remind.put_in(60, 1)
        job = await remind.put_at(datetime(2030, 1, 1, tzinfo=UTC), 7)
        assert (await job.status()).is_delayed
        assert [run.info for run in ran.delayed] == [
            {"delay": "60"},
            {"at": "2030-01-01T00:00:00Z"},
        ]
        assert [run.args for run in ran.delayed] == [[1], [7]]
        assert [run.result for run in await ran.run_delayed()] == [1, 7]
        assert [run.args for run in ran.delayed] == [[2]]
        assert [run.result for run in await ran.run_delayed()] == [2]
        assert [run.result for run in await ran.run_delayed()] == [3]
        assert await ran.run_delayed() == []


async def test_a_dedup_key_stores_nothing_twice_and_other_options_are_noted() -> None:
    app = App(queue="q")

    @app.task
    async def send() -> str | None:
        return current().message.key

    with app.local() as ran:
        jobs = [
            await send.with_options(dedup="a", key="ada lovelace", priority=9).put(),
            await send.with_options(dedup="a").put(),
            await send.with_options(dedup="a", queue="other").put(),
        ]
        assert [(job.id, job.is_duplicate) for job in jobs] == [(1, False), (1, True), (2, False)]
        assert ran[0].info == {"key": "ada lovelace", "priority": "9"}
        assert ran[0].result == "ada lovelace"
        await send.with_options(key="k").put_many([send.call()])
        assert (ran[2].result, ran[2].queue) == ("k", "q")


async def test_jobs_tell_where_they_stand_and_what_came_of_them() -> None:
    app = App()

    @app.task(keep_result=60)
    def double(n: int) -> tuple[int, ...]:
        current().progress(0.25)
        current().progress(0.5, "half")
        return (n, n)

    @app.task(keep_result=60)
    async def fail() -> int:
        raise ValueError("no paper")

    @app.task
    async def forget() -> None:
        pass

    with app.local(may_fail=True):
        job = await double.put(2)
        assert await job.result(timeout=1) == (2, 2)
        status = await job.status()
        assert (status.state, status.progress) == (State.DONE, Progress(0.5, "half"))
        assert (await (await forget.put()).status()).state == State.GONE
        failed = await fail.put()
        assert (await failed.status()).failures == 1
        with pytest.raises(JobFailed, match="ValueError: no paper"):
            await failed.result()
        assert (await double.job(17).status()).state == State.GONE


async def test_a_result_that_a_task_waits_for_is_not_waited_for_in_vain() -> None:
    app = App()

    @app.task
    async def total(numbers: list[int]) -> int:
        jobs = await double.put_many(double.call(n) for n in numbers)
        assert (await jobs[0].status()).state == State.WAITING
        return sum([await job.result() for job in jobs])

    @app.task(keep_result=60)
    async def double(n: int) -> int:
        return 2 * n

    with app.local() as ran:
        await total.put([1, 2])
        assert ran[0].result == 6
        assert [run.attempts for run in ran] == [1, 1, 1]


async def test_a_result_that_is_no_json_fails_as_in_a_worker() -> None:
    app = App()

    @app.task(keep_result=60)
    async def odd() -> object:
        return object()

    with pytest.raises(ExceptionGroup), app.local(retries=True) as ran:
        await odd.put()
    assert (ran[0].state, ran[0].attempts) == (State.DEAD, 1)


async def test_middleware_wraps_each_run_and_what_it_gives_back_waits() -> None:
    seen: list[str] = []

    async def watch(call_next: CallNext, delivery: Delivery) -> Any:
        seen.append(f"{delivery.task.name} {delivery.message.receipt}")
        if delivery.args == [0]:
            raise Release("not now")
        return await call_next(delivery)

    app = App(middleware=[watch])

    @app.task
    async def step(n: int) -> int:
        return n

    with app.local() as ran:
        await step.put(1)
        await step.put(0)
        assert seen == ["step 1.1", "step 2.1"]
        assert [run.state for run in ran] == [State.DONE, State.WAITING]


async def test_as_async_with_the_app_s_lifespan_is_entered_and_left() -> None:
    words: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        words.append("opened")
        yield
        words.append("closed")

    app = App(lifespan=lifespan)

    @app.task
    async def use() -> None:
        words.append("used")

    async with app.local():
        await use.put()
    assert words == ["opened", "used", "closed"]


async def test_outside_of_its_block_an_app_is_as_it_was() -> None:
    app = App()

    @app.task
    async def nothing() -> None:
        pass

    with app.local() as ran:
        await nothing.put()
        with pytest.raises(Closed, match="there is no client"):
            _ = app.client
    with pytest.raises(Closed, match="not connected"):
        await nothing.put()
    with pytest.raises(NotFound):
        await ran.result(2)
    assert repr(ran[0]) == "<nothing () {}: done, None>"


def test_a_test_that_is_not_async_runs_what_is() -> None:
    app = App()

    @app.task
    async def add(a: int, b: int) -> int:
        return a + b

    with app.local() as ran:
        asyncio.run(_put(add))
        assert ran[0].result == 3


async def _put(add: Any) -> None:
    await add.put(1, 2)
