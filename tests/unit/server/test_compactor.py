"""How much the compactor moves, and when; on a full disk it had better not."""

import pytest

from qserver.broker import admin, settle
from qserver.broker.compaction import live_bytes
from qserver.broker.message import READY
from qserver.broker.put import put
from qserver.server.compactor import BEHIND, GROWTH_MAX, PACE, PACED_BYTES_MAX, SLICE_BYTES
from qserver.storage.memory import MemoryJournal
from tests.recovery.churn import Churn


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk has no room but what is reserved."""
    monkeypatch.setattr(MemoryJournal, "room", property(lambda _: 0))


def churned(immortal: int, *, segment_bytes_max: int = 20_000) -> Churn:
    """Some messages that stay, under many that went, with nothing moved so far."""
    churn = Churn(segment_bytes_max=segment_bytes_max)
    for _ in range(immortal):
        put(churn.broker, churn.now, "keep", b'"immortal"')
    for _ in range(100):
        for _ in range(20):
            put(churn.broker, churn.now, "q", b"1")
        settle.ack(churn.broker, churn.now, churn.get("q", 20))
        churn._commit()
    return churn


def test_little_is_moved_on_a_full_disk_if_that_frees_a_segment(full: None) -> None:
    churn = churned(2)
    before = churn.journal.size
    assert churn.compactor.move_some()
    churn._commit()
    assert churn.journal.size < before - churn.segment_bytes_max / 2


def test_what_is_reserved_on_a_full_disk_is_not_used_up_by_moving(full: None) -> None:
    churn = churned(30)
    assert not churn.compactor.move_some()
    assert not churn.journal.pending


def test_the_same_is_moved_where_there_is_room() -> None:
    churn = churned(30)
    assert churn.compactor.move_some()
    assert churn.journal.pending


def growing(immortal: int = 2000, *, segment_bytes_max: int = 20_000) -> Churn:
    """Many messages that stay, and a journal that has just grown to where moving begins."""
    churn = Churn(segment_bytes_max=segment_bytes_max)
    for number in range(immortal):
        put(churn.broker, churn.now, "keep", b'"%b"' % (b"x" * 100))
        if number % 50 == 49:
            churn._commit()
    limit = GROWTH_MAX * live_bytes(churn.broker) + segment_bytes_max
    while churn.journal.size < limit:
        write(churn, 10)
        assert not churn.compactor.move_some()
        churn._commit()
    return churn


def write(churn: Churn, count: int) -> int:
    """Put and purge so many messages; answers how many bytes that were."""
    for _ in range(count):
        put(churn.broker, churn.now, "q", b"1")
    admin.purge(churn.broker, "q", [READY])
    return churn.journal.pending_bytes


@pytest.mark.parametrize("count", [1, 10, 100])
def test_what_is_moved_with_a_batch_is_in_proportion_to_what_it_holds(count: int) -> None:
    churn = growing()
    for _ in range(1000 // count):
        written = write(churn, count)
        assert not churn.compactor.move_some()
        moved = churn.journal.pending_bytes - written
        assert moved < (PACE + 1) * written + 300
        churn._commit()
    assert churn.compactor.moved_bytes > 100_000


def test_after_a_large_batch_its_share_is_moved_in_several_turns() -> None:
    churn = growing(10_000)
    written = write(churn, 3000)
    assert churn.compactor.move_some()
    moved = [churn.journal.pending_bytes - written]
    churn._commit()
    while churn.compactor.move_some():
        moved.append(churn.journal.pending_bytes)
        churn._commit()
    moved.append(churn.journal.pending_bytes)
    assert max(moved) < 1.2 * PACED_BYTES_MAX
    assert PACE * written < 1.1 * sum(moved) < 1.4 * PACE * written


def test_what_is_moved_is_no_reason_to_move_more() -> None:
    """Not even where it takes many times what was estimated: leased messages, with short bodies."""
    churn = Churn(segment_bytes_max=20_000)
    for _ in range(2000):
        put(churn.broker, churn.now, "keep", b"1")
    churn.get("keep", 2000)
    churn._commit()
    shares = []
    while churn.compactor.moved_bytes < 100_000:
        written = write(churn, 10)
        if not churn.compactor.move_some():
            shares.append((churn.journal.pending_bytes - written) / written)
        churn._commit()
    assert max(shares) < 2.5 * PACE


def test_nothing_is_moved_by_itself_unless_the_bound_is_near() -> None:
    churn = growing()
    write(churn, 10)
    churn.compactor.move_some()
    churn._commit()
    churn.compactor._size_before -= 110  # a seal has been written too
    assert not churn.compactor.move_some()
    assert not churn.journal.pending


def test_when_the_bound_is_near_a_slice_is_moved_with_every_turn_till_it_is_not() -> None:
    churn = growing()
    for message in list(churn.broker.messages.values())[::4]:
        churn.broker.withdraw(message)
        churn.recorder.gone([message.id])
    churn._commit()
    assert churn.compactor.move_some()  # for what has just been written
    churn._commit()
    turns = 0
    while churn.compactor.move_some():
        assert churn.journal.pending_bytes < 1.5 * SLICE_BYTES
        churn._commit()
        turns += 1
    assert turns > 1
    limit = GROWTH_MAX * live_bytes(churn.broker) + churn.segment_bytes_max
    assert churn.journal.size <= BEHIND * limit + churn.segment_bytes_max


def test_batches_larger_than_a_segment_pass_the_bound_by_no_more_than_themselves() -> None:
    """What keeps several segments alive is moved with one batch then."""
    churn = growing(500)
    for _ in range(50):
        size = write(churn, 1000)
        assert size > 3 * churn.segment_bytes_max
        while churn.compactor.move_some():
            churn._commit()
        churn._commit()
        bound = 2 * live_bytes(churn.broker) + 2 * churn.segment_bytes_max
        assert churn.journal.size <= bound + 2 * size
