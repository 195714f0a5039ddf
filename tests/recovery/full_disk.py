"""Journals on a disk that fills up."""

from qserver.errors import StorageFull
from qserver.storage.file import FileJournal
from tests.recovery.journals import (
    RESERVE,
    record,
    started,
    store,
)
from tests.sim_disk import SimDisk

WHOLE = 4096
SEGMENT_BYTES_MAX = 16 * WHOLE


def full(room: int = 0) -> tuple[SimDisk, FileJournal]:
    """A journal of one batch that wakes up on a disk with so much room."""
    disk = SimDisk()
    journal, _ = started(disk, SEGMENT_BYTES_MAX)
    store(journal, record(0))
    disk.room = room
    return disk, journal


def without_reserve(room: int = 0) -> tuple[SimDisk, FileJournal]:
    """The same, and the reserve is used up."""
    disk, journal = full(room)
    disk.unlink(RESERVE)
    disk.room = room
    return disk, journal


def use_up(journal: FileJournal) -> int:
    """Store records from number 1 on until even the reserve is used up; answers the last one."""
    for number in range(1, 1000):
        try:
            store(journal, record(number))
        except StorageFull:
            return number - 1
    raise AssertionError("the disk is endless")


def later(disk: SimDisk) -> None:
    """So much that room is looked for again."""
    disk.clock_s += 1
