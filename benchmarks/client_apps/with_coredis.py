"""coredis: a stream and its consumer group."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

from coredis import Redis
from msgspec.json import decode, encode

BATCH = 100
PIPELINE = 500


class Client:
    """What the driver calls."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    async def put(self, item: object) -> None:
        """One, answered."""
        await self._redis.xadd("q", {"d": encode(item)})

    def coroutines(self, count: int) -> Iterator[Any]:
        """What each coroutine puts with."""
        return iter([self] * count)

    async def put_many(self, items: Iterable[object]) -> None:
        """In bulk."""
        items = iter(items)
        while some := list(islice(items, PIPELINE)):
            async with self._redis.pipeline(transaction=False) as pipeline:
                for item in some:
                    pipeline.xadd("q", {"d": encode(item)})

    async def take(self) -> None:
        """Get one, read it, ack it."""
        await self._end(await self._redis.xreadgroup("g", "c", {"q": ">"}, count=1), 1)

    async def drain(self, count: int) -> None:
        """Get, read and ack so many."""
        for _ in range(count // BATCH):
            found = await self._redis.xreadgroup("g", "c", {"q": ">"}, count=BATCH)
            await self._end(found, BATCH)

    async def _end(self, found: Any, count: int) -> None:
        (entries,) = found.values()
        assert len(entries) == count
        for entry in entries:
            assert decode(entry.field_values[b"d"])
        ids = [entry.identifier for entry in entries]
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.xack("q", "g", ids)
            pipeline.xdel("q", ids)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    async with Redis(port=port) as redis:
        yield Client(redis)
