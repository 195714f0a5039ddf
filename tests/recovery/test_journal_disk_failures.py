"""Calls to the disk fail: an error or a refusal, never a hole."""

import asyncio
import errno

import pytest

from qserver.errors import StorageFailed, StorageFull
from qserver.storage.file import FileJournal
from tests.recovery.journals import DIRECTORY, FIRST, journal_of, record, started, store, stored
from tests.sim_disk import SimDisk, everything

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def test_short_writes_are_continued() -> None:
    disk = SimDisk()
    disk.write_bytes_max = 7
    journal, _ = started(disk, 300)
    expected = [record(number) for number in range(10)]
    for one in expected:
        store(journal, one)
    journal.close()
    disk.crash()
    assert stored(disk) == expected


def test_a_write_that_takes_nothing_more_has_failed() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    store(journal, record(0))
    disk.write_bytes_max = 0
    with pytest.raises(StorageFailed):
        store(journal, record(1))
    journal.close()
    disk.write_bytes_max = None
    assert stored(disk) == [record(0)]


@pytest.mark.parametrize("error", NO_ROOM)
def test_without_room_a_batch_is_given_up_and_the_next_one_may_succeed(error: int) -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    store(journal, record(0))
    before = disk.files()[str(FIRST)]
    for number in range(1, 4):
        disk.fail("write", error)
        with pytest.raises(StorageFull, match="no room"):
            store(journal, record(number))
        assert not journal.pending
        assert disk.files()[str(FIRST)] == before
    store(journal, record(4))
    journal.close()
    assert stored(disk) == [record(0), record(4)]


def test_a_disk_that_fills_up_in_the_middle_of_a_batch_keeps_nothing_of_it() -> None:
    for room in range(100):
        disk = SimDisk()
        journal, _ = started(disk)
        store(journal, record(0))
        before = disk.files()[str(FIRST)]
        disk.room = room
        with pytest.raises(StorageFull):
            store(journal, record(1))
        assert disk.files()[str(FIRST)] == before
        disk.room = None
        store(journal, record(2))
        disk.crash()
        assert stored(disk) == [record(0), record(2)]


def test_a_position_that_was_given_up_is_not_used_again() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    disk.room = 0
    with pytest.raises(StorageFull):
        store(journal, record(1))
    disk.room = None
    assert journal.position == 2
    store(journal, record(2))
    journal.close()
    journal, found = started(disk)
    assert (found, journal.position) == ([record(2)], 3)


@pytest.mark.parametrize("call", ["create", "write"])
def test_a_full_disk_while_a_segment_is_begun_gives_up_the_batch_alone(call: str) -> None:
    disk, records = journal_of(1, 1)
    size = len(disk.files()[str(FIRST)])
    journal, _ = started(disk, size)
    assert journal.segment == 3
    for _ in range(3):
        disk.fail(call, errno.ENOSPC)
        with pytest.raises(StorageFull):
            store(journal, record(8))
        assert journal.segment == 3
    store(journal, record(9))
    journal.close()
    disk.crash()
    journal, found = started(disk, size)
    assert found == [*records, record(9)]
    assert journal.position == 7


def test_a_start_after_a_segment_was_begun_and_its_batch_given_up() -> None:
    disk, records = journal_of(1, 1)
    size = len(disk.files()[str(FIRST)])
    journal, _ = started(disk, size)
    for number, after in ((3, 0), (4, 1)):  # only the header's write is well the second time
        disk.fail("write", errno.ENOSPC, after=after)
        with pytest.raises(StorageFull):
            store(journal, record(number))
    journal.close()
    for _ in range(2):
        journal, found = started(disk, size)
        assert found == records
        assert (journal.segment, journal.position) == (3, 3)
        journal.close()
    journal, found = started(disk, 1)
    assert (journal.segment, journal.position) == (3, 3)
    store(journal, record(5))
    journal.close()
    assert stored(disk) == [*records, record(5)]


