"""A worker and a real server: what tasks, middleware and settings do together."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qclient import Backoff, Client, connect
from qclient.tasks import App, Job, Reject, Retry
from qclient.worker import Settings, Worker, current
from tests.e2e.process import PATIENCE_S, QServer
from tests.e2e.worker_here import until, working
from tests.e2e.worker_process import Notes, WorkerProcess

SOON = Backoff(first_s=0.01, max_s=0.01)


async def reason_of(client: Client, job: Job[Any]) -> tuple[str, str]:
    found = await client.peek(job.id)
    return found.state, (found.reason or "").split("\n")[0]


async def test_failures_are_retried_and_explain_themselves_in_the_end(server: QServer) -> None:
    app = App(queue="q")
    attempts: list[int] = []

    @app.task(max_attempts=3, backoff=SOON)
    async def fail() -> None:
        attempts.append(current().attempt)
        raise ValueError("out of paper")

    async with working(app, server.url) as (worker, client):
        job = await fail.put()
        await until(lambda: worker.counts.dead == 1)
        await client.ping()
        await until(lambda: worker.counts.dead == 1 and worker.running == 0)
        found = await client.peek(job.id)
        assert (found.state, found.failures, found.losses) == ("dead", 3, 0)
        first, *lines = (found.reason or "").split("\n")
        assert first == "ValueError: out of paper"
        assert any('raise ValueError("out of paper")' in line for line in lines)
        assert lines[-1] == "failed 3 of 3 times"
    assert attempts == [1, 2, 3]


async def test_retry_and_reject_do_what_they_say(server: QServer) -> None:
    app = App(queue="q")

    @app.task
    async def later() -> None:
        if current().attempt == 1:
            raise Retry("not yet", after=0.2)

    @app.task
    async def never() -> None:
        raise Reject("no such user")

    async with working(app, server.url) as (worker, client):
        began_at = time.monotonic()
        await later.put()
        rejected = await never.put()
        await until(lambda: worker.counts.done == 1)
        assert time.monotonic() - began_at >= 0.2
        assert (await reason_of(client, rejected)) == ("dead", "no such user")


async def test_a_message_typed_by_anyone_runs_a_task_and_what_is_none_is_explained(
    server: QServer,
) -> None:
    app = App(queue="q")
    got: list[tuple[int, str]] = []

    @app.task
    async def send(user_id: int, *, subject: str = "hello") -> None:
        got.append((user_id, subject))

    async with working(app, server.url) as (worker, client):
        server.ask(
            b'PUT q {"task":"send","args":[3]}\n'
            b'PUT q {"task":"send","kwargs":{"user_id":4,"subject":"x"}}\n'
            b'PUT q {"task":"sned"}\n'
            b'PUT q {"task":"send","args":["3"]}\n'
        )
        await until(lambda: worker.counts.done == 2 and worker.counts.dead == 2)
        await until(lambda: worker.running == 0)
        dead = [message.reason async for message in client.list("q", state="dead")]
    assert sorted(got) == [(3, "hello"), (4, "x")]
    assert dead == ["no task 'sned' here", "bad argument user_id: Expected `int`, got `str`"]


async def test_plain_functions_run_in_threads_and_are_timed_out(server: QServer) -> None:
    app = App(queue="q")
    seen: list[tuple[int, bool]] = []
    ended = threading.Event()

    @app.task
    def plain() -> None:
        is_main = threading.current_thread() is threading.main_thread()
        seen.append((current().id, is_main))

    @app.task(timeout=0.5, max_attempts=1)
    def endless() -> None:
        try:
            while True:
                time.sleep(0.001)
        finally:
            ended.set()

    async with working(app, server.url) as (worker, client):
        job = await plain.put()
        slow = await endless.put()
        await until(lambda: (worker.counts.done, worker.counts.dead) == (1, 1))
        assert await asyncio.to_thread(ended.wait, PATIENCE_S)
        state, first = await reason_of(client, slow)
        assert (state, first.split(":")[0]) == ("dead", "TimeoutError")
    assert seen == [(job.id, False)]


async def test_a_burst_ends_when_all_is_done_also_what_tasks_put(server: QServer) -> None:
    app = App(queue="q")
    done: list[int] = []

    @app.task
    async def count(n: int) -> None:
        done.append(n)
        if n < 5:
            await count.put(n + 1)

    async with app.connect(server.url):
        await count.put(1)
    worker = Worker(app, server.url, Settings(burst=True))
    await worker.run()
    assert (done, worker.counts.done) == ([1, 2, 3, 4, 5], 5)


async def test_the_lifespan_is_open_while_tasks_run_and_no_longer(server: QServer) -> None:
    said: list[str] = []

    @asynccontextmanager
    async def lifespan() -> AsyncIterator[None]:
        said.append("open")
        yield
        said.append("closed")

    app = App(queue="q", lifespan=lifespan)

    @app.task
    async def work() -> None:
        said.append("work")

    async with app.connect(server.url):
        await work.put()
    await Worker(app, server.url, Settings(burst=True)).run()
    assert said == ["open", "work", "closed"]


async def test_a_worker_that_is_well_says_so_in_a_file(server: QServer, tmp_path: Path) -> None:
    app = App(queue="q")
    path = tmp_path / "well"

    @app.task
    async def work() -> None: ...

    async with working(app, server.url, health_file=str(path)) as (_, _):
        await until(path.exists)


async def test_its_session_is_seen_and_gone_when_it_ends(server: QServer) -> None:
    app = App("shop", queue="q")

    @app.task
    async def nap() -> None:
        await asyncio.sleep(60)

    async with working(app, server.url) as (worker, client):
        await nap.put()
        await until(lambda: worker.running == 1)
        (found,) = [message async for message in client.list("q")]
        assert found.info["session"] == worker.session
        assert worker.session.startswith("shop:")
    async with connect(server.url) as client:
        (found,) = [message async for message in client.list("q")]
        assert (found.state, found.failures, found.losses) == ("ready", 0, 0)


def test_a_task_in_a_process_may_crash_and_the_worker_lives(
    server: QServer, tmp_path: Path
) -> None:
    notes = Notes(tmp_path / "notes")
    server.ask(
        b'PUT q {"task":"crash","args":[1]}\n'
        b'PUT q {"task":"child","args":[2]}\n'
        b'PUT q {"task":"plain","args":[3]}\n'
    )
    with WorkerProcess(server.url, notes, "--burst") as worker:
        code, _ = worker.wait()
    assert code == 0
    assert sorted(note.n for note in notes.read("end")) == [2, 3]
    assert b"ChildDied: its process ended with exit code -9" in server.ask(b"LIST q state=dead\n")


async def test_a_fault_of_the_worker_itself_ends_it_loudly(
    server: QServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App(queue="q")

    @app.task
    async def work() -> None: ...

    async with app.connect(server.url):
        await work.put()

    def broken(*_: object) -> None:
        raise AssertionError("broken")

    monkeypatch.setattr("qclient.worker.outcome.Outcomes.finish", broken)
    with pytest.raises(AssertionError, match="broken"):
        await Worker(app, server.url, Settings(session_grace_s=1)).run()


async def test_a_worker_that_waits_for_its_server_can_be_stopped_and_finds_it_when_it_comes(
    tmp_path: Path,
) -> None:
    app = App("näme with spaces", queue="q")

    @app.task
    async def work() -> None: ...

    with QServer(tmp_path / "data") as first:
        url, port = first.url, first.port
        first.stop()
    alone = Worker(app, url)
    run = asyncio.create_task(alone.run())
    await asyncio.sleep(0.1)
    alone.stop()
    async with asyncio.timeout(PATIENCE_S):
        await run
    run = asyncio.create_task(Worker(app, url, Settings(burst=True)).run())
    await asyncio.sleep(0.1)
    with QServer(tmp_path / "data", port=port) as second:
        assert second.ask(b"LIST\n") == b"OK 0\n"
        async with asyncio.timeout(PATIENCE_S):
            await run
