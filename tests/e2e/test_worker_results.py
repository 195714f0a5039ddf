"""Results, status and progress, with a worker and a real server."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from qclient import connect
from qclient import sync as qclient_sync
from qclient.tasks import App, Job, JobFailed, JobNotEnded, Progress, State, Status
from qclient.worker import Settings, Worker, current
from tests.e2e.process import PATIENCE_S, QServer


@asynccontextmanager
async def working(app: App, url: str) -> AsyncIterator[Worker]:
    worker = Worker(app, url, Settings(grace_s=0.1))
    async with app.connect(url):
        run = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            worker.stop()
            async with asyncio.timeout(PATIENCE_S):
                await run


@dataclass
class Point:
    x: int
    y: int


async def until(job: Job[Any], state: State) -> Status:
    async with asyncio.timeout(PATIENCE_S):
        while (status := await job.status()).state != state:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return status


async def test_results_of_async_and_plain_functions_come_back_as_annotated(server: QServer) -> None:
    app = App(queue="q")

    @app.task(keep_result=60)
    async def mirror(point: Point) -> Point:
        return Point(point.y, point.x)

    @app.task(keep_result=60)
    def count(words: list[str]) -> dict[str, int]:
        return {word: words.count(word) for word in words}

    async with working(app, server.url) as worker:
        job = await mirror.put(Point(1, 2))
        assert await job.result(timeout=PATIENCE_S) == Point(2, 1)
        assert await (await count.put(["a", "b", "a"])).result(timeout=PATIENCE_S) == {
            "a": 2,
            "b": 1,
        }
        assert (await job.status()).state == State.DONE
        jobs = await mirror.put_many([mirror.call(Point(n, 0)) for n in range(1000)])
        async with asyncio.timeout(PATIENCE_S):
            points = [await job.result() for job in jobs]
        assert points == [Point(0, n) for n in range(1000)]
        assert (worker.counts.done, worker.stale) == (1002, 0)


async def test_a_job_is_followed_from_its_put_to_its_end(server: QServer) -> None:
    app = App(queue="q")
    goes_on = asyncio.Event()

    @app.task(keep_result=60, max_attempts=2)
    async def convert() -> str:
        current().progress(0.4, "frames")
        await goes_on.wait()
        return "film"

    async with app.connect(server.url):
        job = await convert.put()
        assert await job.status() == Status(job.id, State.WAITING)
        with pytest.raises(JobNotEnded, match="is waiting"):
            await job.result(timeout=0.05)
        async with working(app, server.url):
            status = await until(job, State.RUNNING)
            while status.progress is None:
                status = await job.status()
            assert status == Status(job.id, State.RUNNING, Progress(0.4, "frames"))
            waiting = asyncio.create_task(job.result(timeout=PATIENCE_S))
            goes_on.set()
            assert await waiting == "film"
        assert await job.status() == Status(job.id, State.DONE, Progress(0.4, "frames"))


async def test_a_dead_job_says_why_and_one_that_keeps_nothing_is_gone(server: QServer) -> None:
    app = App(queue="q")

    @app.task(keep_result=60, max_attempts=1)
    async def fail() -> int:
        raise ValueError("out of paper")

    @app.task
    async def forget() -> None:
        pass

    @app.task(keep_result=60)
    async def odd() -> object:
        return object()

    async with working(app, server.url):
        failed = await fail.put()
        with pytest.raises(JobFailed, match="ValueError: out of paper") as raised:
            await failed.result(timeout=PATIENCE_S)
        status = await failed.status()
        assert (status.state, status.reason) == (State.DEAD, raised.value.reason)
        assert status.failures == 1
        await until(await forget.put(), State.GONE)
        with pytest.raises(JobFailed, match="its result can't be kept"):
            await (await odd.put()).result(timeout=PATIENCE_S)


async def test_a_result_outlives_the_server_s_end_and_is_found_by_its_number(
    tmp_path: Path,
) -> None:
    app = App(queue="q")

    @app.task(keep_result=60)
    async def double(n: int) -> int:
        return 2 * n

    with QServer(tmp_path / "data") as server:
        async with working(app, server.url):
            job = await double.put(21)
            await job.result(timeout=PATIENCE_S)
        server.kill()
    with QServer(tmp_path / "data") as server:
        async with app.connect(server.url):
            assert await double.job(job.id).result(timeout=PATIENCE_S) == 42
        with qclient_sync.connect(server.url) as client:
            assert job.read(client.result(job.id, wait=10)) == 42


async def test_a_tight_loop_in_a_thread_tells_little_and_the_last_of_it(server: QServer) -> None:
    app = App(queue="q")

    @app.task(keep_result=60)
    def work() -> int:
        said = 0
        ends_at = time.monotonic() + 0.7
        while time.monotonic() < ends_at:
            current().progress(0.5, str(said := said + 1))
        return said

    async with working(app, server.url):
        job = await work.put()
        said = await job.result(timeout=PATIENCE_S)
        assert (await job.status()).progress == Progress(0.5, str(said))
    journal = b"".join(path.read_bytes() for path in server.data.glob("journal-*.jsonl"))
    assert said > 100
    assert 2 <= journal.count(b'"op":"progress"') <= 4


async def test_a_result_is_kept_as_long_as_it_says_and_then_it_is_gone(server: QServer) -> None:
    app = App(queue="q")

    @app.task(keep_result=3)
    async def brief() -> int:
        return 3

    async with working(app, server.url), connect(server.url) as other:
        job = await brief.put()
        assert await job.result(timeout=PATIENCE_S) == 3
        await until(job, State.GONE)
        with app.bound(other):
            assert (await brief.job(job.id).status()).state == State.GONE
