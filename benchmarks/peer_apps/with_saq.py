"""saq: no bulk put; many at once over its connections is its best way."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from saq import Queue

from benchmarks.peer_apps import tally

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

AT_ONCE = 100
queue = Queue.from_url(os.environ["PEER_REDIS"])


async def nothing(_ctx: Any) -> None:
    tally.end(tally.begin())


async def nap(_ctx: Any) -> None:
    began_at = tally.begin()
    await asyncio.sleep(tally.NAP_S)
    tally.end(began_at)


async def stamp(_ctx: Any, *, sent_at: float) -> None:
    tally.stamp(sent_at)


settings = {"queue": queue, "functions": [nothing, nap, stamp], "concurrency": 100}


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    await queue.connect()
    yield
    await queue.disconnect()


async def one(task: str, *args: Any) -> None:
    if args:
        await queue.enqueue(task, sent_at=args[0])
    else:
        await queue.enqueue(task)


async def bulk(task: str, count: int) -> None:
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(one(task) for _ in range(AT_ONCE)))
