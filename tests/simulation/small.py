"""What a turn does for a crowd, done for one at a time; and tables in small pages."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from qserver.broker import bases, dedup, get, restore, table
from qserver.server import commit, rota, server

SMALL = (
    (get, "SERVINGS_MAX", 1),
    (rota, "GO_ON_MAX", 1),
    (commit, "RELEASED_MAX", 1),
    (server, "LONG_TURN_S", -1.0),
    *((module, "PAGE_BITS", 2) for module in (table, bases, restore)),
    (dedup, "SHARDED_FROM", 2),
    (dedup, "SHARDS", 4),
)


@contextmanager
def small_slices() -> Iterator[None]:
    """Of a build that is not compiled, which can't be told so."""
    patches = [patch.object(module, name, value) for module, name, value in SMALL]
    for each in patches:
        each.start()
    try:
        yield
    finally:
        for each in patches:
            each.stop()
