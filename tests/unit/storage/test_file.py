"""Where a commit is done: here or in the thread."""

import asyncio
import errno
import re
import threading
from pathlib import Path

import pytest

from qserver.errors import StorageFailed
from qserver.storage.file import FileJournal, open_directory
from tests.sim_disk import SimDisk, everything, until

DIRECTORY = Path("/journal")
SEGMENT = DIRECTORY / "journal-000000000001.jsonl"
RECORD = b'{"n":1}\n'


def started(disk: SimDisk, segment_bytes_max: int = 1 << 20) -> FileJournal:
    journal = open_directory(DIRECTORY, disk=disk, segment_bytes_max=segment_bytes_max)
    assert list(journal.replay()) == []
    return journal


async def commit(journal: FileJournal, *, sync: bool = True, alone: bool = False) -> bool:
    """Whether it was done where it stands."""
    journal.append(RECORD)
    done = journal.commit(sync=sync, alone=alone)
    if done is not None:
        await asyncio.wrap_future(done)
    return done is None


async def warm(journal: FileJournal) -> None:
    """Until it believes that syncs are quick."""
    for _ in range(9):
        await commit(journal)


async def test_a_sync_is_made_here_once_several_were_quick() -> None:
    disk = SimDisk()
    disk.sync_s = 0.0009
    journal = started(disk)
    here = [await commit(journal) for _ in range(12)]
    assert here == [False] * 8 + [True] * 4
    journal.close()


async def test_syncs_of_more_than_a_millisecond_are_made_in_the_thread() -> None:
    disk = SimDisk()
    disk.sync_s = 0.0011
    journal = started(disk)
    assert not any([await commit(journal) for _ in range(20)])
    journal.close()


async def test_one_slow_sync_sends_the_next_ones_to_the_thread() -> None:
    disk = SimDisk()
    journal = started(disk)
    await warm(journal)
    disk.sync_s = 0.3
    assert await commit(journal)
    assert journal.stats()["last_sync_ms"] == 300
    disk.sync_s = 0.0001
    here = [await commit(journal) for _ in range(10)]
    assert here == [False] * 8 + [True] * 2
    journal.close()


async def test_where_nobody_else_is_there_a_sync_is_made_here_though_it_is_not_so_quick() -> None:
    disk = SimDisk()
    disk.sync_s = 0.004
    journal = started(disk)
    await warm(journal)
    assert await commit(journal, alone=True)
    assert not await commit(journal)
    disk.sync_s = 0.006
    assert await commit(journal, alone=True)
    assert not await commit(journal, alone=True)
    journal.close()


async def test_a_commit_without_a_sync_is_done_here_however_slow_the_disk() -> None:
    disk = SimDisk()
    disk.sync_s = 1
    journal = started(disk)
    await commit(journal, sync=False)  # the first one creates the segment
    assert await commit(journal, sync=False)
    journal.close()


async def test_a_commit_beside_a_sync_waits_for_it_in_a_thread_of_its_own_if_at_all() -> None:
    disk = SimDisk()
    journal = started(disk)
    await commit(journal, sync=False)
    ends = threading.Event()
    disk.before_sync = until(ends)
    under_way = journal.sync()
    assert not await commit(journal, sync=False)  # stored, though the sync has not ended
    assert disk.files()[str(SEGMENT)].count(RECORD) == 2
    ends.set()
    assert under_way is not None
    await asyncio.wrap_future(under_way)
    assert await commit(journal, sync=False)
    journal.close()


async def test_a_commit_that_begins_a_segment_is_done_in_the_thread() -> None:
    journal = started(SimDisk(), segment_bytes_max=2000)
    begun = []
    for _ in range(60):
        segment = journal.stats()["segments"]
        here = await commit(journal, sync=False)
        assert here == (journal.stats()["segments"] == segment)
        begun.append(here)
    assert 1 < begun.count(False) < 10
    journal.close()


async def test_a_commit_that_drops_segments_is_done_in_the_thread() -> None:
    journal = await with_two_segments(SimDisk())
    assert [await commit(journal, sync=False) for _ in range(2)] == [False, True]
    wait_for_removal(journal)
    assert journal.stats()["segments"] == 1
    journal.close()