def test_a_segment_may_be_named_by_a_position_after_others_that_were_given_up() -> None:
    disk, records = journal_of(1, 1)
    size = len(disk.files()[str(FIRST)])
    journal, _ = started(disk, size + 250)
    assert (journal.segment, journal.position) == (1, 3)
    disk.fail("write", errno.ENOSPC)
    with pytest.raises(StorageFull):  # one that would have ended the segment
        store(journal, b"x" * 250 + b"\n")
    assert (journal.segment, journal.position) == (4, 4)
    disk.fail("write", errno.ENOSPC, after=1)
    with pytest.raises(StorageFull):  # one that begins the next
        store(journal, record(4))
    journal.close()
    journal, found = started(disk, size + 250)
    assert (found, journal.segment, journal.position) == (records, 4, 4)
    store(journal, record(5))
    journal.close()
    assert stored(disk) == [*records, record(5)]


def test_a_full_disk_does_not_stop_a_start() -> None:
    disk, records = journal_of(1, 1)
    disk.room = 0
    journal, found = started(disk)
    assert found == records
    with pytest.raises(StorageFull):
        store(journal, record(1))
    disk.room = None
    store(journal, record(2))
    journal.close()
    assert stored(disk) == [*records, record(2)]


def test_a_full_disk_does_not_stop_a_first_start() -> None:
    disk = SimDisk()
    disk.room = 0
    journal, _ = started(disk)
    with pytest.raises(StorageFull):
        store(journal, record(0))
    disk.room = None
    store(journal, record(1))
    journal.close()
    assert stored(disk) == [record(1)]


@pytest.mark.parametrize("call", ["write", "write the rest"])
def test_after_a_failed_write_nothing_more_is_written(call: str) -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    store(journal, record(0))
    before = disk.files()[str(FIRST)]
    disk.fail(call, errno.EIO)
    with pytest.raises(StorageFailed, match="can't write"):
        store(journal, record(1))
    assert disk.files()[str(FIRST)] == before
    assert_refuses(journal, disk)
    assert stored(disk) == [record(0)]


def test_a_failed_write_that_cannot_be_cut_back_is_cut_by_the_next_start() -> None:
    for error in (errno.EIO, errno.ENOSPC):
        disk = SimDisk()
        journal, _ = started(disk)
        store(journal, record(0))
        disk.fail("write the rest", error)
        disk.fail("truncate", errno.EIO)
        with pytest.raises(StorageFailed):
            store(journal, record(1))
        assert_refuses(journal, disk)
        assert stored(disk) == [record(0)]


def assert_refuses(journal: FileJournal, disk: SimDisk) -> None:
    """The journal refuses all from now on, touches nothing, and gives its lock up."""
    changes = disk.changes
    for sync in (True, False):
        journal.append(record(99))
        with pytest.raises(StorageFailed):
            journal.commit(sync=sync)
    with pytest.raises(StorageFailed):
        journal.sync()
    assert "no more is written" in str(journal.stats()["storage_error"])
    journal.close()
    assert disk.changes == changes
    assert disk.open_files == 0


@pytest.mark.parametrize("by", ["commit", "sync"])
def test_a_failed_sync_is_not_tried_again(by: str) -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    store(journal, record(0))
    disk.fail("sync", errno.EIO)
    journal.append(record(1))
    with pytest.raises(StorageFailed, match="can't sync"):  # noqa: PT012 - either of two calls
        if by == "commit":
            journal.commit(sync=True)
        else:
            journal.commit(sync=False)
            journal.sync()
    assert_refuses(journal, disk)


def test_a_start_after_a_failed_sync_reads_what_the_device_holds() -> None:
    """Memory shows the batch, the device does not have it, and says that it is clean."""
    disk = SimDisk()
    journal, _ = started(disk)
    store(journal, record(0))
    disk.fail("sync", errno.EIO)
    with pytest.raises(StorageFailed):
        store(journal, record(1))
    journal.close()
    assert stored(disk) == [record(0)]


@pytest.mark.parametrize("call", ["sync", "create", "sync_directory", "write the rest"])
def test_a_failure_while_a_segment_is_begun_stops_the_journal(call: str) -> None:
    disk, records = journal_of(1, 1)
    journal, _ = started(disk, len(disk.files()[str(FIRST)]))
    disk.fail(call, errno.EIO)
    with pytest.raises(StorageFailed):
        store(journal, record(9))
    assert_refuses(journal, disk)
    disk.crash()
    assert stored(disk) == records


