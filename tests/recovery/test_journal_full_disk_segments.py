"""The disk is full while segments are begun and dropped, at a start, and when the power goes."""

import errno

import pytest

from qserver.errors import StorageFull
from tests.recovery.full_disk import SEGMENT_BYTES_MAX, WHOLE, full, later
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
