"""greenstalk: one request at a time, and no batches."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import greenstalk
from msgspec.json import decode, encode


class Client:
    """What the driver calls. Many are put, and taken, one by one."""

    def __init__(self, tube: Any) -> None:
        self._tube = tube

    def put(self, item: object) -> None:
        """One, answered."""
        self._tube.put(encode(item))

    def put_many(self, items: Iterable[object]) -> None:
        """In bulk."""
        for item in items:
            self.put(item)

    def take(self) -> None:
        """Get one, read it, ack it."""
        job = self._tube.reserve()
        assert decode(job.body)
        self._tube.delete(job)

    def drain(self, count: int) -> None:
        """Get, read and ack so many."""
        for _ in range(count):
            self.take()


@contextmanager
def connected(port: int) -> Iterator[Client]:
    with greenstalk.Client(("127.0.0.1", port), encoding=None) as tube:
        yield Client(tube)
