"""arq: no bulk put; many at once over its pool of connections is its best way."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvloop
from arq import create_pool
from arq.connections import RedisSettings

from benchmarks.peer_apps import tally

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

AT_ONCE = 100
SETTINGS = RedisSettings.from_dsn(os.environ["PEER_REDIS"])
_pool: list[Any] = []


async def nothing(_ctx: Any) -> None:
    tally.end(tally.begin())


async def nap(_ctx: Any) -> None:
    began_at = tally.begin()
    await asyncio.sleep(tally.NAP_S)
    tally.end(began_at)


async def stamp(_ctx: Any, sent_at: float) -> None:
    tally.stamp(sent_at)


class WorkerSettings:
    """What the command looks for."""

    functions = (nothing, nap, stamp)
    redis_settings = SETTINGS
    max_jobs = 100


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    pool = await create_pool(SETTINGS)
    _pool.append(pool)
    yield
    await pool.aclose()


async def one(task: str, *args: Any) -> None:
    await _pool[0].enqueue_job(task, *args)


async def bulk(task: str, count: int) -> None:
    for _ in range(count // AT_ONCE):
        await asyncio.gather(*(one(task) for _ in range(AT_ONCE)))
