"""Drives one client library in its own environment, and prints the CPU of its process.

    python -m benchmarks.client_apps.driver <module> <port> <messages> asyncio|uvloop

A library's module has `connected(port)`, a context that gives an object with `put(item)`,
`put_many(items)`, `take()` and `drain(count)`, all async or all plain. What a library can't do is
missing there; `coroutines` has one such object for each coroutine that puts at the same time.
"""

import asyncio
import importlib
import inspect
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

ITEM = {"n": "x" * 92}
"""100 bytes of JSON."""

AT_ONCE = 100
SLOW = 4
"""Works of one request after another get the fourth part of the messages."""

WARM_UP = 200

Figures = dict[str, tuple[float, float]]
"""CPU microseconds a message, and messages a second, of each work."""


async def one_by_one(client: Any, count: int) -> None:
    """Put, each answered before the next."""
    put = client.put
    for _ in range(count):
        await put(ITEM)


async def at_once(client: Any, count: int) -> None:
    """Put one by one, by many coroutines."""
    some = [one_by_one(each, count // AT_ONCE) for each in client.coroutines(AT_ONCE)]
    await asyncio.gather(*some)


async def many(client: Any, count: int) -> None:
    """Put in bulk, the library's best way."""
    await client.put_many(ITEM for _ in range(count))


async def take(client: Any, count: int) -> None:
    """Get one, read its body, ack it; and the next."""
    for _ in range(count):
        await client.take()


async def drain(client: Any, count: int) -> None:
    """Get a hundred, read their bodies, ack them."""
    await client.drain(count)


def one_by_one_sync(client: Any, count: int) -> None:
    """The same of a plain client."""
    put = client.put
    for _ in range(count):
        put(ITEM)


def many_sync(client: Any, count: int) -> None:
    """The same of a plain client."""
    client.put_many(ITEM for _ in range(count))


def take_sync(client: Any, count: int) -> None:
    """The same of a plain client."""
    for _ in range(count):
        client.take()


def drain_sync(client: Any, count: int) -> None:
    """The same of a plain client."""
    client.drain(count)


PLAN: tuple[tuple[str, str, int, Callable[..., Awaitable[None]], Callable[..., None] | None], ...]
PLAN = (
    ("one", "put", SLOW, one_by_one, one_by_one_sync),
    ("100", "coroutines", 1, at_once, None),
    ("many", "put_many", 1, many, many_sync),
    ("take", "take", SLOW, take, take_sync),
    ("drain", "drain", 1, drain, drain_sync),
)
"""Name of the work, what the client must have for it, its part of the messages, and itself.

What the first three put is more than what the others take.
"""


async def measure(module: Any, port: int, count: int) -> Figures:
    """Of a client for asyncio."""
    found: Figures = {}
    async with module.connected(port) as client:
        for name, needs, part, work, _ in PLAN:
            if not hasattr(client, needs):
                continue
            await work(client, WARM_UP)
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            await work(client, count // part)
            found[name] = _figures(cpu_s, wall_s, count // part)
    return found


def measure_sync(module: Any, port: int, count: int) -> Figures:
    """Of a plain client."""
    found: Figures = {}
    with module.connected(port) as client:
        for name, needs, part, _, work in PLAN:
            if work is None or not hasattr(client, needs):
                continue
            work(client, WARM_UP)
            cpu_s, wall_s = time.process_time(), time.perf_counter()
            work(client, count // part)
            found[name] = _figures(cpu_s, wall_s, count // part)
    return found


def _figures(cpu_s: float, wall_s: float, count: int) -> tuple[float, float]:
    """Since those two clocks."""
    used_us = (time.process_time() - cpu_s) * 1e6 / count
    return used_us, count / (time.perf_counter() - wall_s)


def main() -> None:
    name, port, count, loop = sys.argv[1:]
    module: Any = importlib.import_module(f"benchmarks.client_apps.with_{name}")
    if not inspect.iscoroutinefunction(module.Client.put):
        print(json.dumps(measure_sync(module, int(port), int(count))))
        return
    run: Any = asyncio.run
    if loop == "uvloop":
        import uvloop

        run = uvloop.run
    print(json.dumps(run(measure(module, int(port), int(count)))))


if __name__ == "__main__":
    main()
