"""The end of a journal is cut, zeroed or garbled where it was not synced: it repairs itself."""

import contextlib
import errno
import random
from collections.abc import Callable, Iterator

import pytest

from tests.recovery.journals import (
    DIRECTORY,
    FIRST,
    RESERVE,
    disk_with,
    journal_of,
    record,
    repaired,
    segments_of,
    started,
    store,
    stored,
)
from tests.sim_disk import PowerCut, SimDisk, everything, nothing_unsynced

NEW = record(999)


def garbage(count: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(count)


def truncated(content: bytes, cut: int) -> bytes:
    return content[:cut]


def zeros_to_the_same_length(content: bytes, cut: int) -> bytes:
    return content[:cut] + bytes(len(content) - cut)


def zeros_to_the_page(content: bytes, cut: int) -> bytes:
    return content[:cut] + bytes(-cut % 4096)


def garbage_behind(content: bytes, cut: int) -> bytes:
    return content[:cut] + garbage(60, cut)


def lines_of_garbage_behind(content: bytes, cut: int) -> bytes:
    return content[:cut] + b"~%b\n" % garbage(60, cut).hex().encode() * 3


def zeros_before_an_intact_end(content: bytes, cut: int) -> bytes:
    return content[:cut] + bytes(2) + content[cut + 2 :]


FORMS = [
    truncated,
    zeros_to_the_same_length,
    zeros_to_the_page,
    garbage_behind,
    lines_of_garbage_behind,
]


def assert_torn(content: bytes, batch_at: int, before: list[bytes]) -> None:
    """What is before the offset is there, the rest is set aside, and the journal goes on."""
    disk = disk_with({FIRST: content})
    journal, records = started(disk)
    assert records == before
    if len(content) == batch_at:
        assert journal.torn is None
    else:
        assert journal.torn is not None
        assert (journal.torn.file, journal.torn.offset) == (str(FIRST), batch_at)
        assert journal.torn.bytes == len(content) - batch_at == journal.stats()["torn_bytes"]
        assert disk.files()[journal.torn.kept_as] == content[batch_at:]
    store(journal, NEW)
    journal.close()
    disk.crash()
    assert repaired(disk) == ([*before, NEW], None)


@pytest.mark.parametrize("form", FORMS)
def test_a_tear_at_any_byte_of_the_last_batch_loses_that_batch_alone(
    form: Callable[[bytes, int], bytes],
) -> None:
    disk, records = journal_of(1, 2, 3)
    content = disk.files()[str(FIRST)]
    batch_at = content.index(records[3])
    for cut in range(batch_at, len(content)):
        assert_torn(form(content, cut), batch_at, records[:3])


def test_garbage_or_zeros_behind_a_whole_batch_are_cut_off() -> None:
    disk, records = journal_of(1, 2)
    content = disk.files()[str(FIRST)]
    for tail in (b"\0", b"{", bytes(5000), garbage(5000, 1), b'{"seal":3', NEW, NEW + NEW):
        assert_torn(content + tail, len(content), records)


def test_a_last_batch_with_an_intact_seal_and_zeroed_records_is_torn() -> None:
    disk, records = journal_of(1, 2, 3)
    content = disk.files()[str(FIRST)]
    batch_at = content.index(records[3])
    for cut in range(batch_at, content.rindex(b'{"seal":')):
        assert_torn(zeros_before_an_intact_end(content, cut), batch_at, records[:3])


def test_half_a_record_in_a_zeroed_page_is_cut_off() -> None:
    disk, records = journal_of(1, 2)
    content = disk.files()[str(FIRST)]
    tail = bytes(1000) + NEW[:10] + bytes(3000) + NEW[5:] + bytes(80)
    assert_torn(content + tail, len(content), records)


def test_of_many_unsynced_batches_those_before_the_tear_stay() -> None:
    disk, records = journal_of(1, 1, 1, 1, 1, sync=False)
    content = disk.files()[str(FIRST)]
    for number, one in enumerate(records):
        batch_at = content.index(one)
        hole = content[:batch_at] + bytes(8) + content[batch_at + 8 :]
        assert_torn(hole, batch_at, records[:number])
        for cut in range(batch_at + 1, batch_at + 60):
            assert_torn(content[:cut], batch_at, records[:number])


def headers_torn() -> Iterator[bytes]:
    header = b'{"qserver":"journal","format":1,"segment":4,"prev":"00000000"}\n'
    yield from (header[:cut] for cut in range(len(header)))
    yield from (zeros_to_the_same_length(header, cut) for cut in range(len(header)))
    yield garbage(len(header), 1)


@pytest.mark.parametrize("header", list(headers_torn()))
def test_a_segment_whose_creation_was_torn_is_begun_again(header: bytes) -> None:
    whole, records = journal_of(1, 1, 1)
    content = segments_of(whole)[FIRST]
    disk = disk_with({FIRST: content, DIRECTORY / "journal-000000000004.jsonl": header})
    journal, found = started(disk, segment_bytes_max=len(content))
    assert found == records
    if header:
        assert journal.torn is not None
        assert disk.files()[journal.torn.kept_as] == header
    assert journal.segment == 4
    store(journal, NEW)
    journal.close()
    disk.crash()
    assert stored(disk) == [*records, NEW]
    assert len(segments_of(disk)) == 2


def test_a_first_start_that_was_torn_is_a_first_start() -> None:
    for left in (b"", b'{"qser', bytes(63)):
        disk = disk_with({FIRST: left})
        journal, found = started(disk)
        assert found == []
        store(journal, NEW)
        journal.close()
        assert stored(disk) == [NEW]


def test_what_was_set_aside_earlier_is_kept() -> None:
    disk, records = journal_of(1)
    content = disk.files()[str(FIRST)]
    kept = []
    for tail in (b"first", b"second", b"third"):
        disk.put(FIRST, content + tail)
        journal, found = started(disk)
        assert found == records
        assert journal.torn is not None
        kept.append((journal.torn.kept_as, tail))
        journal.close()
    assert len({path for path, _ in kept}) == 3
    assert [(path, disk.files()[path]) for path, _ in kept] == kept


def test_a_torn_end_is_cut_even_where_there_is_no_room_to_keep_it() -> None:
    for room in (0, 3):
        disk, records = journal_of(1)
        content = disk.files()[str(FIRST)]
        disk.put(FIRST, content + b"a torn end")
        disk.unlink(RESERVE)
        disk.room = room
        found, torn = repaired(disk)
        assert found == records
        assert torn is not None
        assert (torn.bytes, torn.kept_as) == (10, "")
        assert not [name for name in disk.files() if "torn" in name]
        disk.room = None
        assert repaired(disk) == (records, None)


def test_on_a_full_disk_the_reserve_makes_room_for_the_copy() -> None:
    disk, records = journal_of(1)
    disk.put(FIRST, disk.files()[str(FIRST)] + b"a torn end")
    disk.room = 0
    found, torn = repaired(disk)
    assert found == records
    assert torn is not None
    assert disk.files()[torn.kept_as] == b"a torn end"


def test_a_copy_that_is_there_already_is_not_made_again() -> None:
    disk, _ = journal_of(1)
    content = disk.files()[str(FIRST)]
    for _ in range(2):
        disk.put(FIRST, content + b"a torn end")
        repaired(disk)
        disk.crash()
    assert len([name for name in disk.files() if "torn" in name]) == 1


def test_a_copy_that_was_not_durable_yet_is_made_so() -> None:
    disk, _ = journal_of(1)
    content = disk.files()[str(FIRST)]
    disk.put(FIRST, content + b"a torn end")
    copy = disk.create(DIRECTORY / f"torn-000000000001-{len(content)}.bin")
    disk.write(copy, b"a torn end", 0)
    disk.kill()
    _, torn = repaired(disk)
    disk.crash()
    assert torn is not None
    assert disk.files()[torn.kept_as] == b"a torn end"


def test_no_room_even_for_the_name_of_the_copy_is_no_room() -> None:
    disk, records = journal_of(1)
    disk.put(FIRST, disk.files()[str(FIRST)] + b"a torn end")
    disk.fail("create", errno.EDQUOT, times=2)
    found, torn = repaired(disk)
    assert found == records
    assert torn is not None
    assert torn.kept_as == ""


@pytest.mark.parametrize("tail", [b"a torn end", None])
def test_a_repair_survives_the_next_power_cut(tail: bytes | None) -> None:
    disk, records = journal_of(1, 1)
    content = disk.files()[str(FIRST)]
    second = DIRECTORY / "journal-000000000003.jsonl"
    if tail:
        disk.put(FIRST, content + tail)
    else:
        disk.put(second, b'{"qser')
    found, torn = repaired(disk)
    disk.crash()
    assert found == records
    assert torn is not None
    assert disk.files()[torn.kept_as] == (tail or b'{"qser')
    assert segments_of(disk) == {FIRST: content}


def test_a_repair_that_is_interrupted_is_done_by_the_next_start() -> None:
    whole, records = journal_of(1, 1)
    content = whole.files()[str(FIRST)]
    for change in range(1, 20):
        for survive in (True, False):
            disk = disk_with({FIRST: content + b"a torn end"})
            interrupt(disk, change, survive=survive)
            assert stored(disk) == records
            assert disk.files()[str(FIRST)] == content


def interrupt(disk: SimDisk, change: int, *, survive: bool) -> None:
    disk.cut_power_at(change)
    with contextlib.suppress(PowerCut):
        stored(disk)
    disk.crash(everything if survive else nothing_unsynced, names_survive=lambda: survive)
