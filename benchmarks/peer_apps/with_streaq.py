"""streaq: `enqueue_many` in pipelines of 1,000."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from streaq import Worker

from benchmarks.peer_apps import tally

AT_ONCE = 1000
worker: Any = Worker(
    redis_url=os.environ["PEER_REDIS"], concurrency=100, anyio_kwargs={"use_uvloop": True}
)


@worker.task
async def nothing() -> None:
    tally.end(tally.begin())


@worker.task
async def nap() -> None:
    began_at = tally.begin()
    await asyncio.sleep(tally.NAP_S)
    tally.end(began_at)


@worker.task
async def stamp(sent_at: float) -> None:
    tally.stamp(sent_at)


TASKS: dict[str, Any] = {"nothing": nothing, "nap": nap, "stamp": stamp}


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    async with worker:
        yield


async def one(task: str, *args: Any) -> None:
    await TASKS[task].enqueue(*args)


async def bulk(task: str, count: int) -> None:
    for _ in range(count // AT_ONCE):
        await worker.enqueue_many([TASKS[task].enqueue() for _ in range(AT_ONCE)])
