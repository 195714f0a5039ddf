"""The disk is full: the end of messages goes on from the reserve, then waits; nothing is lost."""

import asyncio
import errno

import pytest

from qserver.errors import StorageFailed, StorageFull
from tests.recovery.full_disk import WHOLE, full, later, use_up, without_reserve
from tests.recovery.journals import (
    FIRST,
    RESERVE,
    record,
    started,
    store,
    stored,
)
from tests.sim_disk import SimDisk, everything


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["write", "write the rest"])
def test_the_batch_that_finds_the_disk_full_is_stored_by_the_reserve(error: int, call: str) -> None:
    disk, journal = full(room=1000)
    disk.fail(call, error)
    assert journal.room > 0
    store(journal, record(1))
    assert journal.room == 0
    assert journal.stats()["disk_room"] == "no"
    assert not journal.pending
    disk.crash()
    assert stored(disk) == [record(0), record(1)]


def test_commits_go_on_for_as_long_as_the_reserve_lasts() -> None:
    disk, journal = full()
    number = 1 + use_up(journal)
    assert str(RESERVE) not in disk.files()
    assert journal.stats()["reserve_bytes"] == 0
    disk.crash()
    disk.room = None
    assert stored(disk) == [record(kept) for kept in range(number)]


def test_the_reserve_is_given_up_no_faster_than_it_is_needed() -> None:
    disk = SimDisk()
    journal, _ = started(disk, 64 << 20)
    whole = len(disk.files()[str(RESERVE)])
    assert whole == 4 << 20
    store(journal, record(0))
    disk.room = 0
    store(journal, record(1))
    assert len(disk.files()[str(RESERVE)]) == whole - whole // 16
    assert journal.stats()["reserve_bytes"] == whole - whole // 16
    store(journal, record(2))
    assert journal.stats()["reserve_bytes"] == whole - whole // 16
    store(journal, b"x" * (1 << 20) + b"\n")
    assert len(disk.files()[str(RESERVE)]) < whole - whole // 16 - (1 << 20)


def test_a_batch_without_room_is_kept_and_stored_before_what_came_later() -> None:
    for room in range(0, 120, 7):
        disk, journal = without_reserve(room)
        before = disk.files()[str(FIRST)]
        journal.append(record(1))
        journal.append(record(2))
        for _ in range(3):
            with pytest.raises(StorageFull, match="which waits"):
                journal.commit(sync=True)
            assert journal.pending
            assert disk.files()[str(FIRST)] == before
        journal.append(record(3))
        disk.room = None
        assert journal.commit(sync=False) is None
        assert journal.pending
        disk.crash()
        assert stored(disk) == [record(0), record(1), record(2)]


def test_a_kept_batch_keeps_its_position_and_what_follows_its_own() -> None:
    disk, journal = without_reserve()
    journal.append(record(1))
    assert (journal.position, journal.segment) == (2, 1)
    with pytest.raises(StorageFull):
        journal.commit(sync=True)
    told = journal.position, journal.segment
    assert told[0] == 3
    journal.append(record(2))
    for _ in range(2):
        with pytest.raises(StorageFull):
            journal.commit(sync=True)
        assert (journal.position, journal.segment) == told
    disk.room = None
    journal.commit(sync=True)
    assert (journal.position, journal.segment) == told
    journal.commit(sync=True)
    assert journal.position == told[0] + 1
    assert not journal.pending
    journal.close()
    assert stored(disk) == [record(0), record(1), record(2)]


def test_a_kept_batch_is_synced_if_either_call_asked_for_it() -> None:
    for first, second in ((True, False), (False, True), (False, False)):
        disk, journal = without_reserve()
        journal.append(record(1))
        with pytest.raises(StorageFull):
            journal.commit(sync=first)
        disk.room = None
        assert journal.commit(sync=second) is None
        disk.crash()
        assert stored(disk) == [record(0), record(1)][: 1 + (first or second)]


def test_it_heals_about_a_second_after_room_was_made() -> None:
    disk, journal = full()
    store(journal, record(1))
    assert journal.room == 0
    disk.room = 100_000
    store(journal, record(2))
    assert journal.room == 0
    later(disk)
    store(journal, record(3))
    assert 90_000 < journal.room < 100_000
    assert len(disk.files()[str(RESERVE)]) == WHOLE
    assert journal.stats()["storage_error"] == ""


def test_it_heals_without_a_commit_when_it_is_looked_after() -> None:
    disk, journal = full()
    store(journal, record(1))
    for _ in range(3):
        assert journal.look_for_room() is None
        assert journal.room == 0
    disk.room = 100_000
    assert journal.look_for_room() is None
    assert journal.room > 90_000