async def with_two_segments(disk: SimDisk) -> FileJournal:
    """The older one to be dropped with the next commit."""
    journal = started(disk, segment_bytes_max=2000)
    while journal.stats()["segments"] != 2:
        await commit(journal, sync=False)
    journal.drop_before(journal.segment)
    return journal


def wait_for_removal(journal: FileJournal) -> None:
    journal._remover.submit(lambda: None).result(60)


async def test_nobody_waits_while_a_dropped_segment_is_removed() -> None:
    disk = SimDisk()
    journal = await with_two_segments(disk)
    ends = threading.Event()
    disk.before_unlink = until(ends)
    assert not await commit(journal, sync=False)
    assert await commit(journal, sync=False)
    assert not await commit(journal, sync=True)
    journal.drop_before(journal.segment)
    journal.look_for_room()
    assert journal.stats()["segments"] == 2
    assert journal.size < len(disk.files()[str(SEGMENT)])  # what is dropped counts no more
    ends.set()
    wait_for_removal(journal)
    assert journal.stats()["segments"] == 1
    assert journal.size == sum(
        len(content) for path, content in disk.files().items() if "journal-" in path
    )
    journal.close()


async def test_a_segment_that_there_was_no_room_to_remove_is_tried_again() -> None:
    disk = SimDisk()
    journal = await with_two_segments(disk)
    disk.fail("unlink", errno.ENOSPC)
    await commit(journal, sync=False)
    wait_for_removal(journal)
    assert journal.stats()["segments"] == 2
    assert await commit(journal, sync=False)
    journal.look_for_room()
    wait_for_removal(journal)
    assert journal.stats()["segments"] == 1
    journal.close()


async def test_a_removal_that_fails_stops_the_journal_before_the_next_batch() -> None:
    disk = SimDisk()
    journal = await with_two_segments(disk)
    disk.fail("unlink", errno.EPERM)
    await commit(journal, sync=False)
    wait_for_removal(journal)
    with pytest.raises(StorageFailed, match="can't remove a segment"):
        await commit(journal, sync=False)
    journal.close()


async def test_a_close_waits_for_what_is_being_removed() -> None:
    disk = SimDisk()
    journal = await with_two_segments(disk)
    ends = threading.Event()
    disk.before_unlink = until(ends)
    await commit(journal, sync=False)
    closing = threading.Thread(target=journal.close)
    closing.start()
    closing.join(0.01)
    assert closing.is_alive()
    ends.set()
    closing.join(60)
    assert not closing.is_alive()
    assert SEGMENT not in map(Path, disk.files())


async def test_what_a_killed_server_had_not_removed_yet_the_next_one_does() -> None:
    disk = SimDisk()
    journal = await with_two_segments(disk)
    disk.fail("unlink", errno.ENOSPC)
    await commit(journal, sync=False)
    wait_for_removal(journal)
    disk.kill()
    journal = open_directory(DIRECTORY, disk=disk, segment_bytes_max=2000)
    assert b"".join(records for _, records in journal.replay())
    assert journal.stats()["segments"] == 2
    journal.look_for_room()
    wait_for_removal(journal)
    assert journal.stats()["segments"] == 1
    journal.close()


async def test_the_loop_goes_on_during_a_sync_in_the_thread() -> None:
    disk = SimDisk()
    journal = started(disk)
    await commit(journal)
    loop_went_on = threading.Event()
    disk.before_sync = until(loop_went_on)
    journal.append(RECORD)
    done = journal.commit(sync=True)
    loop_went_on.set()
    assert done is not None
    await asyncio.wrap_future(done)
    journal.close()


async def test_no_sync_is_made_here_beside_one_in_the_thread() -> None:
    """The system tells one of the two alone that it failed."""
    disk = SimDisk()
    journal = started(disk)
    await warm(journal)
    await commit(journal, sync=False)
    under_way = journal.sync()
    assert not await commit(journal)
    assert under_way is not None
    await asyncio.wrap_future(under_way)
    assert await commit(journal)
    journal.close()


