"""Ticks: how much one does, and when the next one is wanted."""

import pytest

from qserver.broker import timers
from qserver.broker.message import DELAYED
from qserver.broker.wheel import SET_MAX
from tests.unit.broker.bench import WALL, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_idle_broker_wants_no_tick(bench: Bench) -> None:
    bench.put()
    assert timers.next_deadline(bench.broker) is None


def test_a_tick_does_no_more_than_its_budget(bench: Bench) -> None:
    for _ in range(600):
        bench.put()
    bench.get(count=600, lease=1)
    bench.stall(2)
    losses = []
    while bench.tick():
        losses.append(bench.broker.counters.losses)
    assert losses == [250, 500]
    assert bench.broker.counters.losses == 600


def test_while_there_is_more_the_next_tick_is_wanted_at_once(bench: Bench) -> None:
    for _ in range(3):
        bench.put(ttl=1)
    bench.stall(2)
    while bench.tick(budget=1):
        wanted = timers.next_deadline(bench.broker)
        assert wanted is not None
        assert wanted <= bench.now
    assert not bench.broker.messages


def test_what_is_due_together_is_told_together(bench: Bench) -> None:
    for _ in range(5):
        bench.put(delay=1)
    bench.after(1)
    assert bench.records("due") == [{"op": "due", "ids": [1, 2, 3, 4, 5]}]


def test_times_before_the_machine_was_started_are_over() -> None:
    """Monotonic time begins with the machine; what the journal tells may be older."""
    bench = Bench()
    bench.configure("kept", expired="dead", retain=60)
    for queue in ("q", "kept"):
        bench.put(queue, ttl=60)
        bench.put(queue, ttl=60, delay=30)
    bench.put("kept")
    bench.put("kept")
    bench.put("kept", delay=30)
    bench.get("kept", count=1)
    bench.ack(*bench.get("kept", count=1))
    again = Bench(lines=bench.lines, now=5.0, wall=WALL + 1e6)
    again.after(1)
    assert {again.state(message_id) for message_id in (1, 2)} == {"gone"}
    assert [again.state(i) for i in range(3, 8)] == ["dead", "dead", "gone", "ready", "ready"]


def test_after_a_long_stall_everything_has_happened_once(bench: Bench) -> None:
    """What a server finds that was stopped for an hour, whatever was due in it."""
    bench.configure(retain=5, backoff=5)
    client = bench.join("s", grace=1)
    for _ in range(6):
        bench.put()
    held = bench.get(count=6, lease=10, client=client)
    bench.ack(held[0])
    bench.nack(held[1])
    bench.put(delay=3, ttl=100)
    bench.put(delay=3, ttl=7200)
    bench.leave(client)
    bench.stall(3600)
    bench.tick()
    assert {i: bench.state(i) for i in range(1, 9)} == {
        1: "gone",
        **dict.fromkeys(range(2, 7), "ready"),
        7: "gone",
        8: "ready",
    }
    assert bench.broker.counters.losses == 4
    assert not bench.broker.sessions


def test_what_is_due_at_one_time_stands_in_several_sets_and_comes_as_from_one(
    bench: Bench,
) -> None:
    count = 3 * SET_MAX
    for _ in range(count):
        bench.put(delay=100)
    slots = {id(message.slot): message.slot for message in bench.broker.messages.values()}
    assert all(slot is not None and len(slot) <= SET_MAX for slot in slots.values())
    bench.purge("q", "delayed")
    assert bench.tick() is False
    for _ in range(count):
        bench.put(delay=100)
    bench.after(100)
    assert bench.broker.counts[DELAYED] == 0
    assert bench.broker.wheel.next_deadline() is None
