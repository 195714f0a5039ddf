"""Something stands in the wrong place of a journal, or is missing: how it is told and repaired."""

from itertools import pairwise

from qserver.server import offline
from qserver.storage.seal import intact_batches
from tests.recovery.journals import (
    DIRECTORY,
    FIRST,
    disk_with,
    segments_of,
    stored,
)
from tests.recovery.puts import (
    SEGMENT_BYTES_MAX,
    flat,
    flipped,
    intact_of,
    journal_of_puts,
    refuses,
    repaired,
)


def test_a_missing_segment_is_told_and_bridged() -> None:
    files, _ = journal_of_puts(*[1] * 16, segment_bytes_max=SEGMENT_BYTES_MAX)
    paths = list(files)
    assert len(paths) > 3
    for missing in paths[:-1]:
        left = {path: content for path, content in files.items() if path != missing}
        disk = disk_with(left)
        found = offline.check(DIRECTORY, disk).found
        assert not found.is_whole
        assert found.damages == []
        if missing == FIRST:
            assert found.lost_before == 1
        else:
            first, following = (
                int(path.name[8:20]) for path in (missing, paths[paths.index(missing) + 1])
            )
            assert found.missing == [(first, following - 1)]
        assert repaired(disk) == intact_of(left, left)


def test_a_doubled_batch_is_taken_out_and_is_no_loss() -> None:
    files, records = journal_of_puts(1, 2, 1, 1)
    content = files[FIRST]
    batches = list(intact_batches(content))
    for batch, other in [
        (batches[1], batches[1]),
        (batches[1], batches[3]),
        (batches[0], batches[2]),
    ]:
        twice = content[: other.end] + content[batch.start : batch.end] + content[other.end :]
        disk = disk_with({FIRST: twice})
        report = offline.check(DIRECTORY, disk)
        assert (report.found.damages, report.found.is_whole) == ([], False)
        assert report.loss.messages == {}
        assert repaired(disk) == flat(records)


def test_moved_batches_are_named_and_never_restored_in_another_order() -> None:
    files, records = journal_of_puts(1, 1, 1, 1)
    content = files[FIRST]
    one, two, three, four = (content[b.start : b.end] for b in intact_batches(content))
    header = content[: content.index(one)]
    disk = disk_with({FIRST: header + one + three + two + four})
    found = offline.check(DIRECTORY, disk).found
    assert [damage.text for damage in found.damages] == [
        "an intact batch, number 2, is not in its place"
    ]
    assert repaired(disk) == [*records[0], *records[2], *records[3]]


def test_a_batch_of_another_journal_is_not_taken_for_ours() -> None:
    files, records = journal_of_puts(1, 2, 1, 1)
    other, _ = journal_of_puts(2, 2, 2, 1)
    mine = list(intact_batches(files[FIRST]))
    theirs = list(intact_batches(other[FIRST]))
    for at in range(3):
        content = (
            files[FIRST][: mine[at].start]
            + other[FIRST][theirs[at].start : theirs[at].end]
            + files[FIRST][mine[at].end :]
        )
        disk = disk_with({FIRST: content})
        assert refuses(disk)
        assert repaired(disk) == flat(records[:at] + records[at + 1 :])


def test_segments_that_were_mixed_up_are_sorted_out() -> None:
    files, _ = journal_of_puts(*[1] * 16, segment_bytes_max=SEGMENT_BYTES_MAX)
    for path, following in pairwise(files):
        disk = disk_with(files | {following: files[path]})
        assert refuses(disk)
        assert repaired(disk) == intact_of(files, files | {following: b""})


def test_a_torn_end_is_no_damage_and_left_to_the_next_start() -> None:
    files, records = journal_of_puts(1, 1)
    content = files[FIRST] + b'{"op":"pu'
    disk = disk_with({FIRST: content})
    report = offline.check(DIRECTORY, disk)
    assert report.found.is_whole
    assert report.found.torn == (1, len(files[FIRST]), 9)
    assert offline.repair(DIRECTORY, disk).kept_as is None
    assert segments_of(disk) == {FIRST: content}
    assert stored(disk) == flat(records)


def test_a_torn_end_behind_damage_is_cut_off_and_kept_too() -> None:
    files, _ = journal_of_puts(*[1] * 12, segment_bytes_max=SEGMENT_BYTES_MAX)
    newest = list(files)[-1]
    for torn in (files | {newest: files[newest] + b"torn"}, files | {newest: b'{"qser'}):
        damaged = torn | {FIRST: flipped(files[FIRST], 100, 0)}
        disk = disk_with(damaged)
        report = offline.check(DIRECTORY, disk)
        assert report.found.torn is not None
        kept = repaired(disk)
        assert kept == intact_of(files, damaged)
        asides = {path: content for path, content in disk.files().items() if "torn-" in path}
        assert list(asides.values()) == [damaged[newest][report.found.torn[1] :]]


def test_strays_are_named_and_left_alone() -> None:
    files, _ = journal_of_puts(1, 1)
    strays = {DIRECTORY / name: b"not ours" for name in ("notes", "journal-1.jsonl")}
    ours = {DIRECTORY / name: b"" for name in ("reserve", "lock", "torn-000000000001-9.bin")}
    disk = disk_with({FIRST: flipped(files[FIRST], 80, 0)} | strays | ours)
    assert offline.repair(DIRECTORY, disk).found.strays == ["journal-1.jsonl", "notes"]
    assert {path: disk.files()[str(path)] for path in strays} == strays
