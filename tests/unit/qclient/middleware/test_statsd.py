"""Metrics for statsd, through its own library and a real socket."""

import socket
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from statsd import StatsClient
from structlog.testing import capture_logs

from qclient.middleware import Middleware, compose, standard
from qclient.middleware.depths import reporting_depths
from qclient.middleware.statsd import FLUSH_S, TIMINGS_MAX, Statsd
from qclient.tasks import Reject, Release, Why
from qclient.tasks.putting import Putting
from tests.unit.qclient.client_fakes import connected, passes, until, virtual
from tests.unit.qclient.middleware.chains import TIME, never, nothing, raising, run
from tests.unit.qclient.worker.fakes import delivery, task_of


class Sink:
    """Where metrics arrive."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(5)
        self.client = StatsClient("127.0.0.1", self.socket.getsockname()[1], prefix="shop")

    def read(self) -> list[str]:
        """The lines of the next datagram."""
        return sorted(self.socket.recv(65536).decode().split("\n"))

    @property
    def is_empty(self) -> bool:
        self.socket.setblocking(False)
        try:
            self.socket.recv(65536, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        finally:
            self.socket.settimeout(5)
        return False


@pytest.fixture
def sink() -> Iterator[Sink]:
    made = Sink()
    yield made
    made.client.close()
    made.socket.close()


def amounts(lines: list[str]) -> dict[str, str]:
    """What is in some lines, without timings' numbers."""
    pairs = [line.split(":") for line in lines]
    return {name: "ms" if text.endswith("|ms") else text for name, text in pairs}


def test_runs_are_counted_by_how_they_ended_and_sent_together(sink: Sink) -> None:
    metrics = Statsd(sink.client)
    wraps: list[Middleware] = [metrics, *standard()]

    async def main() -> None:
        for failures in (0, 1):
            await run(wraps, delivery(failures=failures))
        await run(wraps, delivery(failures=2), raising(ValueError()))
        await run(wraps, delivery(), raising(Reject()))
        await run(wraps, delivery(), raising(Release()))
        await run(wraps, delivery(), never, Why.LOST)
        metrics.flush()

    with capture_logs():
        virtual(main())
    assert amounts(sink.read()) == {
        "shop.tasks.nothing.done": "2|c",
        "shop.tasks.nothing.retries": "2|c",
        "shop.tasks.nothing.failed": "1|c",
        "shop.tasks.nothing.dead": "1|c",
        "shop.tasks.nothing.released": "1|c",
        "shop.tasks.nothing.lost": "1|c",
        "shop.tasks.nothing.duration": "ms",
    }


def test_durations_and_latencies_are_in_milliseconds(sink: Sink, time_stands: None) -> None:
    given = delivery(1, task_of("mail:send.now"))
    given.began_at = TIME.monotonic() - 2
    given.due_ms = (TIME.time() - 2 - 40) * 1000

    async def main() -> None:
        metrics = Statsd(sink.client)
        await compose([metrics], lambda _: nothing())(given)
        metrics.flush()

    virtual(main())
    said = dict(line.split(":") for line in sink.read())
    assert float(said["shop.tasks.mail_send_now.duration"][:-3]) == pytest.approx(2000)
    assert float(said["shop.tasks.mail_send_now.latency"][:-3]) == pytest.approx(40_000)


def test_what_was_collected_leaves_after_a_moment_by_itself(sink: Sink) -> None:
    async def main() -> None:
        chain = compose([Statsd(sink.client)], lambda _: nothing())
        for _ in range(2):
            await chain(delivery())
        await passes(FLUSH_S * 0.9)
        assert sink.is_empty
        await passes(FLUSH_S * 0.2)
        assert amounts(sink.read())["shop.tasks.nothing.done"] == "2|c"
        await passes(FLUSH_S * 2)
        assert sink.is_empty
        await chain(delivery())
        await passes(FLUSH_S * 1.1)
        assert amounts(sink.read())["shop.tasks.nothing.done"] == "1|c"

    virtual(main())


