"""The drivers that the contract is tried on.

To add one: write a class or function that is given an empty directory (use it or not) and answers
an *opener*, a function without arguments. Each call of the opener is a new start on the same
storage, as if a server had been started again: it answers a journal that has not been replayed.
Segments should be about `SEGMENT_BYTES_MAX` long, so that the suite sees them roll. Then add it to
`DRIVERS`; nothing else in the suite knows how many there are.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from qserver.ports import Journal
from qserver.storage.file import open_directory
from qserver.storage.memory import MemoryJournal, MemoryStore
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


def started(opener: Opener) -> tuple[Journal, list[bytes]]:
    """A journal that is ready, and the records it had."""
    journal = opener()
    stored = b"".join(records for _, records in journal.replay())
    return journal, [record + b"\n" for record in stored.split(b"\n")[:-1]]


async def settle(done: Awaitable[None] | None) -> None:
    """Wait for a commit or a sync if it is not done yet."""
    if done is not None:
        await done
