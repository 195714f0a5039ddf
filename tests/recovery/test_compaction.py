"""The journal stays within its bound under the workloads that made others' logs explode."""

import pytest

from qserver.broker import admin, outcome, settle
from qserver.broker.compaction import live_bytes
from qserver.broker.get import join
from qserver.broker.message import STATES
from qserver.broker.put import Options, put, put_with
from tests.recovery.churn import Churn, move_everything, standing

ALL_STATES = list(range(len(STATES)))


def test_delays_releases_and_nacks_over_a_thousand_messages() -> None:
    churn = Churn()
    admin.configure(churn.broker, "q", {"max_failures": 0, "backoff": 1.0, "backoff_max": 1.0})
    for number in range(1000):
        put(churn.broker, churn.now, "q", b'{"n":%d}' % number)
    for cycle in range(30):
        receipts = churn.get("q", 1000)
        assert len(receipts) == 1000
        settle.release(churn.broker, churn.now, receipts[::2])
        settle.nack(churn.broker, churn.now, receipts[1::2], delay_s=1.0, reason=f"try {cycle}")
        churn.end_turn()
        churn.pass_time(1.1)
        churn.end_turn()
    before = standing(churn.broker)
    assert standing(churn.restarted()) == before


def test_one_immortal_message_under_a_stream_of_short_lived_ones() -> None:
    churn = Churn()
    immortal = put(churn.broker, churn.now, "keep", b'"immortal"')
    for _ in range(200):
        for number in range(50):
            put(churn.broker, churn.now, "q", b'{"n":%d}' % number)
        settle.ack(churn.broker, churn.now, churn.get("q", 50))
        churn.end_turn()
    assert churn.journal.size < 3 * churn.segment_bytes_max
    assert set(churn.restarted().messages) == {immortal}