def test_many_timings_do_not_wait(sink: Sink) -> None:
    async def main() -> None:
        chain = compose([Statsd(sink.client)], lambda _: nothing())
        for _ in range(TIMINGS_MAX - 1):
            await chain(delivery())
        assert sink.is_empty
        await chain(delivery())

    virtual(main())
    lines: list[str] = []
    while not sink.is_empty:
        lines += sink.read()
    assert len(lines) == TIMINGS_MAX + 1
    assert f"shop.tasks.nothing.done:{TIMINGS_MAX}|c" in lines


def test_after_many_timings_the_next_ones_wait_again(sink: Sink) -> None:
    async def main() -> None:
        chain = compose([Statsd(sink.client)], lambda _: nothing())
        for _ in range(TIMINGS_MAX):
            await chain(delivery())
        while not sink.is_empty:
            sink.read()
        await chain(delivery())
        assert sink.is_empty

    virtual(main())


def test_producers_say_when_a_message_could_begin(sink: Sink) -> None:
    putting = Putting(task_of())
    Statsd(sink.client).putting(putting)
    assert putting.is_timed


A_QUEUE = b"* %b ready=%d leased=2 delayed=3 dead=4 done=0 bytes=9 oldest=1.5\n"
GAUGES = {"leased": "2|g", "delayed": "3|g", "dead": "4|g", "oldest": "1.5|g"}


def gauges(queue: str, ready: int) -> dict[str, str]:
    return {f"shop.queues.{queue}.{name}": text for name, text in GAUGES.items()} | {
        f"shop.queues.{queue}.ready": f"{ready}|g"
    }


def test_depths_are_reported_at_once_and_again_and_again(sink: Sink) -> None:
    async def main() -> None:
        async with connected() as (server, client):
            for ready in (10, 20, 30):
                server.say("LIST", A_QUEUE % (b"q:a", ready) + A_QUEUE % (b"x", 7) + b"OK 2\n")
            async with reporting_depths(client, sink.client, ["q:a"], every=60):
                await until(lambda: not sink.is_empty)
                assert amounts(sink.read()) == gauges("q_a", 10)
                await passes(50)
                assert sink.is_empty
                await passes(11)
                await until(lambda: not sink.is_empty)
                assert amounts(sink.read()) == gauges("q_a", 20)
            await passes(200)
            assert sink.is_empty

    virtual(main())


def test_a_queue_that_is_not_there_is_empty_and_only_what_is_needed_is_read(sink: Sink) -> None:
    async def main() -> list[str]:
        async with connected() as (server, client):
            server.say("LIST", A_QUEUE % (b"a", 1) + b"OK 1 next=a\n", b"OK 0 next=m\n")
            async with reporting_depths(client, sink.client, ["a", "gone"], every=60):
                await until(lambda: not sink.is_empty)
            return server.sent("LIST")

    assert virtual(main()) == ["LIST count=1000", "LIST count=1000 after=a"]
    said = amounts(sink.read())
    assert said["shop.queues.a.ready"] == "1|g"
    assert said["shop.queues.gone.ready"] == said["shop.queues.gone.oldest"] == "0|g"


def test_depths_that_can_not_be_read_are_said_and_tried_again(
    sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("LIST", b"ERR limit no\n", A_QUEUE % (b"a", 1) + b"OK 1\n")
            async with reporting_depths(client, sink.client, ["a"], every=60):
                await until(lambda: caplog.messages)
                await passes(61)
                await until(lambda: not sink.is_empty)

    virtual(main())
    assert caplog.messages == ["the depths of queues could not be read: no [limit]"]


def test_a_worker_reports_the_queues_it_takes_from_and_sends_what_is_left_at_its_end(
    sink: Sink,
) -> None:
    async def main() -> None:
        async with connected() as (server, client):
            server.say("LIST", A_QUEUE % (b"a", 1) + b"OK 1\n")
            worker: Any = SimpleNamespace(weights={"a": 0}, app=SimpleNamespace(client=client))
            metrics = Statsd(sink.client)
            async with metrics.lifespan(worker):
                await until(lambda: not sink.is_empty)
                assert amounts(sink.read()) == gauges("a", 1)
                await compose([metrics], lambda _: nothing())(delivery())
            assert amounts(sink.read())["shop.tasks.nothing.done"] == "1|c"
            async with Statsd(sink.client, queues=()).lifespan(worker):
                await passes(60)
            assert len(server.sent("LIST")) == 1

    virtual(main())
