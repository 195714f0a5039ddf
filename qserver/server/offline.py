"""What can be done with a journal while no server works on it: check, repair, export.

A check and an export read only, and change nothing. A repair takes the directory's lock. After it,
numbers go on a million behind the highest that can be seen anywhere, so that no id and no receipt
is given out again whose record may have been lost.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qserver.broker.broker import Broker
from qserver.broker.message import DELAYED, LEASED, STATES, Message
from qserver.broker.restore import Restorer
from qserver.config import RESERVED_NUMBERS, Limits
from qserver.errors import Damaged, Locked, StorageFailed
from qserver.ports import Progress
from qserver.storage.disk import Disk, RealDisk
from qserver.storage.file import LOCK_NAME, lock
from qserver.storage.loss import Loss
from qserver.storage.record import replay
from qserver.storage.recorder import JournalRecorder
from qserver.storage.memory import MemoryJournal
from qserver.storage.repair import repair as repair_files
from qserver.storage.survey import Survey, records_of, survey


@dataclass
class Report:
    """How a journal was found, and what was done.

    Attributes:
        is_in_use: whether a server worked on it meanwhile.
        kept_as: where damaged bytes were copied to; None if nothing was repaired.
    """

    directory: Path
    found: Survey
    loss: Loss
    is_in_use: bool = False
    kept_as: list[Path] | None = field(default=None)


class _Kept:
    """What a survey keeps, to be replayed."""

    def __init__(self, disk: Disk, found: Survey) -> None:
        self._disk = disk
        self._found = found

    def replay(self, progress: Progress | None = None) -> Iterator[tuple[int, bytes]]:
        """See `Journal`."""
        del progress
        yield from records_of(self._disk, self._found)


def check(directory: Path, disk: Disk | None = None) -> Report:
    """Look at a journal.

    Raises:
        StorageError: it can't be read, or a later version wrote it.
    """
    disk = disk or RealDisk()
    is_in_use = _is_in_use(disk, directory)
    found = survey(disk, directory)
    return Report(directory, found, _loss(disk, found), is_in_use)


def repair(directory: Path, disk: Disk | None = None) -> Report:
    """Make a damaged journal one that a server starts with; a whole one is left as it is.

    Raises:
        StorageError: it is in use, can't be read or written, or a later version wrote it.
    """
    disk = disk or RealDisk()
    _names(disk, directory)
    held = lock(disk, directory)
    try:
        found = survey(disk, directory)
        report = Report(directory, found, _loss(disk, found))
        if not found.is_whole:
            broker = _rebuilt(disk, found)
            seen = [*report.loss.messages, *report.loss.facts, broker.last_id]
            behind = JournalRecorder(journal := MemoryJournal())
            broker.recorder = behind
            report.kept_as = repair_files(disk, directory, found, _sequence(max(seen), broker))
        return report
    finally:
        disk.close(held)
