"""The drivers that the contract is tried on.

To add one: write a class or function that is given an empty directory (use it or not) and answers
an *opener*, a function without arguments. Each call of the opener is a new start on the same
storage, as if a server had been started again: it answers a journal that has not been replayed.
Segments should be about `SEGMENT_BYTES_MAX` long, so that the suite sees them roll. Then add it to
`DRIVERS`; nothing else in the suite knows how many there are. If its storage can be full, add to
`DRIVERS_THAT_FILL_UP` one that answers the opener with a function that is told how many bytes there
is room for, None for no end; nothing is reserved there that a commit could fall back on.
"""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from qserver.ports import Journal
from qserver.storage.file import open_directory
from qserver.storage.memory import MemoryJournal, MemoryStore
from qserver.storage.room import RESERVE_NAME
from tests.sim_disk import SimDisk

Opener = Callable[[], Journal]

SEGMENT_BYTES_MAX: Final = 1000
"""Segments may end up to a few hundred bytes before or after this."""


def file_on_the_real_disk(directory: Path) -> Opener:
    return lambda: open_directory(directory / "journal", segment_bytes_max=SEGMENT_BYTES_MAX)


def file_on_a_simulated_disk(directory: Path) -> Opener:
    disk = SimDisk()
    return lambda: open_directory(directory, segment_bytes_max=SEGMENT_BYTES_MAX, disk=disk)


def memory(directory: Path) -> Opener:
    store = MemoryStore()
    return lambda: MemoryJournal(store, segment_bytes_max=SEGMENT_BYTES_MAX)


DRIVERS: Final = (file_on_the_real_disk, file_on_a_simulated_disk, memory)


def file_on_a_disk_that_fills_up(
    directory: Path,
) -> tuple[Opener, Callable[[int | None], None]]:
    disk = SimDisk()

    def make_room(room: int | None) -> None:
        with contextlib.suppress(FileNotFoundError):
            disk.unlink(directory / RESERVE_NAME)
        disk.room = room
        disk.clock_s += 10

    return lambda: open_directory(
        directory, segment_bytes_max=SEGMENT_BYTES_MAX, disk=disk
    ), make_room


DRIVERS_THAT_FILL_UP: Final = (file_on_a_disk_that_fills_up,)


def started(opener: Opener) -> tuple[Journal, list[bytes]]:
    """A journal that is ready, and the records it had."""
    journal = opener()
    stored = b"".join(records for _, records in journal.replay())
    return journal, [record + b"\n" for record in stored.split(b"\n")[:-1]]


async def settle(done: "Future[None] | None") -> None:
    """Wait for a commit or a sync if it is not done yet."""
    if done is not None:
        await asyncio.wrap_future(done)