def test_too_little_room_for_a_whole_reserve_is_left_to_others() -> None:
    disk = SimDisk()
    journal, _ = started(disk, 64 << 20)
    disk.room = 0
    store(journal, record(1))
    left = len(disk.files()[str(RESERVE)])
    assert 0 < left < 4 << 20
    disk.room = (4 << 20) - left
    later(disk)
    store(journal, record(2))
    assert journal.room == 0
    assert len(disk.files()[str(RESERVE)]) == left


def test_room_is_measured_and_what_was_committed_is_taken_off() -> None:
    disk, journal = full(room=10_000)
    later(disk)
    store(journal, record(1))
    room = journal.room
    assert 9_800 < room < 10_000
    store(journal, record(2))
    assert room - 300 < journal.room < room


def test_room_that_others_took_is_noticed_before_it_is_missed() -> None:
    disk, journal = full(room=10_000)
    later(disk)
    store(journal, record(1))
    assert journal.room > 9_000
    disk.room = 200
    store(journal, record(2))
    assert 0 < journal.room < 200
    assert journal.stats()["reserve_bytes"] == WHOLE


def test_a_disk_that_is_full_but_for_the_reserve_has_no_room() -> None:
    disk, journal = full(room=1000)
    later(disk)
    store(journal, record(1))
    before = len(disk.files()[str(FIRST)])
    store(journal, record(2))
    disk.room = len(disk.files()[str(FIRST)]) - before
    store(journal, record(3))
    assert (disk.room, journal.room, journal.stats()["disk_room"]) == (0, 0, "no")
    assert journal.stats()["storage_error"] == "it is full but for what is reserved"
    assert journal.stats()["reserve_bytes"] == WHOLE


@pytest.mark.parametrize("call", ["space", "allocate", "open"])
def test_room_that_can_not_be_looked_for_is_no_room_and_no_failure(call: str) -> None:
    disk, journal = full()
    store(journal, record(1))
    disk.room = None
    later(disk)
    disk.fail(call, errno.EIO)
    store(journal, record(2))
    assert journal.room == 0
    assert "Input/output" in str(journal.stats()["storage_error"])
    later(disk)
    store(journal, record(3))
    assert journal.room > 0


def test_a_reserve_that_somebody_removed_is_no_failure() -> None:
    disk, journal = without_reserve()
    journal.append(record(1))
    with pytest.raises(StorageFull):
        journal.commit(sync=True)
    disk.room = 10 * WHOLE
    later(disk)
    assert journal.commit(sync=True) is None
    assert len(disk.files()[str(RESERVE)]) == WHOLE
    journal.close()
    assert stored(disk) == [record(0), record(1)]


def test_a_failure_on_a_full_disk_is_a_failure() -> None:
    disk, journal = full()
    store(journal, record(1))
    disk.fail("sync", errno.EIO)
    with pytest.raises(StorageFailed):
        store(journal, record(2))
    assert journal.look_for_room() is None
    assert "no more is written" in str(journal.stats()["storage_error"])


async def test_a_full_disk_in_the_thread_keeps_the_batch_too() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    disk.unlink(RESERVE)
    journal.append(record(0))
    disk.room = 0
    under_way = journal.commit(sync=True)
    journal.append(record(1))
    assert journal.position == 2
    assert under_way is not None
    with pytest.raises(StorageFull):
        await asyncio.wrap_future(under_way)
    looked = journal.look_for_room()
    assert looked is not None
    await asyncio.wrap_future(looked)
    disk.room = None
    for _ in range(2):
        under_way = journal.commit(sync=False)
        assert under_way is not None  # while there is no room, everything is done in the thread
        await asyncio.wrap_future(under_way)
    disk.crash(everything)
    assert stored(disk) == [record(0), record(1)]


def test_room_is_not_looked_for_by_the_very_commit_that_found_none() -> None:
    disk, journal = full()
    disk.clock_s += 60
    store(journal, record(1))
    assert "create reserve" not in disk.log[disk.log.index("unlink reserve") :]
    assert journal.room == 0


async def test_what_is_under_way_is_taken_off_the_room_already() -> None:
    disk = SimDisk()
    disk.room = 1 << 30
    journal, _ = started(disk)
    before = journal.room
    journal.append(record(0))
    under_way = journal.commit(sync=True)
    assert journal.room == before - len(record(0))
    assert under_way is not None
    await asyncio.wrap_future(under_way)
    journal.close()
