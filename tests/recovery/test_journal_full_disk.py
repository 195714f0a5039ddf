"""The disk is full: the end of messages goes on from the reserve, then waits; nothing is lost."""

import errno

import pytest

from qserver.errors import StorageFailed, StorageFull
from qserver.storage.file import FileJournal
from tests.recovery.journals import (
    DIRECTORY,
    FIRST,
    RESERVE,
    journal_of,
    record,
    segments_of,
    started,
    store,
    stored,
)
from tests.sim_disk import PowerCut, SimDisk, everything, nothing_unsynced

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


@pytest.mark.parametrize("call", ["create", "write"])
def test_a_full_disk_while_a_segment_is_begun(call: str) -> None:
    for with_reserve in (True, False):
        disk, records = journal_of(1, 1)
        size = len(disk.files()[str(FIRST)])
        journal, _ = started(disk, size)
        assert journal.segment == 3
        if not with_reserve:
            disk.unlink(RESERVE)
        disk.fail(call, errno.ENOSPC, times=1 if with_reserve else 2)
        if with_reserve:
            store(journal, record(9))
        else:
            journal.append(record(9))
            for _ in range(2):
                with pytest.raises(StorageFull):
                    journal.commit(sync=True)
            assert journal.commit(sync=True) is None
        disk.crash()
        journal, found = started(disk, size)
        assert found == [*records, record(9)]
        assert journal.position == 4


def test_a_segment_that_was_begun_before_the_disk_was_full_is_gone_on_with() -> None:
    disk, records = journal_of(1, 1)
    size = len(disk.files()[str(FIRST)])
    journal, _ = started(disk, size)
    disk.unlink(RESERVE)
    disk.fail("write", errno.ENOSPC, after=1)  # the header's write is well, the batch's is not
    journal.append(record(2))
    with pytest.raises(StorageFull):
        journal.commit(sync=True)
    disk.kill()
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


def test_on_a_small_disk_segments_are_small() -> None:
    disk = SimDisk()
    disk.disk_bytes = 32_000
    journal, _ = started(disk, SEGMENT_BYTES_MAX)
    for number in range(40):
        store(journal, record(number))
    assert max(map(len, segments_of(disk).values())) < 2300
    assert len(disk.files()[str(RESERVE)]) == 2000


def test_dropping_works_on_a_full_disk_and_makes_room() -> None:
    disk, _ = journal_of(*[1] * 12, segment_bytes_max=500)
    journal, _ = started(disk, 500)
    newest = journal.segment
    disk.room = 300
    stored_before = len(segments_of(disk))
    journal.drop_before(newest)
    store(journal, record(90))
    assert len(segments_of(disk)) == 1 < stored_before
    later(disk)
    store(journal, record(91))
    assert journal.room > 500
    disk.crash()
    assert stored(disk)[-2:] == [record(90), record(91)]


def test_a_segment_that_can_not_be_removed_for_lack_of_room_is_removed_later() -> None:
    disk, _ = journal_of(*[1] * 12, segment_bytes_max=500)
    journal, records = started(disk)
    before = int(journal.stats()["segments"])
    journal.drop_before(journal.segment)
    disk.fail("unlink", errno.ENOSPC)
    store(journal, record(90))
    assert journal.stats()["segments"] == before
    store(journal, record(91))
    assert journal.stats()["segments"] == 1
    assert records
    journal.close()
    assert stored(disk)[-2:] == [record(90), record(91)]


def test_a_full_disk_stops_neither_a_start_nor_a_first_start() -> None:
    for batches in ((), (1, 1)):
        disk, records = journal_of(*batches)
        disk.room = 0
        disk.unlink(RESERVE)
        disk.room = 0
        journal, found = started(disk)
        assert (found, journal.room) == (records, 0)
        journal.append(record(7))
        with pytest.raises(StorageFull):
            journal.commit(sync=True)
        disk.room = None
        assert journal.commit(sync=True) is None
        journal.close()
        assert stored(disk) == [*records, record(7)]


def test_a_start_on_a_full_disk_has_the_reserve_that_is_there() -> None:
    disk, records = journal_of(1, 1)
    disk.room = 0
    journal, _ = started(disk)
    assert (journal.room, journal.stats()["disk_room"]) == (0, "no")
    store(journal, record(7))
    journal.close()
    assert stored(disk) == [*records, record(7)]


def test_a_reserve_of_any_size_is_made_what_it_should_be() -> None:
    for content in (b"", b"notes", bytes(WHOLE), bytes(2 * WHOLE)):
        disk = SimDisk()
        disk.make_directory(DIRECTORY)
        disk.put(RESERVE, content)
        journal, _ = started(disk, SEGMENT_BYTES_MAX)
        assert len(disk.files()[str(RESERVE)]) == max(WHOLE, len(content))
        assert journal.room > 0
        journal.close()


def test_a_failure_on_a_full_disk_is_a_failure() -> None:
    disk, journal = full()
    store(journal, record(1))
    disk.fail("sync", errno.EIO)
    with pytest.raises(StorageFailed):
        store(journal, record(2))
    assert journal.look_for_room() is None
    assert "no more is written" in str(journal.stats()["storage_error"])


@pytest.mark.parametrize("survives", [everything, nothing_unsynced])
def test_the_power_goes_at_any_change_while_the_disk_is_full(survives: object) -> None:
    for change in range(1, 60):
        disk, journal = full(room=150)
        disk.cut_power_at(change)
        synced = 1
        try:
            for number in range(1, 9):
                journal.append(record(number))
                try:
                    journal.commit(sync=True)
                    synced = number + 1
                except StorageFull:
                    disk.room = 100 * WHOLE
                    later(disk)
                    journal.commit(sync=True)
                    synced = number + 1
        except PowerCut:
            pass
        disk.crash(survives)  # type: ignore[arg-type]
        disk.room = 0
        found = stored(disk)
        assert found == [record(number) for number in range(len(found))]
        assert synced <= len(found) <= synced + 1


async def test_a_full_disk_in_the_thread_keeps_the_batch_too() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    disk.unlink(RESERVE)
    journal.append(record(0))
    disk.room = 0
    under_way = journal.commit(sync=True, waiting=10)
    journal.append(record(1))
    assert journal.position == 2
    assert under_way is not None
    with pytest.raises(StorageFull):
        await under_way
    looked = journal.look_for_room()
    assert looked is not None
    await looked
    disk.room = None
    for _ in range(2):
        under_way = journal.commit(sync=False)
        assert under_way is not None  # while there is no room, everything is done in the thread
        await under_way
    disk.crash(everything)
    assert stored(disk) == [record(0), record(1)]
