"""qclient, as it is by default."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import qclient

BATCH = 100


class Client:
    """What the driver calls."""

    def __init__(self, client: qclient.Client) -> None:
        self._client = client

    async def put(self, item: object) -> None:
        """One, answered."""
        await self._client.put("q", item)

    def coroutines(self, count: int) -> Iterator[Any]:
        """What each coroutine puts with."""
        return iter([self] * count)

    async def put_many(self, items: Iterable[object]) -> None:
        """In bulk."""
        await self._client.put_many("q", items)

    async def take(self) -> None:
        """Get one, read it, ack it."""
        (message,) = await self._client.get("q")
        assert message.body
        await self._client.ack(message)

    async def drain(self, count: int) -> None:
        """Get, read and ack so many."""
        for _ in range(count // BATCH):
            messages = await self._client.get("q", count=BATCH)
            for message in messages:
                assert message.body
            await self._client.ack(*messages)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    async with qclient.connect(f"127.0.0.1:{port}") as client:
        yield Client(client)
