"""The asynchronous client against a real server."""

import asyncio
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

import qclient
from qclient import Client, Consumer, connect
from tests.e2e.process import PATIENCE_S, QServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QServer]:
    with QServer(tmp_path / "data") as running:
        yield running


@dataclass
class Job:
    """A body."""

    n: int


async def test_every_verb_does_what_it_says(server: QServer) -> None:
    async with connect(server.url, session="w", grace=5) as client:
        assert client.server.session == "w"
        put = await client.put("q", Job(1), key="k")
        assert await client.put("q", Job(1), dedup="d") != put
        assert (await client.put("q", Job(1), dedup="d")).is_duplicate
        one, two = await client.get("q", type=Job, count=5, lease=60)
        assert (one.body, one.key, one.deliveries) == (Job(1), "k", 1)
        assert (await client.touch_all(lease=90)).count == 2
        assert await one.touch(120)
        assert await one.ack()
        assert not await one.ack()
        assert await two.nack(dead=True, reason=ValueError("bad"))
        (dead,) = [row async for row in client.list("q", state="dead", type=Job)]
        assert (dead.body, dead.reason) == (Job(1), "ValueError: bad")
        assert await client.redrive("q", reason="Value*") == 1
        assert (await client.peek(dead.id)).state == "ready"
        assert (await client.queue("q", max_messages=1, lease=5)).lease == 5
        with pytest.raises(qclient.Full):
            await client.put("q", 1)
        with pytest.raises(qclient.NotFound):
            await client.peek(99)
        assert await client.pause("q")
        assert await client.get("q") == []
        assert await client.resume("q")
        (queue,) = [row async for row in client.queues()]
        assert (queue.name, queue.ready) == ("q", 1)
        assert await client.purge("q") == 1
        assert await client.drop("q") == 0
        assert (await client.stats())["messages"] == 0
        assert any(line.startswith("PUT") for line in await client.help())
        assert (await client.hello()).leases == 0


@pytest.mark.slow
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_cancelled_waiting_get_leaves_nothing_leased(
    server: QServer, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(cancel_waiting_gets(server))


async def cancel_waiting_gets(server: QServer) -> None:
    async with connect(server.url) as client:
        for n in range(20):  # sometimes before, sometimes behind the message
            get = asyncio.create_task(client.get("q", wait=60))
            await asyncio.sleep(0.005)
            put = asyncio.create_task(client.put("q", n))
            await asyncio.sleep(0.0003 * (n % 5))
            get.cancel()
            await put
            done = (await asyncio.gather(get, return_exceptions=True))[0]
            if not isinstance(done, BaseException):
                await client.ack(*done)
                continue
            (message,) = await client.get("q", wait=PATIENCE_S)
            assert message.deliveries <= 2
            await client.ack(message)


async def test_many_gets_wait_side_by_side(server: QServer) -> None:
    async with connect(server.url) as client:
        gets = [asyncio.create_task(client.get(f"q{n}", wait=30)) for n in range(20)]
        await asyncio.sleep(0.1)
        for n in reversed(range(20)):
            await client.put(f"q{n}", n)
            assert [each.body for each in await gets[n]] == [n]


async def test_puts_and_a_consumer_survive_a_server_that_is_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with QServer(data) as server:
        port = server.port
        async with connect(server.url, session="w", grace=10, connect_for=PATIENCE_S) as client:
            seen: Counter[int] = Counter()
            put: list[int] = []
            consumer = asyncio.create_task(consume(client, seen, 600))
            producer = asyncio.create_task(produce(client, put, 600))
            await wait_until(lambda: len(put) > 200)
            server.send_signal(signal.SIGKILL)
            await asyncio.to_thread(server.wait)
            with QServer(data, port=port):
                await asyncio.wait_for(producer, PATIENCE_S)
                await asyncio.wait_for(consumer, PATIENCE_S)
                assert sorted(seen) == list(range(600))
                (queue,) = [row async for row in client.queues()]
                assert queue.ready == queue.dead == 0


async def produce(client: Client, put: list[int], count: int) -> None:
    for n in range(count):
        await client.put("q", n)
        put.append(n)


async def consume(client: Client, seen: Counter[int], count: int) -> None:
    async with Consumer(client, "q", type=int, lease=5, prefetch=20) as consumer:
        async for message in consumer:
            async with message:
                seen[message.body] += 1
            if len(seen) == count:
                return


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  over a real server
            await asyncio.sleep(0.005)


@pytest.mark.slow
@pytest.mark.hasty
async def test_a_consumer_keeps_a_short_lease_and_gives_back_what_it_did_not_begin(
    server: QServer,
) -> None:
    async with connect(server.url) as client:
        await client.put_many("q", range(10))
        async with Consumer(client, "q", lease=0.3, prefetch=10) as consumer:
            message = await anext(consumer)
            await asyncio.sleep(1)
            assert await message.ack()
            assert consumer.lost == 0
        rows = [row async for row in client.list("q")]
        assert [(row.state, row.losses) for row in rows] == [("ready", 0)] * 9


async def test_a_request_that_is_too_long_hurts_nobody_else(server: QServer) -> None:
    async with connect(server.url) as client:
        with pytest.raises(qclient.TooLong):
            await client.put("q", "x" * 2_000_000)
        big = await client.put("q", "é" * 500_000)
        (message,) = await client.get("q", type=str)
        assert (message.id, message.body) == (big.id, "é" * 500_000)