@pytest.mark.parametrize(
    "leases", [1000, pytest.param(10_000, marks=pytest.mark.slow, id="ten thousand")]
)
def test_heartbeats_of_a_session_for_an_hour(leases: int) -> None:
    churn = Churn()
    join(churn.broker, churn.now, churn.client, "worker", 10.0)
    for _ in range(leases):
        put(churn.broker, churn.now, "q", b"1")
    for _ in range(leases // 1000):
        churn.get("q", 1000)
    churn.end_turn()
    for _ in range(360):
        churn.pass_time(10)
        churn.touch_all()
        churn.end_turn()
    broker = churn.restarted()
    assert len(broker.sessions["worker"].leases) == leases
    assert min(m.deadline for m in broker.messages.values()) >= churn.now + 29


def test_heartbeats_by_receipt() -> None:
    churn = Churn()
    for _ in range(1000):
        put(churn.broker, churn.now, "q", b"1")
    receipts = churn.get("q", 1000)
    for _ in range(100):
        churn.pass_time(10)
        assert settle.touch(churn.broker, churn.now, receipts) == []
        churn.end_turn()
    assert settle.ack(churn.broker, churn.now, receipts) == []


def test_progress_that_is_told_all_the_time() -> None:
    churn = Churn()
    for _ in range(20):
        put(churn.broker, churn.now, "q", b"1")
    receipts = churn.get("q", 20, lease_s=36_000.0)
    for step in range(300):
        for receipt in receipts:
            assert outcome.progress(churn.broker, receipt, b'"%0*d"' % (40 + step, step))
        churn.end_turn()
    assert churn.broker.counters.losses == 0
    kept = [m.detail().progress for m in churn.restarted().messages.values()]
    assert kept == [b'"%0*d"' % (339, 299)] * 20


def test_results_that_are_kept_for_a_while() -> None:
    churn = Churn()
    for step in range(300):
        churn.pass_time(1)
        put(churn.broker, churn.now, "q", b"1")
        (receipt,) = churn.get("q", 1)
        assert outcome.done(churn.broker, churn.now, receipt, b'"%0*d"' % (500, step), 20.0)
        churn.end_turn()
    kept = [m.detail().result for m in churn.restarted().messages.values()]
    assert kept == [b'"%0*d"' % (500, step) for step in range(280, 300)]
    churn.pass_time(30)
    assert churn.broker.memory == 0
    assert not any(churn.broker.live.values())


@pytest.mark.parametrize("how", ["purge", "drop"])
def test_a_queue_that_is_emptied_leaves_nothing_but_two_segments(how: str) -> None:
    churn = Churn()
    put(churn.broker, churn.now, "other", b"1")
    for _ in range(100):
        for _ in range(200):
            put(churn.broker, churn.now, "q", b"1")
        churn.end_turn()
    if how == "purge":
        assert admin.purge(churn.broker, "q", ALL_STATES) == 20_000
    else:
        assert admin.drop(churn.broker, "q") == 20_000
    churn._commit()
    churn.end_turn()
    assert churn.journal.size <= 2 * churn.segment_bytes_max + 2 * live_bytes(churn.broker)
    assert len(churn.restarted().messages) == 1


def test_dedup_keys_that_outlive_their_messages() -> None:
    churn = Churn()
    for number in range(10_000):
        put_with(churn.broker, churn.now, "q", b"1", Options(dedup=f"order-{number}"))
        if number % 100 == 99:
            settle.ack(churn.broker, churn.now, churn.get("q", 100))
            churn.end_turn()
    for _ in range(200):  # the journal goes on, and the keys hold for another while
        for _ in range(50):
            put(churn.broker, churn.now, "r", b"1")
        settle.ack(churn.broker, churn.now, churn.get("r", 50))
        churn.end_turn()
    broker = churn.restarted()
    assert put_with(broker, churn.now, "q", b"1", Options(dedup="order-0")) == (1, True)
    assert put_with(broker, churn.now, "q", b"1", Options(dedup="order-9999")) == (10_000, True)
    churn.pass_time(400)
    assert not any(churn.broker.live.values())


def test_what_is_moved_stands_as_it_stood_in_every_state() -> None:
    churn = Churn(segment_bytes_max=200)
    broker, now = churn.broker, churn.now
    admin.configure(broker, "kept", {"retain": 3600.0})
    admin.configure(broker, "behind", {"requeue": "back"})
    for options in (
        Options(),
        Options(priority=9, key="k", trace="t", dedup="d"),
        Options(delay=60.0, ttl=30.0),
        Options(ttl=90.0),
    ):
        put_with(broker, now, "q", b'{"a": 1E5}', options)
    for name in ("kept", "kept", "behind", "behind", "failed", "dead", "lost"):
        put(broker, now, name, b"1")
    settle.ack(broker, now, churn.get("kept", 1))
    settle.release(broker, now, churn.get("behind", 1))
    settle.nack(broker, now, churn.get("failed", 1), reason="why")
    settle.nack(broker, now, churn.get("dead", 1), reason="no such mailbox", dead=True)
    churn.get("lost", 1, lease_s=0.1)
    join(broker, now, churn.client, "worker", 10.0)
    churn.get("q", 1)
    churn.pass_time(0.2)
    churn._commit()
    put(broker, churn.now, "q", b"1")
    before = standing(broker)
    moved_to = churn.recorder.segment
    move_everything(churn)
    assert {message.segment for message in broker.messages.values()} == {moved_to}
    churn._commit()
    assert standing(broker) == before
    restored = churn.restarted()
    assert standing(restored) == before
    assert list(restored.sessions["worker"].leases) == list(broker.sessions["worker"].leases)


def test_live_bytes_is_no_more_than_what_the_live_records_take() -> None:
    churn = Churn()
    for number in range(2000):
        put_with(
            churn.broker, churn.now, f"queue-{number % 7}", b"1" * 50, Options(key=str(number))
        )
    assert live_bytes(churn.broker) <= churn.told_anew_bytes()


def test_nothing_is_moved_while_the_journal_is_small() -> None:
    churn = Churn()
    for _ in range(50):
        put(churn.broker, churn.now, "q", b"1")
        churn.end_turn()
    assert churn.compactor.moved_bytes == 0
