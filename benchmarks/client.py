"""CPU of the Python client per message, against a real server that syncs before every OK.

python -m benchmarks.client [--messages 20000] [--loop uvloop]
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop

from benchmarks.load import about, server
from qclient import Client, Consumer, connect

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="asyncio")
    args = parser.parse_args()
    factory = uvloop.new_event_loop if args.loop == "uvloop" else None
    print(about())
    print(f"{args.loop}, {args.messages} messages a round, CPU µs a message: min median max")
    with server() as running, asyncio.Runner(loop_factory=factory) as runner:
        figures = runner.run(measure(f"qserver://127.0.0.1:{running.port}", args.messages))
    for name, values in figures.items():
        print(f"{name:<24} {min(values):6.2f} {statistics.median(values):6.2f} {max(values):6.2f}")


if __name__ == "__main__":
    main()