def test_a_failed_sync_of_the_old_segment_stops_the_journal_before_the_new_one_is_there() -> None:
    disk, records = journal_of(1)
    journal, _ = started(disk, 2 * len(disk.files()[str(FIRST)]))
    store(journal, record(1), sync=False)
    assert journal.segment == 3
    disk.fail("sync", errno.EIO)
    with pytest.raises(StorageFailed):
        store(journal, record(2))
    assert [name for name in disk.names(DIRECTORY) if "journal" in name] == [FIRST.name]
    journal.close()
    disk.crash()
    assert stored(disk) == records


def test_a_failed_unlink_stops_the_journal_and_the_next_start_finishes_it() -> None:
    disk, _ = journal_of(*[1] * 12, segment_bytes_max=500)
    journal, records = started(disk)
    journal.drop_before(journal.segment)
    disk.fail("unlink", errno.EPERM, after=1)
    with pytest.raises(StorageFailed):
        store(journal, record(90))
    journal.close()
    journal, found = started(disk)
    assert found == [*records, record(90)][-len(found) :]
    store(journal, record(91))
    assert journal.stats()["segments"] == 1
    journal.close()
    assert stored(disk)[-2:] == [record(90), record(91)]


def test_an_unreadable_journal_is_no_empty_journal() -> None:
    disk, records = journal_of(1, 1)
    for call in ("names", "open", "sync", "read"):
        before = disk.files()
        disk.fail(call, errno.EIO)
        with pytest.raises(StorageFailed, match="can't read the journal"):
            stored(disk)
        assert disk.files() == before
    disk.fail("open", errno.EACCES, after=1)
    with pytest.raises(StorageFailed, match="can't write"):
        stored(disk)
    assert stored(disk) == records


@pytest.mark.parametrize("call", ["create", "sync_directory", "truncate", "write"])
def test_a_repair_that_fails_is_a_refusal(call: str) -> None:
    disk, records = journal_of(1, 1)
    content = disk.files()[str(FIRST)]
    disk.put(FIRST, content + b"a torn end")
    disk.fail(call, errno.EIO)
    with pytest.raises(StorageFailed):
        stored(disk)
    assert disk.open_files == 0
    assert stored(disk) == records


def test_a_directory_that_cannot_be_used_is_a_refusal() -> None:
    for call in ("make_directory", "lock"):
        disk = SimDisk()
        disk.fail(call, errno.EACCES)
        with pytest.raises(StorageFailed, match="can't use the directory"):
            stored(disk)


def test_the_owners_name_is_a_courtesy() -> None:
    disk = SimDisk()
    disk.fail("write", errno.ENOSPC)
    assert stored(disk) == []


async def test_a_failure_in_the_thread_reaches_who_waits_and_what_was_queued_behind() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    journal.append(record(0))
    first = journal.commit(sync=True, waiting=10)
    assert first is not None
    await first
    journal.append(record(1))
    assert journal.commit(sync=False) is None
    disk.fail("sync", errno.EIO)
    under_way = journal.sync()
    journal.append(record(2))
    second = journal.commit(sync=True, waiting=1)
    assert under_way is not None
    assert second is not None
    results = await asyncio.gather(under_way, second, return_exceptions=True)
    assert [type(result) for result in results] == [StorageFailed, StorageFailed]
    journal.close()


async def test_a_sync_behind_a_failed_commit_is_not_made() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    journal.append(record(0))
    first = journal.commit(sync=True, waiting=10)
    assert first is not None
    await first
    journal.append(record(1))
    assert journal.commit(sync=False) is None
    disk.fail("sync", errno.EIO)
    journal.append(record(2))
    commit = journal.commit(sync=True, waiting=10)
    under_way = journal.sync()
    assert commit is not None
    assert under_way is not None
    results = await asyncio.gather(commit, under_way, return_exceptions=True)
    assert [type(result) for result in results] == [StorageFailed, StorageFailed]
    journal.close()


async def test_a_full_disk_in_the_thread_gives_up_that_batch_alone() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    journal.append(record(0))
    disk.room = 0
    under_way = journal.commit(sync=True, waiting=10)
    journal.append(record(1))
    assert journal.position == 2
    assert under_way is not None
    with pytest.raises(StorageFull):
        await under_way
    disk.room = None
    under_way = journal.commit(sync=True, waiting=10)
    assert under_way is not None
    await under_way
    disk.crash(everything)
    assert stored(disk) == [record(1)]
