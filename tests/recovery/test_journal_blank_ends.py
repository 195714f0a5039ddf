"""The newest segment ends in blank lines that batches are written over: no part of the journal."""

import errno
from pathlib import Path

import pytest

from qserver.errors import StorageFailed
from qserver.storage import seal
from qserver.storage.file import FileJournal, open_directory
from qserver.storage.segment import BATCH_BYTES_MAX, BLANK_AFTER_SYNCS, BLANK_BYTES_MIN
from tests.recovery.blanks import blank_ended, blanks_of
from tests.recovery.full_disk import later
from tests.recovery.journals import (
    FIRST,
    record,
    segments_of,
    started,
    store,
    stored,
)
from tests.sim_disk import SimDisk, everything

NEW = record(999)


def store_until_it_fails(journal: FileJournal) -> None:
    for _ in range(1000):
        store(journal, NEW)


# --- when they are written ---------------------------------------------------------------------


def test_after_some_synced_batches_in_a_row_the_next_ones_change_no_length() -> None:
    disk, journal = blank_ended(BLANK_AFTER_SYNCS)
    assert blanks_of(disk) == 0
    store(journal, NEW)
    assert blanks_of(disk) == BLANK_BYTES_MIN
    length = len(disk.files()[str(FIRST)])
    for _ in range(100):
        store(journal, NEW)
    assert len(disk.files()[str(FIRST)]) == length
    assert journal.size == length - blanks_of(disk)


def test_a_batch_that_reaches_behind_them_brings_new_ones() -> None:
    disk, journal = blank_ended()
    while blanks_of(disk) > 200:
        store(journal, NEW)
    writes = disk.log.count("write"), disk.log.count("sync")
    while blanks_of(disk) <= 200:
        store(journal, NEW)
    assert disk.log.count("write") - writes[0] == disk.log.count("sync") - writes[1] <= 3
    assert blanks_of(disk) == BLANK_BYTES_MIN


def test_none_are_written_where_syncs_are_rare() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    for number in range(100):
        store(journal, record(number), sync=number % BLANK_AFTER_SYNCS != 0)
    assert blanks_of(disk) == 0


def test_a_batch_that_is_not_synced_brings_none() -> None:
    disk, journal = blank_ended(BLANK_AFTER_SYNCS)
    store(journal, NEW, sync=False)
    assert blanks_of(disk) == 0


def test_a_large_batch_is_written_as_it_is() -> None:
    disk, journal = blank_ended(BLANK_AFTER_SYNCS)
    store(journal, b'{"n":"%b"}\n' % (b"x" * BATCH_BYTES_MAX))
    assert blanks_of(disk) == 0


def test_larger_batches_bring_more_of_them_to_a_limit() -> None:
    for size, blanks in ((5_000, range(320_000, 340_000)), (50_000, range(1 << 19, (1 << 19) + 1))):
        disk, journal = blank_ended(BLANK_AFTER_SYNCS)
        store(journal, b'{"n":"%b"}\n' % (b"x" * size))
        assert blanks_of(disk) in blanks


def test_they_end_where_the_segment_does() -> None:
    disk, journal = blank_ended(BLANK_AFTER_SYNCS + 1, segment_bytes_max=3000)
    lengths = set()
    for _ in range(100):
        store(journal, NEW)
        lengths.add(max(map(len, segments_of(disk).values())))
    assert len(segments_of(disk)) > 3
    assert 3000 in lengths
    assert max(lengths) < 3000 + len(NEW) + seal.SEAL_BYTES_MAX


def test_none_are_written_where_room_is_not_ample() -> None:
    for room, blanks in ((80 << 20, BLANK_BYTES_MIN), (60 << 20, 0)):
        disk = SimDisk()
        disk.room = room
        journal, _ = started(disk)
        for number in range(BLANK_AFTER_SYNCS + 1):
            store(journal, record(number))
        assert journal.room
        assert blanks_of(disk) == blanks


# --- when they are cut off -----------------------------------------------------------------------


def test_a_stop_leaves_none() -> None:
    disk, journal = blank_ended()
    journal.close()
    assert blanks_of(disk) == 0


