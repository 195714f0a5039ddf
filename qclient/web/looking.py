"""What the page and Prometheus are shown, each as JSON or figures of the moment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final, TypeVar

from qclient.client import Client
from qclient.errors import Error
from qclient.message import Stored
from qclient.overview import Figures, Overview
from qclient.reports import Queue

T = TypeVar("T")

FRESH_S: Final = 0.9
"""What was seen so lately is shown again: the server is looked at about once a second."""

ROWS_MAX: Final = 200
"""Queues and clients on the page: those with most to do."""

MESSAGES: Final = 50
"""Of a queue, at a time."""

BYTES_MAX: Final = 4 << 20
"""Of the bodies that are read for that; at least one is always read."""

BODY_MAX: Final = 300
"""Characters of a body in a list; all of it where one message is shown."""

SCRAPED_MAX: Final = 1000
"""Queues that Prometheus is told of, in order of name: each makes several series."""


class Looking:
    """Looks at one server for all who ask.

    Args:
        client: connected to it.
        clock: seconds that never go back.
    """

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._overview = Overview(client, clock)
        self._seen: dict[str, Any] | Error = {}
        self._seen_at_s = -FRESH_S
        self._turn = asyncio.Lock()

    @property
    def server(self) -> str:
        """Its name and version."""
        return self._client.server.server

    async def overview(self) -> dict[str, Any]:
        """Figures, rates, the busiest queues, who is connected.

        Raises:
            Error: the server can't be asked.
        """
        async with self._turn:
            if self._clock() - self._seen_at_s >= FRESH_S:
                self._seen = await self._look()
                self._seen_at_s = self._clock()
        if isinstance(self._seen, Error):
            raise self._seen.with_traceback(None)
        return self._seen

    async def _look(self) -> dict[str, Any] | Error:
        """What all are shown for a moment, a failure too: else each would wait for its own."""
        try:
            await self._overview.look()
        except Error as error:
            return error
        return {
            "server": self.server,
            "queues_seen": self._overview.seen,
            **self._overview.as_json(ROWS_MAX),
        }

    async def messages(
        self, queue: str, *, state: str | None, key: str | None, after: int | None
    ) -> dict[str, Any]:
        """Some messages of a queue, in order of id; with `next` there may be more behind them.

        Raises:
            Error: there is no such queue or state, or the server can't be asked.
        """
        found: list[dict[str, Any]] = []
        left = BYTES_MAX
        rows = self._client.list(queue, state=state, key=key, after=after, page=MESSAGES)
        async for row in rows:
            found.append(_message(row, BODY_MAX))
            left -= len(row.raw)
            if len(found) == MESSAGES or left <= 0:
                return {"queue": queue, "messages": found, "next": row.id}
        return {"queue": queue, "messages": found, "next": None}

    async def message(self, which: int) -> dict[str, Any]:
        """One message, with all that is known of it.

        Raises:
            Error: there is none with that id, or the server can't be asked.
        """
        return _message(await self._client.peek(which))

    async def figures(self) -> tuple[Figures, list[Queue]]:
        """STATS, and the first queues.

        Raises:
            Error: the server can't be asked.
        """
        figures = await self._client.stats()
        return figures, await _first(self._client.queues(page=500), SCRAPED_MAX)

    async def ping(self) -> None:
        """Ask for a sign of life.

        Raises:
            Error: there is none.
        """
        await self._client.ping()


def _message(row: Stored[Any], body_max: int | None = None) -> dict[str, Any]:
    """A message as JSON. Without its receipt: with that one could settle it."""
    body = row.raw.decode()
    info = {name: value for name, value in row.info.items() if name != "receipt"}
    return {
        "id": row.id,
        "state": row.state,
        "queue": row.queue,
        "info": info,
        "body": body[:body_max],
        "body_chars": len(body),
    }


async def _first(rows: AsyncIterator[T], most: int) -> list[T]:
    found: list[T] = []
    async for row in rows:
        found.append(row)
        if len(found) == most:
            break
    return found
