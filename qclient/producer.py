"""A Producer: puts into one queue, with the same options each time."""

from collections.abc import Iterable
from datetime import datetime

from qclient.client import Client
from qclient.reports import Put
from qclient.words import Duration


class Producer:
    """Puts into one queue. What it is made with holds for each put that doesn't say otherwise.

        emails = Producer(client, "emails", ttl=3600)
        await emails.put({"to": "ada@example.com"})
        await emails.put({"to": "bob@example.com"}, delay=30)

    The options are those of `Client.put`.
    """

    def __init__(
        self,
        client: Client,
        queue: str,
        *,
        delay: Duration | None = None,
        priority: int | None = None,
        ttl: Duration | None = None,
        key: str | None = None,
        trace: str | None = None,
    ) -> None:
        self.queue = queue
        self._client = client
        self._delay = delay
        self._priority = priority
        self._ttl = ttl
        self._key = key
        self._trace = trace

    async def put(
        self,
        item: object,
        /,
        *,
        delay: Duration | None = None,
        at: datetime | None = None,
        priority: int | None = None,
        ttl: Duration | None = None,
        dedup: str | None = None,
        dedup_window: Duration | None = None,
        key: str | None = None,
        trace: str | None = None,
    ) -> Put:
        """Store a message; see `Client.put`. `at` takes the place of the producer's delay."""
        return await self._client.put(
            self.queue,
            item,
            delay=self._delay if delay is None and at is None else delay,
            at=at,
            priority=self._priority if priority is None else priority,
            ttl=self._ttl if ttl is None else ttl,
            dedup=dedup,
            dedup_window=dedup_window,
            key=self._key if key is None else key,
            trace=self._trace if trace is None else trace,
        )

    async def put_many(
        self,
        bodies: Iterable[object],
        *,
        delay: Duration | None = None,
        at: datetime | None = None,
        priority: int | None = None,
        ttl: Duration | None = None,
        key: str | None = None,
        trace: str | None = None,
    ) -> list[int]:
        """Store many messages; see `Client.put_many`."""
        return await self._client.put_many(
            self.queue,
            bodies,
            delay=self._delay if delay is None and at is None else delay,
            at=at,
            priority=self._priority if priority is None else priority,
            ttl=self._ttl if ttl is None else ttl,
            key=self._key if key is None else key,
            trace=self._trace if trace is None else trace,
        )
