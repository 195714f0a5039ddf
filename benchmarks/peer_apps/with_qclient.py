"""qclient: everything as it is by default; the server syncs before every OK."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.peer_apps import tally
from qclient.tasks import App

app = App("peer")


@app.task
async def nothing() -> None:
    tally.end(tally.begin())


@app.task
async def nap() -> None:
    began_at = tally.begin()
    await asyncio.sleep(tally.NAP_S)
    tally.end(began_at)


@app.task
async def stamp(sent_at: float) -> None:
    tally.stamp(sent_at)


TASKS: dict[str, Any] = {"nothing": nothing, "nap": nap, "stamp": stamp}


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    async with app.connect(os.environ["PEER_QSERVER"]):
        yield


async def one(task: str, *args: Any) -> None:
    await TASKS[task].put(*args)


async def bulk(task: str, count: int) -> None:
    await TASKS[task].put_many(TASKS[task].call() for _ in range(count))