async def test_a_segment_ends_under_a_sync_and_both_are_right() -> None:
    disk = SimDisk()
    journal = started(disk, segment_bytes_max=300)
    for _ in range(20):
        await commit(journal, sync=False)
        syncs = [journal.sync()]
        journal.append(RECORD)
        syncs.append(journal.commit(sync=False))
        await asyncio.gather(*map(asyncio.wrap_future, filter(None, syncs)))
    done = journal.sync()
    if done is not None:
        await asyncio.wrap_future(done)
    disk.crash()
    journal = open_directory(DIRECTORY, disk=disk)
    assert b"".join(records for _, records in journal.replay()) == RECORD * 40
    journal.close()


async def test_a_second_commit_while_one_is_under_way_is_a_mistake() -> None:
    disk = SimDisk()
    journal = started(disk)
    held = threading.Event()
    disk.before_sync = until(held)
    journal.append(RECORD)
    done = journal.commit(sync=True)
    journal.append(RECORD)
    with pytest.raises(AssertionError):
        journal.commit(sync=True)
    held.set()
    assert done is not None
    await asyncio.wrap_future(done)
    journal.close()


def test_the_age_of_what_is_not_synced_is_told() -> None:
    disk = SimDisk()
    journal = started(disk)
    journal.append(RECORD)
    journal.commit(sync=False)
    disk.clock_s += 2
    journal.append(RECORD)
    journal.commit(sync=False)
    disk.clock_s += 1.5
    assert journal.stats()["unsynced_age_s"] == 3.5
    journal.sync()
    assert journal.stats()["unsynced_age_s"] == 0
    journal.close()


def test_what_is_written_during_a_sync_is_not_taken_for_synced() -> None:
    disk = SimDisk()
    journal = started(disk)

    def write_more() -> None:
        disk.before_sync = lambda: None
        disk.clock_s += 1
        journal.append(b"during\n")
        journal.commit(sync=False)

    journal.append(RECORD)
    journal.commit(sync=False)
    disk.before_sync = write_more
    disk.clock_s += 5
    journal.sync()
    assert journal.stats()["unsynced_age_s"] == 1
    syncs = disk.log.count("sync")
    journal.append(RECORD)
    journal.commit(sync=False)
    content = disk.files()[str(SEGMENT)]
    header_bytes = content.index(RECORD)
    claims = [int(claim) for claim in re.findall(rb'"synced":(\d+)', content)]
    assert claims == [header_bytes, header_bytes, content.index(b"during")]
    assert journal.commit(sync=True) is None
    assert disk.log.count("sync") == syncs + 1
    journal.close()


def test_a_commit_under_sync_never_makes_no_sync_but_for_a_new_segment() -> None:
    disk = SimDisk()
    journal = started(disk)
    journal.append(RECORD)
    journal.commit(sync=False)
    assert disk.log.count("sync") == 1
    for _ in range(5):
        journal.append(RECORD)
        journal.commit(sync=False)
    assert disk.log.count("sync") == 1
    journal.append(RECORD)
    journal.commit(sync=True)
    assert disk.log.count("sync") == 2
    journal.close()
    assert disk.log.count("sync") == 2


def test_a_start_makes_durable_what_a_killed_process_left() -> None:
    disk = SimDisk()
    journal = started(disk)
    journal.append(RECORD)
    journal.commit(sync=False)
    disk.crash(everything, names_survive=lambda: True)
    journal = open_directory(DIRECTORY, disk=disk)
    assert list(journal.replay()) == [(1, RECORD)]
    disk.crash()
    journal = open_directory(DIRECTORY, disk=disk)
    assert list(journal.replay()) == [(1, RECORD)]
    journal.close()


def test_a_seal_says_how_many_records_it_closes_in_however_few_pieces_they_came() -> None:
    disk = SimDisk()
    journal = started(disk)
    for _ in range(2):
        journal.append(RECORD)
        journal.extend(RECORD * 3, 3)
        journal.commit(sync=False)
    journal.append(RECORD)
    journal.commit(sync=False)
    assert re.findall(rb'"records":(\d+)', disk.files()[str(SEGMENT)]) == [b"4", b"4", b"1"]
    journal.close()
