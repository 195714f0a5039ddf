"""Journals whose newest segment ends in blank lines."""

from qserver.storage.file import FileJournal
from qserver.storage.segment import BLANK_AFTER_SYNCS
from tests.recovery.journals import FIRST, journal_of, record, segments_of, started, store
from tests.sim_disk import SimDisk

BLANKS = b"\n" * 300


def blank_ended(
    batches: int = BLANK_AFTER_SYNCS + 1, segment_bytes_max: int = 1 << 20
) -> tuple[SimDisk, FileJournal]:
    """A journal under work, with so many synced batches of a record each."""
    disk = SimDisk()
    journal, _ = started(disk, segment_bytes_max)
    for number in range(batches):
        store(journal, record(number))
    return disk, journal


def blanks_of(disk: SimDisk) -> int:
    """How many bytes the newest segment has behind its last seal; none of them is anything else."""
    content = list(segments_of(disk).values())[-1]
    return len(content) - len(content.rstrip(b"\n")) - 1


def with_blanks(*batches: int) -> tuple[bytes, list[bytes]]:
    """A segment with blank lines at its end, and the records."""
    disk, records = journal_of(*batches)
    return disk.files()[str(FIRST)] + BLANKS, records
