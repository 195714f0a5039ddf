"""A ttl: what is not delivered by then is dropped, or dead."""

import random

import pytest

from tests.unit.broker.bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_message_that_nobody_took_in_time_is_gone(bench: Bench) -> None:
    bench.put(ttl=10)
    bench.after(9.99)
    assert bench.state(1) == "ready"
    bench.after(0.01)
    assert bench.state(1) == "gone"
    assert bench.records("gone") == [{"op": "gone", "ids": [1]}]
    assert bench.broker.counters.expiries == 1


def test_by_setting_it_is_dead_and_says_why(bench: Bench) -> None:
    bench.configure(expired="dead")
    bench.put(ttl=10)
    bench.after(10)
    assert (bench.state(1), bench.reason(1)) == ("dead", "expired")
    assert bench.get() == []


def test_a_delayed_message_expires_too(bench: Bench) -> None:
    bench.configure(expired="dead")
    bench.put(ttl=10, delay=20)
    bench.after(10)
    assert (bench.state(1), bench.reason(1)) == ("dead", "expired")


def test_what_is_due_when_its_ttl_is_over_is_not_delivered(bench: Bench) -> None:
    bench.put(ttl=10, delay=10)
    bench.after(10)
    assert bench.state(1) == "gone"


def test_a_delay_within_the_ttl_is_kept(bench: Bench) -> None:
    bench.put(ttl=10, delay=4)
    bench.after(4)
    assert bench.state(1) == "ready"
    bench.after(6)
    assert bench.state(1) == "gone"


@pytest.mark.parametrize("end", ["release", "nack", "lost"])
def test_the_ttl_of_a_leased_message_waits_for_the_lease_s_end(bench: Bench, end: str) -> None:
    bench.put(ttl=10)
    (held,) = bench.get(lease=15)
    bench.after(14)
    assert bench.state(1) == "leased"
    if end == "release":
        bench.release(held)
    elif end == "nack":
        bench.nack(held)
    else:
        bench.after(1)
    assert bench.state(1) == "gone"


def test_a_message_that_comes_back_in_time_still_expires(bench: Bench) -> None:
    bench.put(ttl=10)
    bench.release(*bench.get(lease=15))
    bench.after(10)
    assert bench.state(1) == "gone"


def test_a_leased_message_whose_ttl_is_over_can_be_acked(bench: Bench) -> None:
    bench.put(ttl=1)
    (held,) = bench.get()
    bench.after(5)
    assert bench.ack(held) == []


@pytest.mark.parametrize("end", ["release", "nack", "lost", "session"])
def test_what_comes_back_after_its_ttl_goes_to_nobody_who_waits(bench: Bench, end: str) -> None:
    bench.configure(backoff=0)
    holder = bench.join("s", grace=2)
    bench.put(ttl=10)
    (held,) = bench.get(lease=15, client=holder)
    bench.after(13)
    waiting = bench.wait()
    if end == "release":
        bench.release(held)
    elif end == "nack":
        bench.nack(held)
    elif end == "session":
        bench.leave(holder)
    bench.after(2)
    assert (waiting.got, bench.state(1)) == ([], "gone")


def test_a_message_that_is_given_up_after_its_ttl_is_dead(bench: Bench) -> None:
    bench.configure(expired="dead", max_losses=1)
    for _ in range(2):
        bench.put(ttl=10)
    given_up, _ = bench.get(count=2, lease=15)
    bench.after(12)
    bench.nack(given_up, dead=True, reason="r")
    bench.after(12)
    assert [bench.reason(i) for i in (1, 2)] == ["r", "lost too often"]


def test_dead_and_done_messages_do_not_expire(bench: Bench) -> None:
    bench.configure(retain=1000)
    bench.put(ttl=10)
    bench.put(ttl=10)
    first, second = bench.get(count=2)
    bench.ack(first)
    bench.nack(second, dead=True)
    bench.after(100)
    assert [bench.state(i) for i in (1, 2)] == ["done", "dead"]


def test_a_redriven_message_has_no_ttl_any_more(bench: Bench) -> None:
    bench.configure(expired="dead")
    bench.put(ttl=10)
    bench.after(10)
    bench.redrive()
    bench.after(100)
    assert bench.ids() == [1]


def test_of_many_that_expire_the_lanes_and_the_bodies_are_let_go(bench: Bench) -> None:
    bench.put(body=b"keep")
    for _ in range(1000):
        bench.put(body=b"1" * 100, ttl=1)
    lane = bench.broker.queues["q"].ready._lanes[0]
    bench.after(1)
    assert len(lane.fresh) <= 66
    assert sum(len(message.body) for message in lane.fresh) == len(b"keep")
    assert bench.ids() == [1]


def test_an_expired_message_that_is_dead_keeps_its_body(bench: Bench) -> None:
    bench.configure(expired="dead")
    bench.put(body=b'"text"', ttl=1)
    bench.after(1)
    assert bench.message(1).body == b'"text"'
    bench.redrive()
    assert bench.ids() == [1]
    assert bench.message(1).body == b'"text"'


def test_of_those_that_came_back_the_rest_keeps_its_order_when_many_expire(bench: Bench) -> None:
    chance = random.Random(7)
    kept = []
    for message_id in range(1, 401):
        lives = chance.random() < 0.3
        bench.put(ttl=100 if lives else 1)
        kept += [message_id] if lives else []
    held = bench.get(count=400)
    chance.shuffle(held)
    bench.release(*held)
    bench.after(1)
    assert bench.ids() == kept
