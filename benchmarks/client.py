"""CPU of the Python clients per message, against a real server that syncs before every OK.

python -m benchmarks.client [--messages 20000] [--loop uvloop]
"""

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop

from benchmarks.load import about, server
from qclient import Client, Consumer, connect
from qclient.sync import Client as SyncClient
from qclient.sync import connect as connect_sync

BODY = {"n": "x" * 92}
ROUNDS = 5

Work = Callable[[Client, int], Coroutine[Any, Any, None]]


async def put(client: Client, count: int) -> None:
    """One by one, by 100 coroutines."""

    async def some() -> None:
        for _ in range(count // 100):
            await client.put("bench", BODY)

    await asyncio.gather(*(some() for _ in range(100)))


async def put_many(client: Client, count: int) -> None:
    """In bulk."""
    await client.put_many("bench", (BODY for _ in range(count)))


async def get_and_ack(client: Client, count: int) -> None:
    """By hundreds."""
    for _ in range(count // 100):
        await client.ack(*await client.get("bench", count=100))


async def consume(client: Client, count: int) -> None:
    """Through a Consumer, bodies decoded."""
    async with Consumer(client, "bench") as consumer:
        async for message in consumer:
            async with message:
                assert message.body
            count -= 1
            if not count:
                break


PLAN: list[tuple[str, Work, Work | None]] = [
    ("put, 100 coroutines", put, get_and_ack),
    ("put_many", put_many, None),
    ("get(count=100) and ack", get_and_ack, None),
    ("Consumer", consume, None),
]
"""What is measured, and what empties the queue after it where the next one does not."""


async def measure(url: str, count: int) -> dict[str, list[float]]:
    """CPU microseconds per message of each round."""
    figures: dict[str, list[float]] = {name: [] for name, _, _ in PLAN}
    async with connect(url) as client:
        for _ in range(ROUNDS):
            for name, work, after in PLAN:
                if name == "Consumer":
                    await put_many(client, count)
                figures[name].append(await _cpu_us(work(client, count)) / count)
                if after is not None:
                    await after(client, count)
    return figures


async def _cpu_us(work: Awaitable[None]) -> float:
    began = time.process_time()
    await work
    return (time.process_time() - began) * 1e6


def put_by_threads(client: SyncClient, threads: int, count: int) -> None:
    """One by one, by some threads that share the synchronous client."""

    def some() -> None:
        for _ in range(count // threads):
            client.put("bench", BODY)

    running = [threading.Thread(target=some) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def put_many_sync(client: SyncClient, _threads: int, count: int) -> None:
    """In bulk."""
    client.put_many("bench", (BODY for _ in range(count)))


SYNC_PLAN: list[tuple[str, Callable[[SyncClient, int, int], None], int, int]] = [
    ("sync put, 1 thread", put_by_threads, 1, 4),
    ("sync put, 8 threads", put_by_threads, 8, 4),
    ("sync put, 32 threads", put_by_threads, 32, 4),
    ("sync put_many", put_many_sync, 1, 1),
]
"""What is measured, by how many threads, with which part of the messages."""


def measure_sync(url: str, count: int) -> dict[str, list[tuple[float, float]]]:
    """CPU microseconds per message, and messages a second, of each round."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name, *_ in SYNC_PLAN}
    with connect_sync(url) as client:
        for _ in range(ROUNDS):
            for name, work, threads, part in SYNC_PLAN:
                cpu, began = time.process_time(), time.perf_counter()
                work(client, threads, count // part)
                took = time.perf_counter() - began
                cpu_us = (time.process_time() - cpu) * 1e6
                figures[name].append((cpu_us / (count // part), count // part / took))
                client.purge("bench")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    args = parser.parse_args()
    factory = uvloop.new_event_loop if args.loop == "uvloop" else None
    print(about())
    print(f"{args.loop}, {args.messages} messages a round, CPU µs a message: min median max")
    with server() as running, asyncio.Runner(loop_factory=factory) as runner:
        url = f"qserver://127.0.0.1:{running.port}"
        figures = runner.run(measure(url, args.messages))
        sync_figures = measure_sync(url, args.messages)
    for name, values in figures.items():
        print(_row(name, values))
    print("the same of the synchronous client, and messages a second: min median max")
    for name, pairs in sync_figures.items():
        rates = "{:9,.0f} {:9,.0f} {:9,.0f}".format(*_spread([rate for _, rate in pairs]))
        print(_row(name, [cpu_us for cpu_us, _ in pairs]), rates)


def _row(name: str, values: list[float]) -> str:
    return "{:<24} {:6.2f} {:6.2f} {:6.2f}".format(name, *_spread(values))


def _spread(values: list[float]) -> tuple[float, float, float]:
    return min(values), statistics.median(values), max(values)


if __name__ == "__main__":
    main()
