"""A journal's inside is not what was written: the start is refused, and no file is changed."""

from itertools import pairwise, permutations
from pathlib import Path

import pytest

from qserver.errors import Damaged, NewerFormat, StorageError
from tests.recovery.journals import (
    DIRECTORY,
    FIRST,
    disk_with,
    journal_of,
    repaired,
    segments_of,
    started,
    store,
    stored,
)

SEGMENT_BYTES_MAX = 500


def refusal_of(files: dict[Path, bytes]) -> StorageError:
    """Why a start is refused; checks that it changes nothing."""
    disk = disk_with(files)
    before = disk.files()
    with pytest.raises(StorageError) as refusal:
        stored(disk)
    assert disk.files() == before | {str(DIRECTORY / "lock"): b""}
    assert disk.open_files == 0
    return refusal.value


def assert_damaged(files: dict[Path, bytes], path: Path | None = None) -> Damaged:
    refusal = refusal_of(files)
    assert isinstance(refusal, Damaged)
    if path is not None:
        assert refusal.file == str(path)
    return refusal


def flipped(content: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return bytes(changed)


def batches_of(content: bytes) -> list[bytes]:
    """The header, then each batch with its seal."""
    parts: list[bytes] = [b""]
    for line in content.splitlines(keepends=True):
        parts[-1] += line
        if line.startswith((b'{"seal":', b'{"qserver":')):
            parts.append(b"")
    return parts[:-1]


def test_no_flipped_bit_of_a_synced_journal_goes_unnoticed() -> None:
    """Not even in the last batch: one changed byte is never taken for a tear."""
    disk, _ = journal_of(1, 3, 1)
    content = disk.files()[str(FIRST)]
    for at in range(len(content)):
        for bit in range(8):
            refusal = refusal_of({FIRST: flipped(content, at, bit)})
            assert isinstance(refusal, Damaged | NewerFormat)


def test_a_flipped_bit_in_an_older_segment_is_damage_there() -> None:
    disk, _ = journal_of(1, 2, *[1] * 9, segment_bytes_max=SEGMENT_BYTES_MAX)
    files = segments_of(disk)
    older = list(files)[:-1]
    assert len(older) > 1
    for path in older:
        for at in range(0, len(files[path]), 3):
            refusal = refusal_of(files | {path: flipped(files[path], at, at % 8)})
            assert isinstance(refusal, Damaged | NewerFormat)


def test_a_flipped_bit_before_the_last_sync_is_damage_and_behind_it_never_a_wrong_record() -> None:
    disk, records = journal_of(1, 1, 1, 1, sync=False)
    content = disk.files()[str(FIRST)]
    for at in range(len(content)):
        disk = disk_with({FIRST: flipped(content, at, at % 8)})
        try:
            found, _ = repaired(disk)
        except (Damaged, NewerFormat):
            continue
        assert found == records[: len(found)]
        assert len(found) < len(records)


def test_damage_names_file_offset_line_and_what_it_affects() -> None:
    disk, records = journal_of(1, 2, 1, 1)
    content = disk.files()[str(FIRST)]
    at = content.index(records[1])
    refusal = assert_damaged({FIRST: flipped(content, at + 9, 2)}, FIRST)
    assert refusal.offset == at
    assert str(refusal).startswith(f"{FIRST}, byte {at}: ")
    assert "after number 1, from line 4 on" in str(refusal)
    assert "3 sealed batches" in str(refusal)


def test_damage_counts_the_batches_of_later_segments_too() -> None:
    disk, _ = journal_of(*[1] * 12, segment_bytes_max=SEGMENT_BYTES_MAX)
    files = segments_of(disk)
    refusal = assert_damaged(files | {FIRST: flipped(files[FIRST], 80, 0)}, FIRST)
    assert "12 sealed batches" in str(refusal)


def test_a_zeroed_page_that_was_synced_is_damage() -> None:
    disk, records = journal_of(1, 1, 1)
    content = disk.files()[str(FIRST)]
    at = content.index(records[1])
    assert_damaged({FIRST: content[:at] + bytes(20) + content[at + 20 :]}, FIRST)


def test_a_short_older_segment_is_damage_wherever_it_ends() -> None:
    disk, _ = journal_of(*[1] * 6, segment_bytes_max=SEGMENT_BYTES_MAX)
    files = segments_of(disk)
    for cut in range(len(files[FIRST])):
        assert_damaged(files | {FIRST: files[FIRST][:cut]})


def test_more_behind_an_older_segment_is_damage() -> None:
    disk, _ = journal_of(*[1] * 6, segment_bytes_max=SEGMENT_BYTES_MAX)
    files = segments_of(disk)
    for more in (b"\0", b"\n", b'{"n":1}\n', bytes(500)):
        assert_damaged(files | {FIRST: files[FIRST] + more}, FIRST)


def test_missing_batches_are_damage() -> None:
    disk, _ = journal_of(1, 2, 1, 1)
    parts = batches_of(disk.files()[str(FIRST)])
    for missing in range(1, 4):
        assert_damaged({FIRST: b"".join(parts[:missing] + parts[missing + 1 :])}, FIRST)


def test_doubled_batches_are_damage() -> None:
    disk, _ = journal_of(1, 2, 1, 1)
    parts = batches_of(disk.files()[str(FIRST)])
    for twice in range(5):
        assert_damaged({FIRST: b"".join(parts[: twice + 1] + parts[twice:])}, FIRST)


def test_moved_batches_are_damage() -> None:
    disk, _ = journal_of(1, 2, 1, 1)
    header, *batches = batches_of(disk.files()[str(FIRST)])
    for order in list(permutations(batches))[1:]:
        assert_damaged({FIRST: header + b"".join(order)}, FIRST)


def test_a_batch_of_another_journal_is_damage() -> None:
    disk, _ = journal_of(1, 2, 1)
    other, _ = journal_of(2, 2, 1)
    mine = batches_of(disk.files()[str(FIRST)])
    theirs = batches_of(other.files()[str(FIRST)])
    for at in (1, 2, 3):
        assert_damaged({FIRST: b"".join([*mine[:at], theirs[at], *mine[at + 1 :]])}, FIRST)


def test_a_missing_segment_is_damage_unless_it_is_the_newest() -> None:
    disk, _ = journal_of(*[1] * 16, segment_bytes_max=SEGMENT_BYTES_MAX)
    files = segments_of(disk)
    for path in list(files)[:-1]:
        assert_damaged({other: content for other, content in files.items() if other != path})


def test_a_lost_oldest_segment_is_told_from_a_dropped_one() -> None:
    disk, _ = journal_of(*[1] * 16, segment_bytes_max=SEGMENT_BYTES_MAX)
    numbers = [int(path.name[8:20]) for path in segments_of(disk)]
    journal, records = started(disk, SEGMENT_BYTES_MAX)
    journal.drop_before(numbers[1])
    store(journal)
    journal.close()
    kept = [one for one in records if one in b"".join(segments_of(disk).values())]
    assert stored(disk) == kept != records
    files = segments_of(disk)
    refusal = assert_damaged(dict(list(files.items())[1:]))
    assert f"from number {numbers[1]} on, are missing" in str(refusal)


def test_a_doubled_or_moved_segment_is_damage() -> None:
    disk, _ = journal_of(*[1] * 16, segment_bytes_max=SEGMENT_BYTES_MAX)
    files = segments_of(disk)
    for path, following in pairwise(files):
        assert_damaged(files | {following: files[path]})
        assert_damaged(files | {path: files[following]})
        assert_damaged(files | {path: files[following], following: files[path]})
        assert_damaged(files | {DIRECTORY / "journal-000000000099.jsonl": files[path]})


def test_a_segment_without_a_batch_does_not_hide_that_all_before_it_are_lost() -> None:
    header = b'{"qserver":"journal","format":1,"segment":7,"prev":"00000000"}\n'
    seventh = DIRECTORY / "journal-000000000007.jsonl"
    for content in (header, header[:30], b""):
        assert_damaged({seventh: content}, seventh)


def test_a_segment_without_a_batch_must_follow_the_one_before_it() -> None:
    disk, _ = journal_of(1, 1)
    last_crc = disk.files()[str(FIRST)][-11:-3]
    header = b'{"qserver":"journal","format":1,"segment":3,"prev":"%b"}\n'
    third = DIRECTORY / "journal-000000000003.jsonl"
    files = segments_of(disk)
    assert stored(disk_with(files | {third: header % last_crc}))
    assert_damaged(files | {third: header % last_crc[::-1]}, third)


def test_something_else_in_a_segments_place_is_damage() -> None:
    for content in (b"notes\n" * 20, b"\xff" * 100, bytes(4096)):
        assert_damaged({FIRST: content}, FIRST)


def test_a_newer_format_is_refused_whatever_else_it_holds() -> None:
    newer = b'{"qserver":"journal","format":2,"segment":1,"prev":"00000000","more":1}\nother\n'
    for content in (newer, newer[:40]):
        refusal = refusal_of({FIRST: content})
        assert isinstance(refusal, NewerFormat)
        assert "has format 2" in str(refusal)


def test_damage_before_a_torn_end_leaves_the_torn_end_alone() -> None:
    disk, _ = journal_of(*[1] * 6, segment_bytes_max=SEGMENT_BYTES_MAX)
    files = segments_of(disk)
    newest = list(files)[-1]
    files[newest] += b"a torn end"
    assert_damaged(files | {FIRST: flipped(files[FIRST], 80, 0)}, FIRST)
