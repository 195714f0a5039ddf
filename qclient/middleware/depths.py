"""How deep queues are, for statsd, again and again.

`Statsd` has a worker report it; any program can:

    async with connect(url) as client, reporting_depths(client, StatsClient(), ["mail"]):
        …
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from qclient import queues as requests
from qclient.client import Client
from qclient.errors import Error
from qclient.reports import Queue
from qclient.words import Duration

if TYPE_CHECKING:
    from statsd import StatsClient

logger = logging.getLogger("qclient.worker")

PAGE: Final = 1000


@asynccontextmanager
async def reporting_depths(
    client: Client, to: "StatsClient", queues: Collection[str], every: Duration = 10.0
) -> AsyncIterator[None]:
    """Within this, the depths of these queues are sent at once and then every so often.

    It reads the server's list of queues as far as the last of these, so on a server with very many
    it should not be asked for every second.

    Args:
        client: asks the server.
        to: a statsd client.
        queues: by name; one that is not there is empty.
        every: seconds or timedelta.
    """
    if not queues:
        yield
        return
    every_s = every.total_seconds() if isinstance(every, timedelta) else every
    report = asyncio.create_task(_report(client, to, queues, every_s), name="qclient depths")
    try:
        yield
    finally:
        report.cancel()
        await asyncio.wait([report])


async def _report(
    client: Client, to: "StatsClient", queues: Collection[str], every_s: float
) -> None:
    while True:
        try:
            _send(to, await _look(client, queues))
        except Error as error:
            logger.warning("the depths of queues could not be read: %s", error)
        await asyncio.sleep(every_s)


async def _look(client: Client, queues: Collection[str]) -> list[Queue]:
    found = {name: Queue(name, 0, 0, 0, 0, 0, 0, None, False, 0, {}) for name in queues}
    cursor: str | None = None
    while True:
        page = await client.run(requests.queues(count=PAGE, after=cursor))
        found.update({queue.name: queue for queue in page.rows if queue.name in found})
        cursor = page.next
        if cursor is None or cursor >= max(queues):
            return list(found.values())


def _send(to: "StatsClient", queues: list[Queue]) -> None:
    from qclient.middleware.statsd import word  # noqa: PLC0415  it imports this

    with to.pipeline() as pipe:
        for queue in queues:
            head = f"queues.{word(queue.name)}"
            pipe.gauge(f"{head}.ready", queue.ready)
            pipe.gauge(f"{head}.leased", queue.leased)
            pipe.gauge(f"{head}.delayed", queue.delayed)
            pipe.gauge(f"{head}.dead", queue.dead)
            pipe.gauge(f"{head}.oldest", queue.oldest_s or 0)