def test_a_stop_that_can_not_cut_them_off_is_a_stop_all_the_same() -> None:
    disk, journal = blank_ended()
    disk.fail("truncate", errno.EIO)
    journal.close()
    assert disk.open_files == 0
    assert blanks_of(disk) == BLANK_BYTES_MIN
    assert len(stored(disk)) == BLANK_AFTER_SYNCS + 1
    assert blanks_of(disk) == 0


def test_what_was_killed_starts_as_if_there_were_none_and_nobody_is_told() -> None:
    disk, _ = blank_ended()
    disk.crash(everything)
    files = set(disk.files())
    journal, records = started(disk)
    assert records == [record(number) for number in range(BLANK_AFTER_SYNCS + 1)]
    assert journal.torn is None
    assert blanks_of(disk) == 0
    store(journal, NEW)
    disk.crash()
    assert stored(disk) == [*records, NEW]
    assert set(disk.files()) == files


def test_a_segment_that_ends_has_none_before_the_next_one_is_there() -> None:
    disk, journal = blank_ended(segment_bytes_max=3000)
    disk.fail("create", errno.EIO)
    with pytest.raises(StorageFailed):
        store_until_it_fails(journal)
    assert disk.log[-2:] == ["truncate", "sync"]
    disk.crash()
    assert blanks_of(disk) == 0


def test_a_cut_that_fails_when_a_segment_ends_stops_the_journal() -> None:
    disk, journal = blank_ended(segment_bytes_max=3000)
    disk.fail("truncate", errno.EIO)
    with pytest.raises(StorageFailed, match="can't write"):
        store_until_it_fails(journal)
    assert len(segments_of(disk)) == 1


# --- on a disk that fails or fills up ------------------------------------------------------------


def test_a_write_over_them_that_fails_is_cut_back_with_them() -> None:
    disk, journal = blank_ended()
    disk.fail("write the rest", errno.EIO)
    with pytest.raises(StorageFailed):
        store(journal, NEW)
    assert blanks_of(disk) == 0
    journal.close()
    assert len(stored(disk)) == BLANK_AFTER_SYNCS + 1


def test_short_writes_of_them_are_continued() -> None:
    disk = SimDisk()
    disk.write_bytes_max = 4099
    journal, _ = started(disk)
    for number in range(3000):
        store(journal, record(number))
    assert blanks_of(disk) > 0
    disk.crash()
    assert stored(disk) == [record(number) for number in range(3000)]


def test_on_a_full_disk_batches_go_on_over_them_and_the_reserve_is_not_touched() -> None:
    disk, journal = blank_ended()
    disk.room = 0
    later(disk)
    reserve = journal.stats()["reserve_bytes"]
    for number in range(100):
        store(journal, record(number))
    assert journal.room == 0
    assert journal.stats()["reserve_bytes"] == reserve


def test_where_there_is_no_room_for_new_ones_the_batch_is_stored_without() -> None:
    disk, journal = blank_ended()
    while blanks_of(disk) > 100:
        store(journal, record(1))
    disk.room = 1000  # and nobody has looked
    store(journal, NEW)
    assert blanks_of(disk) == 0
    disk.room = None
    later(disk)
    for number in range(2):
        store(journal, record(number))
    assert blanks_of(disk) > BLANK_BYTES_MIN - 500
    disk.crash()
    assert stored(disk)[-3:] == [NEW, record(0), record(1)]


def test_a_file_system_that_needs_room_to_write_over_them_gets_new_ones_later() -> None:
    disk, journal = blank_ended()
    disk.fail("write", errno.ENOSPC)
    store(journal, NEW)
    assert blanks_of(disk) == 0
    for number in range(3):
        later(disk)
        store(journal, record(number))
    assert blanks_of(disk) > BLANK_BYTES_MIN - 500
    disk.crash()
    assert stored(disk)[-4:] == [NEW, record(0), record(1), record(2)]


def test_a_real_file_is_lines_of_json_after_a_stop_and_before(tmp_path: Path) -> None:
    journal = open_directory(tmp_path)
    assert list(journal.replay()) == []
    for number in range(20):
        store(journal, record(number))
    path = tmp_path / FIRST.name
    under_work = path.read_bytes()
    journal.close()
    after = path.read_bytes()
    assert under_work == after + b"\n" * (len(under_work) - len(after))
    assert len(under_work) > BLANK_BYTES_MIN
    assert after.splitlines() == [line for line in under_work.splitlines() if line]
