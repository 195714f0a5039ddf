"""A check says of any journal what a start would do with it: start, cut a torn end off, or refuse.

Of a server that does not sync each batch a power cut may leave any of many: so a journal may be
torn in the middle of what was not synced, with batches behind that are intact.
"""

import random
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from qserver.server import offline
from qserver.storage.recovery import segment_path
from qserver.storage.seal import intact_batches
from qserver.storage.survey import records_of
from tests.recovery import puts
from tests.recovery.journals import (
    DIRECTORY,
    FIRST,
    disk_with,
    repaired,
    segments_of,
    started,
    store,
)
from tests.recovery.puts import intact_of, journal_of_puts, put, refuses
from tests.sim_disk import SimDisk, some_pages

SEEDS = range(60)


def says_as_a_start_does(files: dict[Path, bytes]) -> tuple[int, int, int] | None:
    """The torn end of a journal, which both say it has. One that both refuse is repaired."""
    disk = disk_with(files)
    found = offline.check(DIRECTORY, disk).found
    assert found.is_whole != refuses(disk_with(files))
    if not found.is_whole:
        puts.repaired(disk)
        return None
    kept = b"".join(records for _, records in records_of(disk, found))
    assert offline.repair(DIRECTORY, disk).kept_as is None
    assert segments_of(disk) == files
    records, torn = repaired(disk)
    assert b"".join(records) == kept
    assert (torn is None) == (found.torn is None)
    if torn and found.torn:
        assert (segment_path(DIRECTORY, found.torn[0]), *found.torn[1:]) == (
            Path(torn.file),
            torn.offset,
            torn.bytes,
        )
    return found.torn


def worked_on(rng: random.Random) -> SimDisk:
    """Servers that were killed one after the other, which synced now and then, or a while each."""
    disk, number = SimDisk(), 0
    for _ in range(rng.randint(1, 2)):
        disk.kill()
        journal, _ = started(disk, rng.choice((700, 16_000, 16_000)))
        for share in (*rng.choices((0, 0.5, 1), k=rng.randint(0, 2)), rng.choice((0, 0.1))):
            for _ in range(rng.randint(1, 20)):
                new = [put(number + one) for one in range(1, rng.randint(2, 4))]
                store(journal, *new, sync=rng.random() < share)
                number += len(new)
        if rng.random() < 0.2:
            journal.drop_before(journal.segment)
            journal.commit(sync=True)
    return disk


@cache
def torn(seed: int) -> dict[Path, bytes]:
    """What a power cut has left: of the unsynced, pages, in any order, and names."""
    rng = random.Random(seed)
    disk, page = worked_on(rng), rng.choice((64, 256, 512, 1024))
    disk.crash(
        lambda durable, written: some_pages(rng, durable, written, page),
        names_survive=lambda: rng.random() < 0.5,
    )
    return segments_of(disk)


def harmed(rng: random.Random, content: bytes) -> bytes:
    """With a part that is lost, zeroed, blank, anything, or doubled; or with nothing at all."""
    start = rng.randrange(len(content) + 1)
    end = min(start + rng.choice((1, 2, 8, 64, 300)), len(content))
    parts = [
        b"",
        bytes(end - start),
        b"\n" * (end - start),
        rng.randbytes(end - start),
        content[start:end] * 2,
    ]
    changed = content[:start] + rng.choice(parts) + content[end:]
    return rng.choice([changed] * 8 + [content[:start], b""])


def has_hole(files: dict[Path, bytes]) -> bool:
    """Whether a batch is intact behind one that is torn."""
    torn = offline.check(DIRECTORY, disk_with(files)).found.torn
    return torn is not None and any(intact_batches(files[list(files)[-1]][torn[1] :]))


@pytest.mark.parametrize("hole", [b"\0", b"\n"], ids=["zeros", "blank"])
def test_a_hole_in_what_was_not_synced_is_torn_with_all_behind_it_for_a_check_too(
    hole: bytes,
) -> None:
    disk = SimDisk()
    journal, _ = started(disk)
    for number in range(1, 4):
        store(journal, put(number), sync=number == 1)
    content = disk.files()[str(FIRST)]
    at = content.index(put(2))
    torn = content[:at] + hole * 8 + content[at + 8 :]
    assert says_as_a_start_does({FIRST: torn}) == (1, at, len(content) - at)


def test_a_segment_that_lost_its_header_and_no_more_is_damaged_for_a_check_too() -> None:
    files, _ = journal_of_puts(*[1] * 12, segment_bytes_max=puts.SEGMENT_BYTES_MAX)
    *older, newest = files
    assert len(older) > 1
    headless = {path: content[content.index(b"\n") + 1 :] for path, content in files.items()}
    for lost in (
        *({path: b""} for path in older),
        *({path: b"", newest: b'{"qser'} for path in older),
        *({path: headless[path]} for path in files),
        {newest: b"\n" * 200},
    ):
        left, path = files | lost, next(iter(lost))
        assert says_as_a_start_does(left) is None
        (damage,) = offline.check(DIRECTORY, disk_with(left)).found.damages
        assert (damage.file, damage.offset, damage.bytes) == (str(path), 0, 0)
        assert puts.repaired(disk_with(left)) == intact_of(left, left)


def test_what_an_emptied_segment_held_is_told_of_the_oldest_too() -> None:
    files, _ = journal_of_puts(*[1] * 12, segment_bytes_max=puts.SEGMENT_BYTES_MAX)
    for path, following in pairwise(files):
        found = offline.check(DIRECTORY, disk_with(files | {path: b""})).found
        first, after = (int(one.name[8:20]) for one in (path, following))
        assert (found.missing, found.unlinked) == ([(first, after - 1)], [after])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_check_says_what_a_start_does_however_a_power_cut_left_it(seed: int) -> None:
    disk = disk_with(torn(seed))
    assert not refuses(disk)
    says_as_a_start_does(torn(seed))


def test_in_some_of_these_batches_are_intact_behind_a_hole() -> None:
    assert sum(has_hole(torn(seed)) for seed in SEEDS) >= len(SEEDS) // 10


@pytest.mark.parametrize("seed", SEEDS)
def test_a_check_says_what_a_start_does_whatever_is_damaged_besides(seed: int) -> None:
    files, rng = dict(torn(seed)), random.Random(seed)
    for _ in range(rng.randint(1, 2) if files else 0):
        path = rng.choice(list(files))
        files[path] = harmed(rng, files[rng.choice([path] * 9 + list(files))])
    if rng.random() < 0.1:
        files.pop(rng.choice(list(files)))
    says_as_a_start_does(files)
