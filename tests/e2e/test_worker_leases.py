"""Leases of a worker: kept alive, lost, too late."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from qclient.tasks import App, Why
from qclient.worker import current
from qclient.worker.heartbeat import Heartbeat
from tests.e2e.process import QServer
from tests.e2e.worker_here import until, working


@pytest.mark.hasty
async def test_a_task_whose_lease_ended_is_cancelled_and_knows_why(server: QServer) -> None:
    app = App(queue="q")
    seen: list[tuple[Why | None, bool]] = []

    @app.task
    async def nap() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.4)  # beats that find the same loss again leave this alone
            seen.append((current().cancelled_for, current().is_lost))
            raise

    async with working(app, server.url, lease_s=0.3) as (worker, client):
        await nap.put()
        await until(lambda: worker.running == 1)
        await client.purge("q")
        await until(lambda: worker.counts.lost == 1)
    assert seen == [(Why.LOST, True)]
    assert worker.stale == 0


async def test_a_stale_ack_is_counted_and_crashes_nothing(server: QServer) -> None:
    app = App(queue="q")

    purged = asyncio.Event()

    @app.task
    async def nap() -> None:
        await purged.wait()

    async with working(app, server.url, lease_s=30) as (worker, client):
        await nap.put()
        await until(lambda: worker.running == 1)
        await client.purge("q")
        purged.set()
        await until(lambda: worker.stale == 1)
        await nap.put()
        await until(lambda: worker.counts.done == 2)


@pytest.mark.hasty
async def test_leases_live_as_long_as_their_tasks(server: QServer) -> None:
    app = App(queue="q")

    @app.task
    async def nap() -> None:
        await asyncio.sleep(1.2)

    async with working(app, server.url, lease_s=0.3) as (worker, _):
        await asyncio.gather(*[nap.put() for _ in range(20)])
        await until(lambda: worker.counts.done == 20)
        assert (worker.counts.lost, worker.stale) == (0, 0)


@pytest.mark.slow
@pytest.mark.hasty
async def test_a_dead_loop_is_not_kept_alive(
    server: QServer, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(queue="q")
    begun: list[int] = []

    @app.task
    async def block() -> None:
        begun.append(current().message.losses)
        if not current().message.losses:
            time.sleep(1.2)  # noqa: ASYNC251  the point

    settings = {"lease_s": 0.15, "blocked_s": 0.1, "blocked_s_max": 0.3}
    async with working(app, server.url, **settings) as (worker, _):
        await block.put()
        await until(lambda: len(begun) == 2)
        await until(lambda: worker.running == 0)
        assert (begun, worker.stale) == ([0, 1], 1)
    assert "leases are renewed no more" in caplog.text


async def test_the_heartbeat_names_what_is_lost_among_many(server: QServer) -> None:
    app = App(queue="q")

    @app.task(queue="a")
    async def stays() -> None:
        await asyncio.sleep(60)

    @app.task(queue="b")
    async def goes() -> None:
        await asyncio.sleep(60)

    async with working(app, server.url) as (worker, client):
        await stays.put_many(stays.call() for _ in range(50))
        await goes.put_many(goes.call() for _ in range(7))
        await until(lambda: worker.running == 57)
        await client.purge("b")
        await until(lambda: worker.counts.lost == 7)
        await asyncio.sleep(0.3)
        assert (worker.counts.lost, worker.running) == (7, 50)


def test_the_heartbeat_ends_last(server: QServer, monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(queue="q")
    order: list[str] = []

    @app.task
    async def nap() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            order.append("task ended")

    stop = Heartbeat.stop

    def noting(self: Heartbeat) -> None:
        order.append("heartbeat ended")
        stop(self)

    monkeypatch.setattr(Heartbeat, "stop", noting)

    async def main() -> None:
        async with working(app, server.url) as (worker, _):
            await nap.put()
            await until(lambda: worker.running == 1)

    asyncio.run(main())
    assert order == ["task ended", "heartbeat ended"]


@pytest.mark.slow
async def test_a_server_that_is_gone_for_a_while_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "qclient.worker")
    app = App(queue="q")

    @app.task
    async def work() -> None: ...

    with ExitStack() as stack:  # a server is there until the worker has ended
        first = stack.enter_context(QServer(tmp_path / "data"))
        async with working(app, first.url, blocked_s=0.1) as (worker, _):
            await work.put()
            await until(lambda: worker.counts.done == 1)
            await asyncio.sleep(1)  # the heartbeat has a connection
            first.kill()
            await until(lambda: "the heartbeat has no connection" in caplog.text)
            await asyncio.sleep(0.3)  # beats go on
            stack.enter_context(QServer(tmp_path / "data", port=first.port))
            await until(lambda: "the heartbeat is connected again" in caplog.text)
            await work.put()
            await until(lambda: worker.counts.done == 2)
    assert caplog.text.count("the heartbeat has no connection") == 1


async def test_a_worker_that_starts_says_which_attempts_its_queue_would_cut_short(
    server: QServer, caplog: pytest.LogCaptureFixture
) -> None:
    app = App(queue="q")

    @app.task(max_attempts=20)
    async def send() -> None: ...

    async with working(app, server.url) as (_, client):
        await until(lambda: "task send has max_attempts=20" in caplog.text)
        await client.queue("q", max_failures=20)
    caplog.clear()
    async with working(app, server.url) as (worker, _):
        await send.put()
        await until(lambda: worker.counts.done == 1)
    assert "max_attempts" not in caplog.text
