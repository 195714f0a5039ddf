"""A journal is damaged, looked at, and repaired: what is intact is kept, the rest is named."""

import json
from pathlib import Path

import pytest

from qserver.errors import Locked, NewerFormat, StorageFailed
from qserver.server import offline
from qserver.storage.file import open_directory
from tests.recovery.journals import (
    DIRECTORY,
    FIRST,
    disk_with,
    segments_of,
    started,
    store,
    stored,
)
from tests.recovery.puts import (
    SEGMENT_BYTES_MAX,
    flat,
    flipped,
    intact_of,
    journal_of_puts,
    put,
    refuses,
    repaired,
)
from tests.sim_disk import PowerCut, SimDisk, Survives, everything, nothing_unsynced


def test_a_whole_journal_is_whole_and_a_repair_leaves_it_as_it_is() -> None:
    for batches in ((), (1,), (1, 3, 2)):
        files, records = journal_of_puts(*batches)
        disk = disk_with(files)
        report = offline.check(DIRECTORY, disk)
        assert report.found.is_whole
        assert disk.changes == 1  # its directory
        assert sum(segment.records for segment in report.found.segments) == sum(batches)
        assert sum(segment.batches for segment in report.found.segments) == len(batches)
        assert offline.repair(DIRECTORY, disk).kept_as is None
        assert segments_of(disk) == files
        assert stored(disk) == flat(records)


@pytest.mark.parametrize(
    "segment_bytes_max", [1 << 20, pytest.param(SEGMENT_BYTES_MAX, marks=pytest.mark.slow)]
)
def test_after_any_flipped_bit_exactly_the_intact_batches_are_there(segment_bytes_max: int) -> None:
    files, _ = journal_of_puts(1, 3, 1, 2, 1, 1, segment_bytes_max=segment_bytes_max)
    for path, content in files.items():
        for at in range(len(content)):
            damaged = files | {path: flipped(content, at, at % 8)}
            disk = disk_with(damaged)
            assert refuses(disk)
            try:
                report = offline.check(DIRECTORY, disk)
            except NewerFormat:
                continue  # the bit made it one
            assert not report.found.is_whole
            assert repaired(disk) == intact_of(files, damaged)


def test_the_damaged_bytes_are_kept_and_what_they_say_is_told() -> None:
    files, records = journal_of_puts(1, 3, 1)
    content = files[FIRST]
    at = content.index(records[1][1])
    start = content.index(records[1][0])
    end = content.index(records[2][0])
    disk = disk_with({FIRST: flipped(content, at + 7, 0)})
    report = offline.repair(DIRECTORY, disk)
    (damage,) = report.found.damages
    assert (damage.offset, damage.bytes, damage.line, damage.batches) == (start, end - start, 4, 1)
    assert report.found.missing == [(2, 2)]
    assert report.loss.messages == {2: "q", 3: "q", 4: "q"}
    assert report.kept_as == [DIRECTORY / f"damaged-000000000001-{start}.bin"]
    kept = disk.files()[str(report.kept_as[0])]
    assert kept == flipped(content, at + 7, 0)[start:end]
    journal, _ = started(disk)
    shown = journal.stats()
    assert (shown["damaged_records"], shown["damaged_bytes"]) == (3, end - start)
    journal.close()


def test_facts_of_messages_are_told_apart_from_lost_messages() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    store(journal, put(1), put(2), put(3))
    store(
        journal,
        b'{"op":"lease","ids":[1,2],"lease":1,"until_ms":5000}\n',
        b'{"op":"ack","ids":[1]}\n',
        b'{"op":"release","id":2}\n',
        b'{"op":"sequence","id":77,"lease":8}\n',
        b'{"op":"purge","queue":"other","states":["dead"]}\n',
    )
    store(journal, put(4))
    journal.close()
    content = disk.files()[str(FIRST)]
    report = offline.check(DIRECTORY, disk_with({FIRST: content.replace(b"5000", b"6000")}))
    assert report.loss.facts == {1, 2}
    assert report.loss.messages == {}
    assert report.loss.records == {"lease": 1, "ack": 1, "release": 1, "sequence": 1, "purge": 1}
    broken = content.replace(b'{"op":"lease"', b'"op":"lease"').replace(b'{"op":"ack"', b"{op:ack")
    report = offline.check(DIRECTORY, disk_with({FIRST: broken}))
    assert (report.loss.unreadable, report.loss.facts) == (2, {1, 2})


def test_a_line_that_is_no_record_is_counted() -> None:
    files, records = journal_of_puts(1, 1)
    for line in (b"[1]", b'"text"', b'{"id":7}', b'{"op":1,"ids":7}', b"\xff"):
        broken = files[FIRST].replace(records[0][0], line + b"\n")
        report = offline.check(DIRECTORY, disk_with({FIRST: broken}))
        assert report.loss.unreadable == 1, line


def test_numbers_go_on_behind_everything_that_was_given_out() -> None:
    files, _ = journal_of_puts(1, 1, 3)
    content = files[FIRST]
    disk = disk_with({FIRST: flipped(content, content.rindex(b'"n":5'), 1)})
    offline.repair(DIRECTORY, disk)
    last = json.loads(stored(disk)[-1])
    assert last == {"op": "sequence", "id": 1_000_005, "lease": 1_000_000}


