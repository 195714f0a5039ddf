"""A worker and a real server: middleware that measures, traces and limits."""

import asyncio
import re
import socket
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext
from prometheus_client import CollectorRegistry
from statsd import StatsClient

from qclient import Backoff, BadRequest, Client
from qclient.middleware import standard
from qclient.middleware.concurrency_limit import ConcurrencyLimit, Limit
from qclient.middleware.prometheus import Prometheus
from qclient.middleware.rate_limit import RateLimit
from qclient.middleware.statsd import Statsd
from qclient.middleware.tracing import Tracing
from qclient.tasks import App
from qclient.worker import Settings, Worker
from tests.e2e.process import PATIENCE_S, QServer


@asynccontextmanager
async def working(app: App, url: str, **settings: Any) -> AsyncIterator[tuple[Worker, Client]]:
    """A worker in this process, and a client that looks on and puts."""
    worker = Worker(app, url, Settings(**settings))
    async with app.connect(url) as client:
        run = asyncio.create_task(worker.run())
        try:
            yield worker, client
        finally:
            worker.stop()
            async with asyncio.timeout(PATIENCE_S):
                await run


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  it is not ours to ring
            await asyncio.sleep(0.005)


def scrape(port: int | None) -> dict[str, float]:
    """Every sample that is served."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as reply:
        lines = [line.decode() for line in reply if not line.startswith(b"#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def span_id(context: SpanContext | None) -> int:
    assert context is not None
    return context.span_id


@pytest.mark.slow
async def test_what_is_put_is_measured_and_traced_to_its_end(server: QServer) -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    prometheus = Prometheus(port=0, registry=CollectorRegistry())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        sink.setblocking(False)
        sender = StatsClient("127.0.0.1", sink.getsockname()[1])
        statsd = Statsd(sender, queues=["mail", "later"], every=60)
        app = App(middleware=[prometheus, statsd, Tracing(provider), *standard()])

        @app.task(queue="mail", backoff=Backoff(first_s=60, max_s=60, random=lambda: 1.0))
        async def send(n: int) -> None:
            await asyncio.sleep(0.02)
            if n == 3:
                raise ValueError

        async with app.connect(server.url):
            await send.with_options(queue="later").put(9)
            await send.put(1)
            await send.put_in(0.2, 2)
            await send.put_many([send.call(3)])
        await asyncio.sleep(0.4)
        async with working(app, server.url, queues=("mail",)) as (worker, _):
            await until(lambda: worker.counts.done == 2 and worker.counts.failed == 1)
            samples = await asyncio.to_thread(scrape, prometheus.port)
        said = []
        while True:
            try:
                said += sink.recv(65536).decode().split("\n")
            except BlockingIOError:
                break
        sender.close()

    assert samples['qclient_task_runs_total{ended="done",task="send"}'] == 2
    assert samples['qclient_task_runs_total{ended="failed",task="send"}'] == 1
    assert samples['qclient_task_seconds_count{task="send"}'] == 3
    assert samples['qclient_task_seconds_sum{task="send"}'] >= 0.06
    assert samples['qclient_task_latency_seconds_count{task="send"}'] == 3
    waited_s = samples['qclient_task_latency_seconds_sum{task="send"}']
    assert 0.4 + 0.2 + 0.4 <= waited_s < 60
    assert {"tasks.send.done:2|c", "tasks.send.failed:1|c"} <= set(said)
    assert sum(bool(re.fullmatch(r"tasks\.send\.latency:[\d.]+\|ms", line)) for line in said) == 3
    assert "queues.later.ready:1|g" in said
    spans = exporter.get_finished_spans()
    puts = [span for span in spans if span.name == "put send"]
    runs = [span for span in spans if span.name == "run send"]
    assert len(puts) == 4
    assert {span_id(span.parent) for span in runs} == {span_id(span.context) for span in puts[1:]}


@pytest.mark.slow
@pytest.mark.hasty
async def test_a_rate_holds_and_what_has_to_wait_is_neither_failed_nor_lost(
    server: QServer,
) -> None:
    limit = RateLimit({"charge": 10}, hold=0.15)
    app = App(queue="q", middleware=[limit, *standard()])
    began: list[float] = []
    others: list[float] = []

    @app.task
    async def charge() -> None:
        began.append(time.monotonic())

    @app.task(queue="other")
    async def other() -> None:
        others.append(time.monotonic())

    async with working(app, server.url, concurrency=5) as (worker, client):
        await client.queue("q", retain=60)
        put_at = time.monotonic()
        await charge.put_many(charge.call() for _ in range(10))
        await other.put()
        await until(lambda: len(began) == 10)
        await until(lambda: worker.counts.done == 11)
        counts = worker.counts
        await client.settling.drain()
        await until(lambda: worker.running == 0)
    async with app.connect(server.url) as client:
        stored = [message async for message in client.list("q")]
    assert began[-1] - began[0] >= 0.85
    assert others[0] < began[4]
    assert (counts.failed, counts.dead, counts.lost) == (0, 0, 0)
    assert {(message.state, message.failures, message.losses) for message in stored} == {
        ("done", 0, 0)
    }
    assert 0 < counts.released == sum(message.deliveries - 1 for message in stored)
    assert counts.released <= 10 * (2 + (began[-1] - put_at) / 0.075)


@pytest.mark.slow
@pytest.mark.hasty
async def test_a_backlog_over_its_rate_leaves_the_places_to_others(server: QServer) -> None:
    app = App(queue="a", middleware=[RateLimit({"charge": 2}), *standard()])
    ran: list[str] = []

    @app.task
    async def charge() -> None:
        ran.append("charge")

    @app.task(queue="b")
    async def other() -> None:
        ran.append("other")

    async with app.connect(server.url):
        await charge.put_many(charge.call() for _ in range(500))
    async with working(app, server.url, concurrency=10) as (worker, _):
        await until(lambda: len(ran) == 2)
        await other.put_many(other.call() for _ in range(50))
        await until(lambda: ran.count("other") == 50)
        assert ran.count("charge") < 20
        assert (worker.counts.failed, worker.counts.lost, worker.counts.dead) == (0, 0, 0)


async def test_no_more_run_at_once_than_may_and_all_run_in_the_end(server: QServer) -> None:
    limits = ConcurrencyLimit({"sync": Limit(2, key="customer")}, hold=0.1)
    app = App(queue="q", middleware=[limits, *standard()])
    inside = {"a": 0, "b": 0}
    most = dict(inside)
    ended: list[str] = []

    @app.task
    def sync(customer: str) -> None:
        inside[customer] += 1
        most[customer] = max(most[customer], inside[customer])
        time.sleep(0.05)
        inside[customer] -= 1
        ended.append(customer)

    async with working(app, server.url, concurrency=20) as (worker, _):
        await sync.put_many(sync.call(customer) for customer in "aaaaaaaaab")
        await until(lambda: worker.counts.done == 10)
        assert (worker.counts.failed, worker.counts.lost) == (0, 0)
    assert most == {"a": 2, "b": 1}
    assert "b" in ended[:7]  # it was put behind all others


async def test_a_limit_that_limits_nothing_ends_the_worker_at_once(server: QServer) -> None:
    app = App(queue="q", middleware=[RateLimit({"sned": 1}), *standard()])

    @app.task
    async def send() -> None: ...

    with pytest.raises(BadRequest, match="no task 'sned'"):
        await Worker(app, server.url).run()


async def test_a_stop_gives_back_what_waits_for_its_turn(server: QServer) -> None:
    app = App(queue="q", middleware=[RateLimit({"send": 0.01}, hold=None), *standard()])

    @app.task
    async def send() -> None: ...

    async with working(app, server.url, grace_s=0.1) as (worker, client):
        await send.put_many(send.call() for _ in range(5))
        await until(lambda: worker.running == 4 and worker.counts.done == 1)
    assert (worker.counts.released, worker.counts.failed) == (4, 0)
    async with app.connect(server.url) as client:
        stored = [message async for message in client.list("q")]
    assert [(message.state, message.failures, message.losses) for message in stored] == [
        ("ready", 0, 0)
    ] * 4
