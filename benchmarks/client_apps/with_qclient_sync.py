"""qclient.sync, as it is by default."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import qclient.sync

BATCH = 100


class Client:
    """What the driver calls."""

    def __init__(self, client: qclient.sync.Client) -> None:
        self._client = client

    def put(self, item: object) -> None:
        """One, answered."""
        self._client.put("q", item)

    def put_many(self, items: Iterable[object]) -> None:
        """In bulk."""
        self._client.put_many("q", items)

    def take(self) -> None:
        """Get one, read it, ack it."""
        (message,) = self._client.get("q")
        assert message.body
        self._client.ack(message)

    def drain(self, count: int) -> None:
        """Get, read and ack so many."""
        for _ in range(count // BATCH):
            messages = self._client.get("q", count=BATCH)
            for message in messages:
                assert message.body
            self._client.ack(*messages)


@contextmanager
def connected(port: int) -> Iterator[Client]:
    with qclient.sync.connect(f"127.0.0.1:{port}") as client:
        yield Client(client)
