"""aiostalk: one request at a time on a connection, and no batches."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiostalk
from msgspec.json import decode, encode

CONNECTIONS = 100


class Client:
    """What the driver calls. Many are put, and taken, one by one."""

    def __init__(self, tube: Any, others: Iterable["Client"] = ()) -> None:
        self._tube = tube
        self._others = others

    async def put(self, item: object) -> None:
        """One, answered."""
        await self._tube.put(encode(item))

    def coroutines(self, _count: int) -> Iterator[Any]:
        """What each coroutine puts with."""
        return iter(self._others)

    async def put_many(self, items: Iterable[object]) -> None:
        """In bulk."""
        for item in items:
            await self.put(item)

    async def take(self) -> None:
        """Get one, read it, ack it."""
        job = await self._tube.reserve()
        assert decode(job.body)
        await self._tube.delete(job)

    async def drain(self, count: int) -> None:
        """Get, read and ack so many."""
        for _ in range(count):
            await self.take()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    async with AsyncExitStack() as stack:
        tubes = [
            await stack.enter_async_context(aiostalk.Client(("127.0.0.1", port), encoding=None))
            for _ in range(CONNECTIONS)
        ]
        yield Client(tubes[0], [Client(tube) for tube in tubes])