def test_a_journal_that_is_damaged_everywhere_is_an_empty_one() -> None:
    files, _ = journal_of_puts(*[1] * 12, segment_bytes_max=SEGMENT_BYTES_MAX)
    disk = disk_with({path: b"\xff" * len(content) for path, content in files.items()})
    assert repaired(disk) == []
    journal, _ = started(disk)
    store(journal, put(99))
    journal.close()
    assert stored(disk)[-1] == put(99)


def test_a_repaired_journal_is_written_on_dropped_from_and_read_again() -> None:
    files, records = journal_of_puts(*[1] * 12, segment_bytes_max=SEGMENT_BYTES_MAX)
    for path in files:
        damaged = files | {path: flipped(files[path], len(files[path]) // 2, 0)}
        disk = disk_with(damaged)
        kept = repaired(disk)
        journal, _ = started(disk, SEGMENT_BYTES_MAX)
        for number in range(90, 99):
            store(journal, put(number))
        journal.drop_before(journal.segment)
        store(journal, put(99))
        disk.crash()
        assert stored(disk)[-1] == put(99)
        assert offline.check(DIRECTORY, disk).found.is_whole
        assert len(kept) == len(flat(records)) - 1


def test_segments_without_damage_are_not_touched() -> None:
    files, _ = journal_of_puts(*[1] * 16, segment_bytes_max=SEGMENT_BYTES_MAX)
    paths = list(files)
    middle = paths[2]
    at = files[middle].index(b'"n":') + 4
    disk = disk_with(files | {middle: flipped(files[middle], at, 0)})
    repaired(disk)
    after = segments_of(disk)
    assert [path for path in paths if after[path] != files[path]] == [middle]


@pytest.mark.parametrize("survives", [nothing_unsynced, everything])
@pytest.mark.parametrize("names", ["kept", "lost"])
def test_a_repair_that_is_cut_short_anywhere_can_be_done_again(
    survives: Survives, names: str
) -> None:
    files, _ = journal_of_puts(*[1] * 12, segment_bytes_max=SEGMENT_BYTES_MAX)
    paths = list(files)
    damaged = files | {
        path: flipped(files[path], len(files[path]) // 2, 0) for path in (paths[0], paths[-1])
    }
    del damaged[paths[2]]
    expected = intact_of(damaged, damaged)
    expected = [record for record in expected if record in b"".join(files.values())]
    for change in range(1, 200):
        disk = disk_with(damaged)
        disk.cut_power_at(change)
        try:
            offline.repair(DIRECTORY, disk)
        except PowerCut:
            disk.crash(survives, names_survive=lambda: names == "kept")
            assert [one for one in repaired(disk) if b"sequence" not in one] == expected
        else:
            break
    assert 20 < change < 199


def test_a_repair_that_is_done_survives_a_power_cut() -> None:
    files, _ = journal_of_puts(*[1] * 12, segment_bytes_max=SEGMENT_BYTES_MAX)
    disk = disk_with({path: flipped(files[path], len(files[path]) // 2, 0) for path in files})
    offline.repair(DIRECTORY, disk)
    before = segments_of(disk)
    disk.crash()
    assert segments_of(disk) == before
    assert offline.check(DIRECTORY, disk).found.is_whole


def test_a_repair_on_a_full_disk_uses_the_reserve_or_changes_nothing() -> None:
    files, _ = journal_of_puts(1, 1, 1)
    damaged = {FIRST: flipped(files[FIRST], 100, 0)}
    disk = disk_with(damaged)
    disk.room = 50
    with pytest.raises(StorageFailed, match="can't repair"):
        offline.repair(DIRECTORY, disk)
    assert segments_of(disk) == damaged
    disk.room = None
    assert repaired(disk) == intact_of(files, damaged)


def test_a_repair_needs_the_directory_for_itself_and_a_check_does_not() -> None:
    files, _ = journal_of_puts(1)
    disk = disk_with(files)
    journal, _ = started(disk)
    assert offline.check(DIRECTORY, disk).is_in_use
    with pytest.raises(Locked):
        offline.repair(DIRECTORY, disk)
    journal.close()
    assert not offline.check(DIRECTORY, disk).is_in_use
    assert disk.open_files == 0


def test_a_journal_that_can_not_be_read_is_an_error() -> None:
    files, _ = journal_of_puts(1)
    for call, after in (("names", 0), ("names", 1), ("read", 0)):
        disk = disk_with(files)
        disk.fail(call, 5, after=after)
        with pytest.raises(StorageFailed, match="can't read"):
            offline.check(DIRECTORY, disk)


def test_a_newer_format_is_left_alone() -> None:
    newer = b'{"qserver":"journal","format":2,"segment":1,"prev":"00000000"}\n'
    disk = disk_with({FIRST: newer})
    for command in (offline.check, offline.repair):
        with pytest.raises(NewerFormat):
            command(DIRECTORY, disk)
    assert segments_of(disk) == {FIRST: newer}


def test_it_works_on_a_real_directory(tmp_path: Path) -> None:
    journal = open_directory(tmp_path)
    assert list(journal.replay()) == []
    for number in range(1, 4):
        store(journal, put(number))
    journal.close()
    path = tmp_path / FIRST.name
    path.write_bytes(path.read_bytes().replace(b'{"n":2}', b'{"n":9}'))
    report = offline.repair(tmp_path)
    assert report.kept_as is not None
    assert offline.check(tmp_path).found.is_whole
    journal = open_directory(tmp_path)
    records = b"".join(records for _, records in journal.replay()).splitlines(keepends=True)
    journal.close()
    assert records[:-1] == [put(1), put(3)]
    assert not list(tmp_path.glob("*.tmp"))
