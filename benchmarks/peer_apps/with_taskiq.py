"""taskiq over a Redis stream, the broker of taskiq-redis that acknowledges; no bulk put."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from taskiq_redis import RedisStreamBroker

from benchmarks.peer_apps import tally

AT_ONCE = 100
# The group begins at what is there already: by default a worker passes over what was put before it.
broker = RedisStreamBroker(os.environ["PEER_REDIS"], consumer_id="0")


@broker.task
async def nothing() -> None:
    tally.end(tally.begin())


@broker.task
async def nap() -> None:
    began_at = tally.begin()
    await asyncio.sleep(tally.NAP_S)
    tally.end(began_at)


@broker.task
async def stamp(sent_at: float) -> None:
    tally.stamp(sent_at)


TASKS = {"nothing": nothing, "nap": nap, "stamp": stamp}


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    await broker.startup()
    yield
    await broker.shutdown()


async def one(task: str, *args: Any) -> None:
    await TASKS[task].kiq(*args)


async def bulk(task: str, count: int) -> None:
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(one(task) for _ in range(AT_ONCE)))
