"""Tables that were large once are made anew when little is left in them.

A dict never gets shorter by itself, and the ids of what has gone stay in an index until a later PUT
sweeps them. Tables of pages do it at once (`table.py`).
"""

import sys
from collections.abc import Iterator
from typing import Any

from qserver.broker.broker import Broker

TABLE_BYTES_MIN = 1 << 20
"""A table of less is left as it is."""


def shrink(broker: Broker) -> None:
    """Make tables as large as what they hold; costs as much as that is."""
    for table in _tables(broker):
        if sys.getsizeof(table) >= TABLE_BYTES_MIN:
            kept = list(table.items())
            table.clear()
            table.update(kept)
    for queue in broker.queues.values():
        queue.index.shrink()


def _tables(broker: Broker) -> Iterator[dict[Any, Any]]:
    for queue in broker.queues.values():
        yield queue.leased
    for session in broker.sessions.values():
        yield session.leases
