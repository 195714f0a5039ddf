"""Where an App's tasks are put: a connected client, or this process (`local.py`)."""

from collections.abc import Iterable
from typing import Any, Protocol

from qclient.reports import Outcome, Put
from qclient.words import Duration


class Outlet(Protocol):
    """What tasks and jobs ask of it: a part of `Client`."""

    async def put_with(self, head: bytes, item: object, dedup: str | None = None) -> Put:
        """See `Client.put_with`."""
        ...

    async def put_many(
        self,
        queue: str,
        bodies: Iterable[object],
        *,
        priority: int | None = None,
        ttl: Duration | None = None,
        key: str | None = None,
        trace: str | None = None,
    ) -> list[int]:
        """See `Client.put_many`."""
        ...

    async def result(self, id: int, *, wait: Duration = 0) -> Outcome[Any]:  # noqa: A002
        """See `Client.result`."""
        ...
