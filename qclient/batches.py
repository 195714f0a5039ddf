"""Many PUTs: a few hundred lines as one request, a few such requests under way at once.

A request costs the client a future, a place in line and a wake-up. Shared by a batch that is next
to nothing for each message, and the bytes under way stay bounded however long the input is.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import Final

from qclient.errors import ReplyError
from qclient.link import Link
from qclient.verbs import put_lines

LINES_MAX: Final = 500
BYTES_MAX: Final = 1 << 17
UNDER_WAY_MAX: Final = 8

Outcomes = list[int | ReplyError]
"""For each message, in order: its id, or why it was refused."""


def batches(lines: Iterable[bytes]) -> Iterable[list[bytes]]:
    """Cut into runs of at most LINES_MAX lines and about BYTES_MAX bytes."""
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size >= BYTES_MAX or len(batch) >= LINES_MAX:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


async def put_batches(
    link: Link, lines: Iterable[bytes], *, is_repeatable: bool
) -> AsyncGenerator[Outcomes, None]:
    """Send whole PUT lines; gives the outcomes batch by batch, in the order of the lines.

    `lines` is read only as far ahead as UNDER_WAY_MAX batches. When the reader stops early, or
    `lines` raises, no more is sent; what is under way is carried out.

    Raises:
        ConnectionLost: see Link.run.
    """
    under_way: deque[asyncio.Task[Outcomes]] = deque()
    loop = asyncio.get_running_loop()
    try:
        for batch in batches(lines):
            request = put_lines(batch, is_repeatable=is_repeatable)
            under_way.append(loop.create_task(link.run(request)))
            await asyncio.sleep(0)  # let it go out while the next one is made
            while len(under_way) >= UNDER_WAY_MAX or (under_way and under_way[0].done()):
                yield await under_way[0]
                under_way.popleft()
        while under_way:
            yield await under_way[0]
            under_way.popleft()
    finally:
        for task in under_way:
            task.cancel()
            task.add_done_callback(_look_away)


def _look_away(task: asyncio.Task[Outcomes]) -> None:
    if not task.cancelled():
        task.exception()
