"""A batch over blank lines is torn, or damaged: which is which."""

import pytest

from qserver.errors import Damaged, NewerFormat
from qserver.server import offline
from qserver.storage.segment import BLANK_AFTER_SYNCS
from tests.recovery.blanks import BLANKS, blank_ended, blanks_of, with_blanks
from tests.recovery.journals import (
    DIRECTORY,
    FIRST,
    disk_with,
    record,
    repaired,
    segments_of,
    store,
    stored,
)
from tests.recovery.puts import flat, flipped, journal_of_puts

# --- when the power goes -------------------------------------------------------------------------


def assert_torn(content: bytes, batch_at: int, before: list[bytes]) -> None:
    """The last batch alone is lost, or nothing is, and `check` says the same as a start.

    What is cut off is kept, but for blank lines at its end; where there is nothing else, nothing is
    told.
    """
    disk = disk_with({FIRST: content})
    report = offline.check(DIRECTORY, disk)
    assert report.found.is_whole
    found, torn = repaired(disk)
    if found == before and content[batch_at:].strip(b"\n"):
        assert torn is not None
    if torn is not None:
        assert report.found.torn == (1, torn.offset, torn.bytes)
        assert torn.offset == batch_at
        assert disk.files()[torn.kept_as] == content[batch_at : batch_at + torn.bytes]
        assert not content[batch_at + torn.bytes :].strip(b"\n")
    else:
        assert report.found.torn is None
    assert found[: len(before)] == before
    assert blanks_of(disk) == 0


def test_a_batch_written_in_part_over_blank_lines_is_torn() -> None:
    content, records = with_blanks(1, 2, 3)
    batch_at = content.index(records[3])
    end = len(content) - len(BLANKS)
    for cut in range(batch_at, end):
        torn = content[:cut] + b"\n" * (len(content) - cut)
        assert_torn(torn, batch_at, records[:3])
        assert repaired(disk_with({FIRST: torn}))[0] == records[: 3 if cut < end - 1 else 6]


@pytest.mark.parametrize("page", [1, 2, 8, 32, 64])
def test_a_batch_of_which_any_page_is_still_blank_is_torn_and_no_damage(page: int) -> None:
    """Its seal, and what else there is of it, notwithstanding."""
    content, records = with_blanks(1, 2, 3)
    batch_at, end = content.index(records[3]), len(content) - len(BLANKS)
    for first in range(batch_at // page * page, end, page):
        for last in range(first + page, min(end + page, first + 4 * page), page):
            left = bytearray(content)
            start = max(first, batch_at)
            left[start:last] = b"\n" * (last - start)
            if page == 1 and left.count(b"\n\n", batch_at, end) + (first == batch_at) == 0:
                continue  # no page is as short as a byte: that is damage
            assert_torn(bytes(left), batch_at, records[:3])


def test_blank_lines_that_were_torn_themselves_are_cut_off_and_kept() -> None:
    """The batch that brought them is stored, since nothing was said of them."""
    content, records = with_blanks(1, 2)
    end = len(content) - len(BLANKS)
    for hole in (range(end, end + 8), range(end + 40, end + 300), range(end + 32, end + 64)):
        left = bytearray(content)
        left[hole.start : hole.stop] = bytes(len(hole))
        assert_torn(bytes(left), end, records)
        assert repaired(disk_with({FIRST: bytes(left)}))[0] == records
    for length in (1, 7, 299):
        assert repaired(disk_with({FIRST: content[: end + length]})) == (records, None)


def test_of_unsynced_batches_over_blank_lines_those_before_the_tear_stay() -> None:
    disk, journal = blank_ended()
    for number in range(100, 105):
        store(journal, record(number), sync=False)
    content = disk.files()[str(FIRST)]
    for number in range(100, 105):
        at = content.index(record(number))
        for start, length in ((at, 8), (at + 4, 64), (at + 20, 200)):
            left = bytearray(content)
            left[start : start + length] = b"\n" * length
            found, torn = repaired(disk_with({FIRST: bytes(left)}))
            assert found[BLANK_AFTER_SYNCS + 1 :] == [record(one) for one in range(100, number)]
            assert torn is not None
            assert torn.offset == at


# --- what is damage all the same -----------------------------------------------------------------


def test_no_flipped_bit_before_them_goes_unnoticed() -> None:
    content, _ = with_blanks(1, 3, 1)
    for at in range(len(content) - len(BLANKS)):
        for bit in range(8):
            disk = disk_with({FIRST: flipped(content, at, bit)})
            with pytest.raises((Damaged, NewerFormat)):
                stored(disk)


def test_a_flipped_bit_in_them_loses_nothing() -> None:
    content, records = with_blanks(1, 3, 1)
    for at in range(len(content) - len(BLANKS), len(content)):
        found, torn = repaired(disk_with({FIRST: flipped(content, at, at % 8)}))
        assert found == records
        assert torn is not None


def test_a_blank_page_that_was_synced_is_damage() -> None:
    content, records = with_blanks(1, 1, 1)
    at = content.index(records[1])
    with pytest.raises(Damaged):
        stored(disk_with({FIRST: content[:at] + b"\n" * 20 + content[at + 20 :]}))


def test_behind_an_older_segment_they_are_damage_for_a_check_too() -> None:
    files, _ = journal_of_puts(*[1] * 6, segment_bytes_max=500)
    oldest = next(iter(files))
    disk = disk_with(files | {oldest: files[oldest] + BLANKS})
    (damage,) = offline.check(DIRECTORY, disk).found.damages
    assert (damage.file, damage.bytes) == (str(oldest), len(BLANKS))
    with pytest.raises(Damaged):
        stored(disk)


def test_damage_is_told_and_kept_without_them_and_repaired() -> None:
    files, records = journal_of_puts(1, 1, 1)
    content = files[FIRST]
    at = content.index(records[2][0])
    damaged = flipped(content, at + 5, 0)
    disk = disk_with({FIRST: damaged + BLANKS})
    report = offline.repair(DIRECTORY, disk)
    (damage,) = report.found.damages
    assert (damage.offset, damage.bytes) == (at, len(content) - at)
    assert report.kept_as is not None
    assert disk.files()[str(report.kept_as[0])] == damaged[at:]
    assert offline.check(DIRECTORY, disk).found.is_whole
    assert stored(disk)[:-1] == flat(records[:2])


def test_a_repair_of_an_older_segment_leaves_none_in_what_was_the_newest() -> None:
    files, records = journal_of_puts(*[1] * 6, segment_bytes_max=500)
    oldest, *_, newest = files
    damaged = files | {oldest: flipped(files[oldest], 80, 0), newest: files[newest] + BLANKS}
    disk = disk_with(damaged)
    offline.repair(DIRECTORY, disk)
    assert segments_of(disk)[newest] == files[newest]
    assert stored(disk)[:-1] == flat(records[1:])
