"""The power goes at each single change to the disk in turn, and what a crash may leave is left."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import pytest

from qserver.storage.file import FileJournal
from tests.recovery.journals import journal_of, record, started, store, stored
from tests.sim_disk import PowerCut, SimDisk, Survives, everything, nothing_unsynced, some_pages

SEGMENT_BYTES_MAX = 700


@dataclass
class Ledger:
    """What a script was told by the journal; numbers of records."""

    appended: int = 0
    committed: int = 0
    synced: int = 0
    droppable: int = 0
    segment_starts: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Script:
    """So many steps a run, and which of them are synced."""

    steps: int
    is_synced: Callable[[int], bool]


MIXED = Script(7, lambda step: step % 3 != 1)
WITH_BLANK_ENDS = Script(16, lambda step: step != 14)


def seeds(count: int, quick: int) -> pytest.MarkDecorator:
    """Some of them at once, all of them when there is time."""
    slow = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(quick, count)]
    return pytest.mark.parametrize("seed", [*range(quick), *slow])


SCRIPTS = pytest.mark.parametrize("script", [MIXED, WITH_BLANK_ENDS], ids=["mixed", "blank ends"])


def play(script: Script, disk: SimDisk, ledger: Ledger) -> None:
    """Three runs of a server: every call there is, with rolls and drops."""
    for run in range(3):
        journal, found = started(disk, SEGMENT_BYTES_MAX)
        assert_kept(found, ledger, ledger.synced)
        for step in range(script.steps):
            for _ in range(1 + step % 3):
                ledger.segment_starts.setdefault(journal.segment, ledger.appended)
                journal.append(record(ledger.appended))
                ledger.appended += 1
            commit(journal, ledger, sync=script.is_synced(step))
            if step == 3:
                drop(journal, ledger)
            if step == 5:
                assert journal.sync() is None
                ledger.synced = ledger.committed
        if run != 1:
            journal.close()
            ledger.synced = ledger.committed
        else:
            disk.kill()


def commit(journal: FileJournal, ledger: Ledger, *, sync: bool) -> None:
    assert journal.commit(sync=sync) is None
    ledger.committed = ledger.appended
    if sync:
        ledger.synced = ledger.committed


def drop(journal: FileJournal, ledger: Ledger) -> None:
    """Forget all but the last two segments."""
    kept = sorted(ledger.segment_starts)[-2:][0]
    ledger.droppable = ledger.segment_starts[kept]
    journal.drop_before(kept)


def assert_kept(found: list[bytes], ledger: Ledger, promised: int) -> None:
    """A run without a gap, from at latest what may not be dropped to at least what was promised."""
    numbers = [int(one[5 : one.index(b",")]) for one in found]
    assert found == [record(number) for number in numbers]
    if numbers:
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert numbers[0] <= ledger.droppable
        assert promised <= numbers[-1] + 1 <= ledger.appended
    else:
        assert promised == 0


@cache
def changes_of(script: Script) -> range:
    """The changes to the disk that it makes, counted from 1."""
    disk = SimDisk()
    play(script, disk, Ledger())
    return range(1, disk.changes + 1)


def cut(script: Script, change: int) -> tuple[SimDisk, Ledger]:
    disk, ledger = SimDisk(), Ledger()
    disk.cut_power_at(change)
    with pytest.raises(PowerCut):
        play(script, disk, ledger)
    return disk, ledger


def some_of_it(seed: int) -> Survives:
    """Of the unsynced, pages written or not at random, up to a random length."""
    rng = random.Random(seed)
    return lambda durable, written: some_pages(rng, durable, written, rng.choice((8, 32, 128)))


def some_names(seed: int) -> Callable[[], bool]:
    rng = random.Random(seed)
    return lambda: rng.random() < 0.5


@SCRIPTS
def test_the_script_has_every_kind_of_change(script: Script) -> None:
    disk = SimDisk()
    play(script, disk, Ledger())
    kinds = {change.split()[0] for change in disk.log}
    assert kinds == {
        "make_directory",
        "create",
        "write",
        "allocate",
        "sync",
        "sync_directory",
        "truncate",
        "unlink",
    }


@pytest.mark.parametrize(("script", "least"), [(MIXED, 0), (WITH_BLANK_ENDS, 15)])
def test_batches_are_written_over_blank_lines_in_one_of_the_scripts(
    script: Script, least: int
) -> None:
    disk = SimDisk()
    ends: list[bool] = []
    disk.before_sync = lambda: ends.append(
        any(content.endswith(b"\n\n") for content in disk.files().values())
    )
    play(script, disk, Ledger())
    assert ends.count(True) >= least
    assert any(ends) == (least > 0)


@SCRIPTS
def test_what_was_synced_survives_a_power_cut_at_any_change(script: Script) -> None:
    for change in changes_of(script):
        disk, ledger = cut(script, change)
        disk.crash(nothing_unsynced)
        assert_kept(stored(disk), ledger, ledger.synced)
        assert_goes_on(disk, ledger)


@SCRIPTS
def test_what_was_committed_survives_the_end_of_the_process_at_any_change(script: Script) -> None:
    for change in changes_of(script):
        disk, ledger = cut(script, change)
        disk.crash(everything, names_survive=lambda: True)
        assert_kept(stored(disk), ledger, ledger.committed)
        assert_goes_on(disk, ledger)


@SCRIPTS
def test_a_power_cut_takes_nothing_that_was_confirmed_after_the_end_of_a_process(
    script: Script,
) -> None:
    """The machine went on, so its memory shows what was never made durable: names, too."""
    for change in changes_of(script):
        disk, ledger = cut(script, change)
        disk.kill()
        disk.heal()
        assert_goes_on(disk, ledger, new=1)


@SCRIPTS
@seeds(6, quick=2)
def test_what_was_synced_survives_however_the_rest_is_torn(script: Script, seed: int) -> None:
    for change in changes_of(script):
        disk, ledger = cut(script, change)
        disk.crash(some_of_it(seed * 10_000 + change), names_survive=some_names(change))
        assert_kept(stored(disk), ledger, ledger.synced)
        assert_goes_on(disk, ledger)


@SCRIPTS
@seeds(2, quick=1)
def test_a_power_cut_during_the_repair_of_another_loses_no_more(script: Script, seed: int) -> None:
    for change in changes_of(script)[2::4]:
        for second in range(1, 12):
            disk, ledger = cut(script, change)
            disk.crash(some_of_it(seed + change), names_survive=some_names(seed))
            disk.cut_power_at(second)
            try:
                stored(disk)
            except PowerCut:
                disk.crash(some_of_it(second), names_survive=some_names(seed))
                assert_kept(stored(disk), ledger, ledger.synced)
                assert_goes_on(disk, ledger)
            else:
                break


@pytest.mark.parametrize("seed", range(8))
def test_a_power_cut_while_segments_are_dropped_leaves_no_gap(seed: int) -> None:
    """Though the system may store removed names in any order."""
    survives = some_names(seed)
    for change in range(1, 30):
        disk, records = journal_of(*[1] * 20, segment_bytes_max=500)
        journal, _ = started(disk, 500)
        journal.drop_before(journal.segment)
        disk.cut_power_at(change)
        try:
            store(journal, record(20))
        except PowerCut:
            disk.crash(names_survive=survives)
        else:
            assert change > 10
            disk.crash(names_survive=survives)
            assert stored(disk)[-1] == record(20)
        found = stored(disk)
        everything_stored = [*records, record(20)] if found[-1] == record(20) else records
        assert found == everything_stored[-len(found) :]


def assert_goes_on(disk: SimDisk, ledger: Ledger, new: int = 8) -> None:
    """What is stored after a start survives the next power cut: here, eight are some segments."""
    journal, before = started(disk, SEGMENT_BYTES_MAX)
    added = [b'{"new":%d}\n' % number for number in range(new)]
    for one in added:
        store(journal, one)
    disk.crash()
    after = stored(disk)
    assert after[-new:] == added
    assert before[len(before) - len(after) + new :] == after[:-new]
    assert_kept(after[:-new], ledger, ledger.synced)
