"""What every driver of the `Journal` port must do. To add a driver, see `drivers.py`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qserver.errors import Locked, StorageFailed
from qserver.ports import Journal
from tests.storage_contract.drivers import DRIVERS, Opener, settle, started

A, B, C, D = b'{"a":1}\n', b'{"b":2}\n', b'{"c":3}\n', b'{"d":"\xc3\xa4"}\n'


@pytest.fixture(params=DRIVERS, ids=lambda driver: driver.__name__)
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    opened: list[Journal] = []
    open_one = request.param(tmp_path)

    def opener() -> Journal:
        opened.append(open_one())
        return opened[-1]

    yield opener
    for journal in opened:
        journal.close()


def batch(journal: Journal, *records: bytes) -> None:
    """Store records where no loop runs, so that the commit is done when it returns."""
    for record in records:
        journal.append(record)
    assert journal.commit(sync=True) is None


def fill(journal: Journal, segments: int) -> list[bytes]:
    """Store small batches until the journal has come so many segments further."""
    stored: list[bytes] = []
    seen = {journal.segment}
    while len(seen) <= segments:
        stored.append(b'{"n":%d,"fill":"%b"}\n' % (journal.position, b"x" * 100))
        batch(journal, stored[-1])
        seen.add(journal.segment)
    return stored


def test_a_new_journal_is_empty_and_counts_from_one(opener: Opener) -> None:
    journal, stored = started(opener)
    assert (stored, journal.position, journal.segment) == ([], 1, 1)
    assert not journal.pending


def test_many_records_are_added_as_they_would_be_one_by_one(opener: Opener) -> None:
    journal, _ = started(opener)
    journal.append(A)
    journal.extend(B + C, 2)
    journal.append(A)
    assert journal.pending_bytes == len(A + B + C + A)
    assert journal.commit(sync=True) is None
    journal.close()
    assert started(opener)[1] == [A, B, C, A]


@pytest.mark.parametrize("pieces", [1, 2, 30, 1100])
def test_long_batches_come_back_whole(opener: Opener, pieces: int) -> None:
    journal, _ = started(opener)
    batch(journal, A)
    stored = [b'{"long":"%b","n":%d}\n' % (b"y" * 100_000, number) for number in range(2)]
    stored += [
        b'{"n":%d,"fill":"%b"}\n' % (n, b"x" * ((200 << 10) // pieces)) for n in range(pieces)
    ]
    batch(journal, *stored)
    batch(journal, B)
    journal.close()
    assert started(opener)[1] == [A, *stored, B]


def test_what_was_committed_comes_back_in_order(opener: Opener) -> None:
    journal, _ = started(opener)
    batch(journal, A, B)
    batch(journal, C)
    batch(journal, D, A)
    journal.close()
    assert started(opener)[1] == [A, B, C, D, A]


def test_what_was_not_committed_does_not_come_back(opener: Opener) -> None:
    journal, _ = started(opener)
    batch(journal, A)
    journal.append(B)
    journal.close()
    assert started(opener)[1] == [A]


def test_records_are_bytes_to_it(opener: Opener) -> None:
    odd = [
        b"\n",
        b"not json\n",
        b'"seal":1\n',
        b' {"seal":1}\n',
        b"\xff\x00\r\n",
        b"x" * 70000 + b"\n",
    ]
    journal, _ = started(opener)
    batch(journal, *odd)
    batch(journal, *odd)
    journal.close()
    assert started(opener)[1] == odd + odd


def test_a_journal_goes_on_after_each_of_many_starts(opener: Opener) -> None:
    expected: list[bytes] = []
    for start in range(20):
        journal, stored = started(opener)
        assert stored == expected
        assert journal.position == start + 1
        expected.append(b'{"start":%d,"fill":"%b"}\n' % (start, b"x" * 100))
        batch(journal, expected[-1])
        journal.close()


def test_records_are_pending_until_the_commit(opener: Opener) -> None:
    journal, _ = started(opener)
    journal.append(A)
    assert journal.pending
    assert journal.commit(sync=False) is None
    assert not journal.pending


def test_append_may_be_kept_for_good(opener: Opener) -> None:
    journal, _ = started(opener)
    append = journal.append
    fill(journal, 2)
    append(A)
    assert journal.pending
    batch(journal, B)
    journal.close()
    assert started(opener)[1][-2:] == [A, B]


def test_each_batch_has_the_next_position(opener: Opener) -> None:
    journal, _ = started(opener)
    positions = []
    for _ in range(5):
        positions.append(journal.position)
        batch(journal, A, B)
    assert positions == [1, 2, 3, 4, 5]


def test_a_commit_of_nothing_stores_nothing(opener: Opener) -> None:
    journal, _ = started(opener)
    assert journal.commit(sync=False) is None
    assert journal.commit(sync=True) is None
    assert journal.sync() is None
    assert journal.position == 1
    batch(journal, A)
    assert journal.commit(sync=True) is None
    assert journal.sync() is None
    assert journal.position == 2


def test_an_unsynced_commit_survives_a_close(opener: Opener) -> None:
    journal, _ = started(opener)
    journal.append(A)
    assert journal.commit(sync=False) is None
    assert journal.sync() is None
    journal.append(B)
    assert journal.commit(sync=False) is None
    journal.close()
    assert started(opener)[1] == [A, B]


async def test_records_appended_while_a_commit_is_under_way_go_to_the_next(opener: Opener) -> None:
    journal, _ = started(opener)
    journal.append(A)
    first = journal.commit(sync=True)
    assert journal.position == 2
    journal.append(B)
    assert journal.pending
    await settle(first)
    journal.append(C)
    await settle(journal.commit(sync=True))
    journal.close()
    assert started(opener)[1] == [A, B, C]


async def test_a_sync_may_overlap_with_appends_and_commits(opener: Opener) -> None:
    journal, _ = started(opener)
    expected = []
    for number in range(40):
        expected.append(b'{"n":%d,"fill":"%b"}\n' % (number, b"x" * 100))
        journal.append(expected[-1])
        await settle(journal.commit(sync=False))
        under_way = journal.sync()
        expected.append(b'{"n":%d}\n' % number)
        journal.append(expected[-1])
        await settle(journal.commit(sync=number % 3 == 0, alone=bool(number % 2)))
        await settle(under_way)
    journal.close()
    assert started(opener)[1] == expected


def test_a_segment_is_named_by_its_first_batch_and_changes_in_commit_only(opener: Opener) -> None:
    journal, _ = started(opener)
    segment = journal.segment
    changes = []
    for _ in range(60):
        position = journal.position
        journal.append(b"x" * 100 + b"\n")
        assert journal.segment == segment
        assert journal.commit(sync=True) is None
        if journal.segment != segment:
            assert journal.segment == position + 1
            changes.append(journal.segment)
        segment = journal.segment
    assert len(changes) > 3
    assert changes == sorted(set(changes))


def test_replay_tells_the_segment_that_each_record_was_given(opener: Opener) -> None:
    journal, _ = started(opener)
    expected: dict[int, bytes] = {}
    while len(expected) < 4:
        record = b'{"n":%d,"fill":"%b"}\n' % (journal.position, b"x" * 100)
        expected[journal.segment] = expected.get(journal.segment, b"") + record
        batch(journal, record)
    journal.close()
    replayed: dict[int, bytes] = {}
    for segment, records in opener().replay():
        assert records.endswith(b"\n")
        replayed[segment] = replayed.get(segment, b"") + records
    assert list(replayed.items()) == list(expected.items())


def test_a_segment_goes_on_after_a_new_start(opener: Opener) -> None:
    journal, _ = started(opener)
    fill(journal, 1)
    batch(journal, A)
    segment = journal.segment
    journal.close()
    journal, _ = started(opener)
    assert journal.segment == segment


def test_dropped_segments_are_forgotten_by_the_next_commit(opener: Opener) -> None:
    journal, _ = started(opener)
    fill(journal, 2)
    kept_from = journal.segment
    kept = [*fill(journal, 2), A]
    batch(journal, A)
    before = journal.stats()
    journal.drop_before(kept_from)
    assert journal.commit(sync=True) is None
    after = journal.stats()
    assert after["segments"] == int(before["segments"]) - 2
    assert float(after["journal_bytes"]) < float(before["journal_bytes"])
    batch(journal, B)
    journal.close()
    journal, stored = started(opener)
    assert stored == [*kept, B]
    journal.drop_before(kept_from)
    batch(journal, C)
    journal.close()
    assert started(opener)[1] == [*kept, B, C]


def test_everything_but_the_next_segment_can_be_dropped(opener: Opener) -> None:
    journal, _ = started(opener)
    fill(journal, 1)
    position = journal.position
    journal.drop_before(journal.segment)
    batch(journal, A)
    journal.close()
    journal, stored = started(opener)
    assert stored == [A]
    assert journal.position > position


def test_dropping_before_the_oldest_segment_is_nothing(opener: Opener) -> None:
    journal, _ = started(opener)
    journal.drop_before(1)
    batch(journal, A)
    journal.drop_before(1)
    batch(journal, B)
    journal.close()
    assert started(opener)[1] == [A, B]


def test_dropping_what_is_still_to_come_is_a_mistake(opener: Opener) -> None:
    journal, _ = started(opener)
    batch(journal, A)
    with pytest.raises(AssertionError):
        journal.drop_before(journal.segment + 1)


def test_progress_ends_with_all_of_it(opener: Opener) -> None:
    journal, _ = started(opener)
    fill(journal, 3)
    journal.close()
    told: list[tuple[int, int]] = []
    for _ in opener().replay(lambda done, total: told.append((done, total))):
        pass
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert len({total for _, total in told}) == 1
    assert told[-1][0] == told[-1][1] > 0


def test_there_is_one_owner_at_a_time(opener: Opener) -> None:
    journal, _ = started(opener)
    with pytest.raises(Locked):
        opener()
    journal.close()
    started(opener)


def test_it_refuses_before_the_replay_and_after_the_close(opener: Opener) -> None:
    journal = opener()
    journal.append(A)
    with pytest.raises(StorageFailed):
        journal.commit(sync=True)
    assert list(journal.replay()) == []
    journal.close()
    with pytest.raises(StorageFailed):
        journal.commit(sync=True)
    with pytest.raises(StorageFailed):
        journal.sync()
    journal.close()


def test_stats_are_figures_for_people(opener: Opener) -> None:
    journal, _ = started(opener)
    batch(journal, A)
    stats = journal.stats()
    assert stats["segments"] == 1
    assert float(stats["journal_bytes"]) >= len(A)
    assert stats["storage_error"] == ""


def test_there_is_room_and_looking_for_it_is_harmless(opener: Opener) -> None:
    journal, _ = started(opener)
    assert journal.room > 1 << 20
    journal.append(A)
    assert journal.look_for_room() is None
    batch(journal, B)
    assert journal.room > 1 << 20


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.binary(max_size=300).map(lambda b: b.replace(b"\n", b"."))),
        st.tuples(st.just("commit"), st.booleans()),
        st.tuples(st.just("sync"), st.none()),
        st.tuples(st.just("drop"), st.integers(0, 3)),
        st.tuples(st.just("reopen"), st.none()),
    ),
    max_size=60,
)


@pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.__name__)
@settings(max_examples=60)
@given(steps=STEPS)
def test_it_is_a_list_of_batches(driver: Any, steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        opener = driver(Path(directory))
        journal, _ = started(opener)
        model: list[tuple[int, bytes]] = []
        gathered: list[tuple[int, bytes]] = []
        oldest = 0
        for step, value in [*steps, ("reopen", None)]:
            if step == "append":
                gathered.append((journal.segment, b"-" + value + b"\n"))
                journal.append(gathered[-1][1])
            elif step == "commit":
                assert journal.commit(sync=value) is None
                model += gathered
                gathered = []
            elif step == "sync":
                assert journal.sync() is None
            elif step == "drop":
                segments = sorted({segment for segment, _ in model})
                oldest = max(oldest, segments[min(value, len(segments) - 1)] if segments else 0)
                journal.drop_before(oldest)
                assert journal.commit(sync=True) is None
                model = [item for item in model + gathered if item[0] >= oldest]
                gathered = []
            else:
                journal.close()
                gathered = []
                journal, stored = started(opener)
                assert stored == [record for _, record in model]
        journal.close()
