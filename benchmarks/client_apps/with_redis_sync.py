"""redis-py: a stream and its consumer group."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from msgspec.json import decode, encode
from redis import Redis

BATCH = 100
PIPELINE = 500


class Client:
    """What the driver calls."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    def put(self, item: object) -> None:
        """One, answered."""
        self._redis.xadd("q", {"d": encode(item)})

    def put_many(self, items: Iterable[object]) -> None:
        """In bulk."""
        items = iter(items)
        while some := list(islice(items, PIPELINE)):
            pipeline = self._redis.pipeline(transaction=False)
            for item in some:
                pipeline.xadd("q", {"d": encode(item)})
            pipeline.execute()

    def take(self) -> None:
        """Get one, read it, ack it."""
        self._end(self._redis.xreadgroup("g", "c", {"q": ">"}, count=1), 1)

    def drain(self, count: int) -> None:
        """Get, read and ack so many."""
        for _ in range(count // BATCH):
            self._end(self._redis.xreadgroup("g", "c", {"q": ">"}, count=BATCH), BATCH)

    def _end(self, found: Any, count: int) -> None:
        ((_, entries),) = found.items() if isinstance(found, dict) else found
        if len(entries) == 1 and isinstance(entries[0], list):  # as RESP3 has it
            (entries,) = entries
        assert len(entries) == count
        for _, fields in entries:
            assert decode(fields[b"d"])
        ids = [number for number, _ in entries]
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.xack("q", "g", *ids)
        pipeline.xdel("q", *ids)
        pipeline.execute()


@contextmanager
def connected(port: int) -> Iterator[Client]:
    with Redis(port=port) as redis:
        yield Client(redis)
