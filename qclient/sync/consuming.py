"""An endless loop over messages, for scripts: `for message in client.consume("emails")`.

It fetches when the loop has done with what it has, and nothing extends a lease meanwhile. What it
has fetched and not handed out is released when the loop is left, by whatever way.
"""

import logging
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from qclient.errors import Error
from qclient.sync.message import Message
from qclient.words import Duration, duration

if TYPE_CHECKING:
    from qclient.sync.client import Client

logger = logging.getLogger("qclient")

GET_S: Final = 20.0
"""Of one GET that waits."""


def consume(
    client: "Client",
    queues: tuple[str, ...],
    *,
    wanted: Any,
    count: int,
    wait: Duration | None,
    lease: Duration | None,
) -> Iterator[Message[Any]]:
    """See `Client.consume`."""
    quiet_s = None if wait is None else float(duration(wait, "wait"))
    ready: deque[Message[Any]] = deque()
    empty = 0
    since = time.monotonic()
    try:
        while True:
            asked_at = time.monotonic()
            left_s = GET_S if quiet_s is None else min(max(since + quiet_s - asked_at, 0.0), GET_S)
            ready.extend(client.get(*queues, type=wanted, count=count, wait=left_s, lease=lease))
            if ready:
                empty = 0
                while ready:
                    yield ready.popleft()
                since = time.monotonic()
            elif not left_s:
                return
            elif time.monotonic() - asked_at < left_s / 2:  # a server that is going down, say
                time.sleep(client.backoff.delay_s(empty))
                empty += 1
    finally:
        _give_back(client, ready)


def _give_back(client: "Client", ready: deque[Message[Any]]) -> None:
    try:
        if ready:
            client.release(*ready)
    except Error as error:
        logger.warning("%d messages come again when their lease ends: %s", len(ready), error)
