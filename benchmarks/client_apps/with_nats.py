"""nats-py with JetStream: a work queue stream and its pull consumer."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import nats
from msgspec.json import decode, encode

BATCH = 100


class Client:
    """What the driver calls. Acks are not answered: `ack_sync`, which is, costs a request each."""

    def __init__(self, stream: Any, consumer: Any) -> None:
        self._stream = stream
        self._consumer = consumer

    async def put(self, item: object) -> None:
        """One, answered."""
        await self._stream.publish("q", encode(item))

    def coroutines(self, count: int) -> Iterator[Any]:
        """What each coroutine puts with."""
        return iter([self] * count)

    async def put_many(self, items: Iterable[object]) -> None:
        """In bulk."""
        for item in items:
            await self._stream.publish_async("q", encode(item))
        await self._stream.publish_async_completed()

    async def take(self) -> None:
        """Get one, read it, ack it."""
        (message,) = await self._consumer.fetch(1)
        assert decode(message.data)
        await message.ack()

    async def drain(self, count: int) -> None:
        """Get, read and ack so many."""
        while count > 0:
            messages = await self._consumer.fetch(BATCH)
            for message in messages:
                assert decode(message.data)
                await message.ack()
            count -= len(messages)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Client]:
    connection = await nats.connect(f"nats://127.0.0.1:{port}")
    stream = connection.jetstream()
    yield Client(stream, await stream.pull_subscribe_bind("C", "S"))
    await connection.close()
