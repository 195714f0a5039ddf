"""A worker in the test's own process, over a real server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from qclient import Client
from qclient.tasks import App
from qclient.worker import Settings, Worker
from tests.e2e.process import PATIENCE_S


@asynccontextmanager
async def working(app: App, url: str, **settings: Any) -> AsyncIterator[tuple[Worker, Client]]:
    """A worker in this process, and a client that looks on and puts."""
    settings.setdefault("lease_s", 10)
    settings.setdefault("session_grace_s", 10)
    settings.setdefault("grace_s", 0.1)
    worker = Worker(app, url, Settings(**settings))
    async with app.connect(url) as client:
        run = asyncio.create_task(worker.run())
        try:
            yield worker, client
        finally:
            worker.stop()
            async with asyncio.timeout(PATIENCE_S):
                await run


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  over a real server
            await asyncio.sleep(0.005)
