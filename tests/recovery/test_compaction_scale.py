"""The workloads of test_compaction.py, as large as when they made the logs of others explode."""

import pytest

from qserver.broker import admin, settle
from qserver.broker.compaction import live_bytes
from qserver.broker.put import Options, put, put_with
from tests.recovery.churn import Churn, standing
from tests.recovery.test_compaction import ALL_STATES

pytestmark = pytest.mark.slow


def test_a_million_cycles_over_a_thousand_messages() -> None:
    churn = Churn()
    admin.configure(churn.broker, "q", {"max_failures": 0})
    for number in range(1000):
        put(churn.broker, churn.now, "q", b'{"n":%d}' % number)
    for _ in range(1000):
        receipts = churn.get("q", 1000)
        assert len(receipts) == 1000
        settle.release(churn.broker, churn.now, receipts[::2])
        settle.nack(churn.broker, churn.now, receipts[1::2], delay_s=1.0)
        churn.end_turn()
        churn.pass_time(1.1)
        churn.end_turn()
    assert churn.journal.size < 4 * churn.segment_bytes_max
    before = standing(churn.broker)
    assert standing(churn.restarted()) == before


def test_an_immortal_message_under_half_a_million() -> None:
    churn = Churn()
    immortal = put(churn.broker, churn.now, "keep", b'"immortal"')
    for _ in range(5000):
        for _ in range(100):
            put(churn.broker, churn.now, "q", b"1")
        settle.ack(churn.broker, churn.now, churn.get("q", 100))
        churn.end_turn()
    assert churn.journal.size < 3 * churn.segment_bytes_max
    assert set(churn.restarted().messages) == {immortal}


def test_heartbeats_by_receipt_on_ten_thousand_leases_for_an_hour() -> None:
    churn = Churn()
    for _ in range(10_000):
        put(churn.broker, churn.now, "q", b"1")
    receipts = [receipt for _ in range(10) for receipt in churn.get("q", 1000)]
    churn.end_turn()
    for _ in range(360):
        churn.pass_time(10)
        for at in range(0, 10_000, 1000):
            assert settle.touch(churn.broker, churn.now, receipts[at : at + 1000]) == []
            churn.end_turn()
    assert settle.ack(churn.broker, churn.now, receipts) == []


@pytest.mark.parametrize("how", ["purge", "drop"])
def test_a_million_messages_that_go_at_once(how: str) -> None:
    churn = Churn()
    put(churn.broker, churn.now, "other", b"1")
    for _ in range(1000):
        for _ in range(1000):
            put(churn.broker, churn.now, "q", b"1")
        churn.end_turn()
    if how == "purge":
        assert admin.purge(churn.broker, "q", ALL_STATES) == 1_000_000
    else:
        assert admin.drop(churn.broker, "q") == 1_000_000
    churn._commit()
    churn.end_turn()
    assert churn.journal.size <= 2 * churn.segment_bytes_max + 2 * live_bytes(churn.broker)
    assert len(churn.restarted().messages) == 1


def test_a_hundred_thousand_dedup_keys_that_outlive_their_messages() -> None:
    churn = Churn()
    for number in range(100_000):
        put_with(churn.broker, churn.now, "q", b"1", Options(dedup=f"order-{number}"))
        if number % 100 == 99:
            settle.ack(churn.broker, churn.now, churn.get("q", 100))
            churn.end_turn()
    for _ in range(2000):
        for _ in range(100):
            put(churn.broker, churn.now, "r", b"1")
        settle.ack(churn.broker, churn.now, churn.get("r", 100))
        churn.end_turn()
    broker = churn.restarted()
    assert put_with(broker, churn.now, "q", b"1", Options(dedup="order-0")) == (1, True)
    churn.pass_time(400)
    assert not any(churn.broker.live.values())
