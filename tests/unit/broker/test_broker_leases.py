"""Leases and their receipts: who holds a message, and until when."""

import pytest

from qserver.config import Limits
from tests.unit.broker.bench import Bench

TICK_S = 1 / 64


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_leased_nobody_else_gets(bench: Bench) -> None:
    bench.put()
    assert bench.get() == [(1, 1)]
    assert bench.get() == []


def test_the_lease_is_the_queue_s_unless_the_get_says_otherwise(bench: Bench) -> None:
    bench.configure(lease=7)
    bench.put()
    bench.put()
    bench.get()
    bench.get(lease=3)
    assert [bench.message(i).deadline - bench.now for i in (1, 2)] == [7, 3]


def test_each_queue_of_a_get_has_its_own_lease(bench: Bench) -> None:
    bench.configure("a", lease=7)
    bench.put("a")
    bench.put("b")
    bench.get("a", "b", count=2)
    assert [bench.message(i).deadline - bench.now for i in (1, 2)] == [7, 30]


@pytest.mark.parametrize("seconds", [0.05, 0.3, 1.0, 30.0, 43_200.0])
def test_a_lease_never_ends_early_and_at_most_a_tick_late(bench: Bench, seconds: float) -> None:
    bench.put()
    bench.get(lease=seconds)
    bench.after(seconds - 0.001)
    assert bench.state(1) == "leased"
    bench.after(0.001 + TICK_S)
    assert bench.state(1) == "ready"


def test_a_lease_that_ran_out_settles_nothing_any_more(bench: Bench) -> None:
    bench.put()
    (old,) = bench.get(lease=1)
    bench.after(1)
    assert bench.ack(old) == bench.nack(old) == bench.release(old) == bench.touch(old) == [old]
    (new,) = bench.get()
    assert new == (1, 2)
    assert bench.ack(old) == [old]
    assert bench.ack(new) == []


def test_a_receipt_settles_as_long_as_the_lease_has_not_been_ended(bench: Bench) -> None:
    """However late the server is: a message that nobody else was given is still its holder's."""
    bench.put()
    (held,) = bench.get(lease=1)
    bench.stall(3600)
    assert bench.ack(held) == []


def test_a_receipt_settles_once(bench: Bench) -> None:
    bench.put()
    (held,) = bench.get()
    assert bench.ack(held, held) == [held]


def test_the_others_of_a_request_are_settled_whatever_one_is(bench: Bench) -> None:
    bench.put()
    bench.put()
    first, second = bench.get(count=2)
    assert bench.ack(first, (9, 9), (2, 7), second) == [(9, 9), (2, 7)]
    assert not bench.broker.messages


def test_a_number_that_is_no_lease_settles_no_ready_message(bench: Bench) -> None:
    bench.put()
    assert bench.ack((1, 1)) == [(1, 1)]
    assert bench.state(1) == "ready"


def test_lease_numbers_are_one_sequence_for_all_queues(bench: Bench) -> None:
    for queue in ("a", "b", "a"):
        bench.put(queue)
    assert bench.get("b") + bench.get("a", count=2) == [(2, 1), (1, 2), (3, 3)]


def test_ack_removes_and_counts_down_what_is_kept_in_the_books(bench: Bench) -> None:
    bench.put(body=b'"text"')
    bench.ack(*bench.get())
    queue = bench.broker.queues["q"]
    assert (len(queue), queue.bytes, bench.broker.memory) == (0, 0, 0)
    assert not any(bench.broker.live.values())


def test_acked_messages_are_kept_as_done_for_the_queue_s_retain(bench: Bench) -> None:
    bench.configure(retain=60)
    bench.put()
    (held,) = bench.get()
    bench.after(10)
    assert bench.ack(held) == []
    assert bench.ack(held) == [held]
    bench.after(59)
    assert bench.state(1) == "done"
    bench.after(1)
    assert bench.state(1) == "gone"
    assert bench.records("gone") == [{"op": "gone", "ids": [1]}]


def test_a_done_message_is_not_delivered(bench: Bench) -> None:
    bench.configure(retain=60)
    bench.put()
    bench.ack(*bench.get())
    assert bench.get() == []


def test_touch_extends_from_now_by_the_queue_s_lease(bench: Bench) -> None:
    bench.configure(lease=10)
    bench.put()
    (held,) = bench.get()
    bench.after(8)
    assert bench.touch(held) == []
    bench.after(9)
    assert bench.state(1) == "leased"
    bench.after(1)
    assert bench.state(1) == "ready"


def test_touch_never_shortens(bench: Bench) -> None:
    bench.put()
    (held,) = bench.get(lease=100)
    assert bench.touch(held, lease=1) == []
    bench.after(99)
    assert bench.state(1) == "leased"
    assert bench.records("touch") == []


def test_touch_answers_what_it_can_t_extend(bench: Bench) -> None:
    bench.put()
    (held,) = bench.get()
    assert bench.touch(held, (9, 9), lease=100) == [(9, 9)]


def test_a_lease_can_be_extended_again_and_again(bench: Bench) -> None:
    bench.put()
    (held,) = bench.get(lease=1)
    for _ in range(100):
        bench.after(0.9)
        bench.touch(held, lease=1)
    assert bench.state(1) == "leased"
    bench.after(1 + TICK_S)
    assert bench.state(1) == "ready"


def test_leases_extended_to_one_time_are_told_together(bench: Bench) -> None:
    bench.configure("slow", lease=100)
    for queue in ("q", "slow", "q"):
        bench.put(queue)
    held = bench.get("q", "slow", count=3, lease=1)
    bench.touch(*held)
    assert [record["ids"] for record in bench.records("touch")] == [[1, 3], [2]]


def test_a_get_stops_at_the_reply_s_bytes_and_gives_one_at_least() -> None:
    bench = Bench(limits=Limits(reply_bytes_max=10))
    for size in (20, 4, 4, 4, 4):
        bench.put(body=b"1" * size)
    assert bench.ids() == [1]
    assert bench.ids() == [2, 3, 4]


def test_the_reply_s_bytes_are_for_all_queues_of_a_get() -> None:
    bench = Bench(limits=Limits(reply_bytes_max=10))
    bench.put("a", body=b"1" * 10)
    bench.put("b")
    assert bench.ids("a", "b") == [1]
