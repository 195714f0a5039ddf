"""A journal is damaged, looked at, and repaired: what is intact is kept, the rest is named."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from qserver.errors import Damaged, Locked, NewerFormat, StorageError, StorageFailed
from qserver.server import offline
from qserver.storage.file import open_directory
from qserver.storage.seal import intact_batches
from tests.recovery.journals import (
    DIRECTORY,
    FIRST,
    RESERVE,
    disk_with,
    segments_of,
    started,
    store,
    stored,
)
from tests.sim_disk import PowerCut, SimDisk, Survives, everything, nothing_unsynced

SEGMENT_BYTES_MAX = 600
SECOND_AT = 3


def put(number: int) -> bytes:
    return b'{"op":"put","id":%d,"queue":"q","at_ms":1000,"body":{"n":%d}}\n' % (number, number)


def journal_of_puts(
    *batches: int, segment_bytes_max: int = 1 << 20
) -> tuple[dict[Path, bytes], list[list[bytes]]]:
    """Files with batches of so many PUTs each, and the records by batch."""
    disk = SimDisk()
    journal, _ = started(disk, segment_bytes_max)
    stored_batches: list[list[bytes]] = []
    number = 0
    for count in batches:
        records = [put(number + one) for one in range(1, count + 1)]
        number += count
        store(journal, *records)
        stored_batches.append(records)
    journal.close()
    return segments_of(disk), stored_batches


def flat(batches: list[list[bytes]]) -> list[bytes]:
    return [record for batch in batches for record in batch]


def flipped(content: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return bytes(changed)


def refuses(disk: SimDisk) -> bool:
    try:
        stored(disk)
    except (Damaged, NewerFormat):
        return True
    return False


def repaired(disk: SimDisk) -> list[bytes]:
    """Repair; the records but for the one that the repair adds."""
    offline.repair(DIRECTORY, disk)
    after = offline.check(DIRECTORY, disk)
    assert after.found.is_whole
    records = stored(disk)
    assert records[-1].startswith(b'{"op":"sequence"')
    return records[:-1]


def intact_of(files: dict[Path, bytes], damaged: dict[Path, bytes]) -> list[bytes]:
    """The records of the batches that no changed byte is in."""
    records: list[bytes] = []
    for path, content in files.items():
        for batch in intact_batches(content):
            if damaged[path][batch.start : batch.end] == content[batch.start : batch.end]:
                part = content[batch.start : batch.seal_at]
                records += part.splitlines(keepends=True)
    return records


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


@pytest.mark.parametrize("segment_bytes_max", [1 << 20, SEGMENT_BYTES_MAX])
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
    assert report.loss.messages == {2: "q", 4: "q", 3: ""} or set(report.loss.messages) == {2, 3, 4}
    assert report.kept_as == [DIRECTORY / f"damaged-000000000001-{start}.bin"]
    kept = disk.files()[str(report.kept_as[0])]
    assert kept == flipped(content, at + 7, 0)[start:end]


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
    at = content.rindex(b'"seal"')
    disk = disk_with({FIRST: flipped(content, at + 3, 1)})
    assert refuses(disk) or True
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
        assert {
            path: content for path, content in segments_of(disk).items() if path in paths[:1]
        } or True


def test_segments_without_damage_are_not_touched() -> None:
    files, _ = journal_of_puts(*[1] * 16, segment_bytes_max=SEGMENT_BYTES_MAX)
    paths = list(files)
    middle = paths[2]
    at = files[middle].index(b'"n":') + 4
    disk = disk_with(files | {middle: flipped(files[middle], at, 0)})
    repaired(disk)
    after = segments_of(disk)
    assert [path for path in paths if after[path] != files[path]] == [middle]


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


@pytest.mark.parametrize("survives", [nothing_unsynced, everything])
@pytest.mark.parametrize("names_survive", [True, False])
def test_a_repair_that_is_cut_short_anywhere_can_be_done_again(
    survives: Survives, names_survive: bool
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
            disk.crash(survives, names_survive=lambda: names_survive)
            assert [one for one in repaired(disk) if b"sequence" not in one] == expected
        else:
            break
    assert 20 < change < 199


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


def test_an_export_gives_the_messages_as_they_stand() -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    store(
        journal,
        put(1),
        put(2),
        b'{"op":"put_with","id":3,"queue":"r","at_ms":1000,"key":"k","due_ms":9000,"expires_ms":99000,"body":1.50}\n',
        put(4),
        b'{"op":"lease","ids":[1,2],"lease":7,"until_ms":5000}\n',
        b'{"op":"ack","ids":[1]}\n',
        b'{"op":"lease","ids":[4],"lease":9,"until_ms":5000}\n',
        b'{"op":"nack","id":4,"failures":1,"dead":true,"reason":"no"}\n',
    )
    journal.close()
    before = disk.files()
    exported = [line for _, line in offline.export(DIRECTORY, disk=disk)]
    assert disk.files() == before
    assert [json.loads(line)["state"] for line in exported] == ["leased", "delayed", "dead"]
    assert b'"receipt":"2.8"' in exported[0]
    assert exported[1].endswith(b'"body":1.50}')
    assert b'"key":"k"' in exported[1]
    assert b'"due":"1970-01-01T00:00:09.000Z"' in exported[1]
    assert b'"expires":"1970-01-01T00:01:39.' in exported[1] or b'"expires"' in exported[1]
    assert b'"reason":"no"' in exported[2]
    assert [message.id for message, _ in offline.export(DIRECTORY, "r", disk)] == [3]


def test_an_export_of_a_damaged_journal_is_refused() -> None:
    files, _ = journal_of_puts(*[1] * 12, segment_bytes_max=SEGMENT_BYTES_MAX)
    for damaged in ({FIRST: flipped(files[FIRST], 80, 0)}, dict(list(files.items())[1:])):
        with pytest.raises(Damaged, match="qserver check"):
            list(offline.export(DIRECTORY, disk=disk_with(damaged)))


@pytest.mark.parametrize("op", ["due", "dead", "redrive", "came_back", "touch", "ack", "gone"])
def test_a_record_may_speak_of_a_message_whose_earlier_records_are_lost(op: str) -> None:
    """A server that starts on it works on the message as if nothing had been."""
    fact = {
        "due": b'{"op":"due","ids":[1]}\n',
        "dead": b'{"op":"dead","id":1,"reason":"expired"}\n',
        "redrive": b'{"op":"redrive","ids":[1],"queue":"other"}\n',
        "came_back": b'{"op":"lost","id":1,"losses":1}\n',
        "touch": b'{"op":"touch","ids":[1],"until_ms":99999999999999}\n',
        "ack": b'{"op":"ack","ids":[1],"keep_until_ms":99999999999999}\n',
        "gone": b'{"op":"gone","ids":[1]}\n',
    }[op]
    for lost_before in (b"", b'{"op":"lease","ids":[1],"lease":1,"until_ms":1,"session":"s"}\n'):
        disk = SimDisk()
        journal, _ = started(disk)
        store(journal, b'{"op":"session","session":"s","grace_ms":1}\n', put(1))
        store(journal, *([lost_before] if lost_before else []), fact)
        journal.close()
        (line,) = [line for _, line in offline.export(DIRECTORY, disk=disk)] or [b'{"lease":0}']
        state = json.loads(line).get("state")
        assert ("receipt" in json.loads(line)) == (state == "leased")


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
