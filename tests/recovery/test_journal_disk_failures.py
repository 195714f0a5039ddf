"""Calls to the disk fail: an error or a refusal, never a hole."""

import asyncio
import errno

import pytest

from qserver.errors import StorageFailed
from qserver.storage.file import FileJournal
from qserver.storage.segment import NAMED_S
from tests.recovery.journals import DIRECTORY, FIRST, journal_of, record, started, store, stored
from tests.sim_disk import SimDisk


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


@pytest.mark.parametrize("taken", [7001, 70_000, 100_000])
def test_a_batch_in_pieces_is_continued_wherever_a_write_ends(taken: int) -> None:
    disk = SimDisk()
    disk.write_bytes_max = taken
    journal, _ = started(disk)
    expected = [b'{"n":%d,"fill":"%b"}\n' % (number, b"x" * 50_000) for number in range(4)]
    store(journal, *expected)
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


@pytest.mark.parametrize("error", [errno.EIO, errno.EFBIG])
@pytest.mark.parametrize("call", ["write", "write the rest"])
def test_after_a_failed_write_nothing_more_is_written(call: str, error: int) -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    store(journal, record(0))
    before = disk.files()[str(FIRST)]
    disk.fail(call, error)
    with pytest.raises(StorageFailed, match="can't write"):
        store(journal, record(1))
    assert disk.files()[str(FIRST)] == before
    assert_refuses(journal, disk)
    assert stored(disk) == [record(0)]


@pytest.mark.parametrize("sync", [True, False])
def test_a_file_that_was_removed_is_written_on_no_more(sync: bool) -> None:  # noqa: FBT001
    disk = SimDisk()
    journal, _ = started(disk)
    store(journal, record(0))
    disk.unlink(FIRST)
    if not sync:
        disk.clock_s += NAMED_S
    journal.append(record(1))
    with pytest.raises(StorageFailed, match=f"{FIRST.name}.*removed|removed.*{FIRST.name}"):
        journal.commit(sync=sync)
    assert_refuses(journal, disk)


@pytest.mark.parametrize("call", ["write", "sync", "create", "sync_directory"])
def test_a_file_system_that_turns_read_only_stops_the_journal_and_keeps_what_is_there(
    call: str,
) -> None:
    disk, records = journal_of(1, 1)
    journal, _ = started(disk, len(disk.files()[str(FIRST)]))
    disk.fail(call, errno.EROFS, times=99)
    with pytest.raises(StorageFailed, match="Read-only"):
        store(journal, record(9))
    journal.close()
    disk.crash()
    assert stored(disk) == records


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
    first = journal.commit(sync=True)
    assert first is not None
    await asyncio.wrap_future(first)
    journal.append(record(1))
    assert journal.commit(sync=False) is None
    disk.fail("sync", errno.EIO)
    under_way = journal.sync()
    journal.append(record(2))
    second = journal.commit(sync=True)
    assert under_way is not None
    assert second is not None
    results = await asyncio.gather(
        *map(asyncio.wrap_future, (under_way, second)), return_exceptions=True
    )
    assert [type(result) for result in results] == [StorageFailed, StorageFailed]
    journal.close()


async def test_a_sync_behind_a_failed_commit_is_not_made() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    journal.append(record(0))
    first = journal.commit(sync=True)
    assert first is not None
    await asyncio.wrap_future(first)
    journal.append(record(1))
    assert journal.commit(sync=False) is None
    disk.fail("sync", errno.EIO)
    journal.append(record(2))
    commit = journal.commit(sync=True)
    under_way = journal.sync()
    assert commit is not None
    assert under_way is not None
    results = await asyncio.gather(
        *map(asyncio.wrap_future, (commit, under_way)), return_exceptions=True
    )
    assert [type(result) for result in results] == [StorageFailed, StorageFailed]
    journal.close()
