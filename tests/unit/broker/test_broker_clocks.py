"""The wall clock is set: delays follow it, nothing else does."""

import pytest

from qserver.broker import following, timers
from qserver.broker.message import DELAYED, READY
from tests.model.same import check_books
from tests.unit.broker.bench import WALL, Bench

HOUR_S = 3600.0


@pytest.fixture
def bench() -> Bench:
    return Bench()


def set_clock(bench: Bench, moved: float) -> float:
    wall = bench.broker.wall(bench.now) + moved
    return timers.clock_checked(bench.broker, bench.now, wall)


def test_a_clock_that_drifts_a_little_is_left_alone(bench: Bench) -> None:
    assert set_clock(bench, 0.4) == 0
    assert bench.broker.wall(bench.now) == WALL


@pytest.mark.parametrize("moved", [-0.5, 0.5, HOUR_S, -HOUR_S, 1e9])
def test_a_clock_that_was_set_is_noticed(bench: Bench, moved: float) -> None:
    assert set_clock(bench, moved) == moved
    assert bench.broker.wall(bench.now) == WALL + moved
    assert set_clock(bench, 0) == 0


def test_a_delay_follows_the_clock_ahead(bench: Bench) -> None:
    bench.put(at=WALL + HOUR_S)
    bench.put(delay=2 * HOUR_S)
    set_clock(bench, HOUR_S)
    bench.tick()
    assert bench.ids() == [1]
    assert bench.due_in(2) == HOUR_S


def test_a_delay_follows_the_clock_back(bench: Bench) -> None:
    bench.put(delay=10)
    set_clock(bench, -HOUR_S)
    bench.after(HOUR_S)
    assert bench.state(1) == "delayed"
    bench.after(10)
    assert bench.state(1) == "ready"


def test_a_ttl_doesn_t_though_the_delay_it_ends_does(bench: Bench) -> None:
    bench.put(delay=10, ttl=60)
    set_clock(bench, -HOUR_S)
    bench.after(59.9)
    assert bench.state(1) == "delayed"
    bench.after(0.1)
    assert bench.state(1) == "gone"


@pytest.mark.parametrize("moved", [-HOUR_S, HOUR_S, 1e9])
def test_leases_waits_and_graces_don_t_care(bench: Bench, moved: float) -> None:
    client = bench.join("s", grace=10)
    bench.put()
    bench.put()
    bench.get(lease=10)
    bench.get(lease=100, client=client)
    waiting = bench.wait("other", seconds=10)
    bench.leave(client)
    set_clock(bench, moved)
    bench.after(9.9)
    assert ([bench.state(i) for i in (1, 2)], waiting.got) == (["leased"] * 2, [])
    bench.after(0.1)
    assert ([bench.state(i) for i in (1, 2)], waiting.got) == (["ready"] * 2, [[]])


@pytest.mark.parametrize("moved", [-HOUR_S, HOUR_S])
def test_leases_don_t_care_over_a_restart_either(bench: Bench, moved: float) -> None:
    for _ in range(3):
        bench.put()
    bench.get(count=2, lease=30)
    bench.get(lease=60)
    set_clock(bench, moved)
    again = bench.rebuilt()
    assert [again.message(i).deadline - bench.now for i in (1, 2, 3)] == [30, 30, 60]
    assert [record["ids"] for record in bench.records("touch")] == [[1, 2], [3]]


def test_what_is_put_after_that_has_the_new_time(bench: Bench) -> None:
    bench.put()
    set_clock(bench, HOUR_S)
    bench.put()
    assert [bench.message(i).put_at for i in (1, 2)] == [WALL, WALL + HOUR_S]


# --- many, a slice at a time ------------------------------------------------------------------

MANY = 2 * following.SLICE + 500


def test_many_delays_follow_a_clock_that_went_ahead_a_slice_in_each_tick(bench: Bench) -> None:
    for _ in range(MANY):
        bench.put(delay=HOUR_S)
    set_clock(bench, HOUR_S + 1)
    ticked = 0
    while bench.broker.follower.slot is not None:
        bench.tick(budget=MANY)
        ticked += 1
    assert ticked == 2
    bench.tick(budget=MANY)
    assert bench.broker.queues["q"].count(READY) == MANY
    check_books(bench.broker)


def test_a_delay_whose_turn_has_not_come_does_not_end_early_where_the_clock_went_back(
    bench: Bench,
) -> None:
    for _ in range(MANY):
        bench.put(delay=10)
    set_clock(bench, -HOUR_S)
    bench.stall(11)
    while bench.tick(budget=MANY):
        pass
    assert bench.broker.queues["q"].count(DELAYED) == MANY
    bench.after(HOUR_S)
    assert bench.broker.queues["q"].count(READY) == MANY


def test_a_clock_that_is_set_again_meanwhile_is_followed_by_all(bench: Bench) -> None:
    for _ in range(MANY):
        bench.put(delay=HOUR_S)
    set_clock(bench, HOUR_S / 2)
    bench.tick()
    set_clock(bench, -HOUR_S / 4)
    bench.after(HOUR_S * 3 / 4 - 1)
    assert bench.broker.queues["q"].count(DELAYED) == MANY
    bench.after(1)
    assert bench.broker.queues["q"].count(READY) == MANY


def test_leases_are_told_again_in_slices_and_those_that_end_meanwhile_are_not(
    bench: Bench,
) -> None:
    for _ in range(MANY):
        bench.put()
    held = bench.get(count=MANY, lease=60)
    set_clock(bench, HOUR_S)
    assert [len(record["ids"]) for record in bench.records("touch")] == [following.SLICE]
    gone = set(range(1, 100))
    bench.ack(*held[:99])
    bench.after(1)
    told = [message_id for record in bench.records("touch") for message_id in record["ids"]]
    assert set(told) | gone == set(range(1, MANY + 1))
    again = bench.rebuilt()
    assert {round(m.deadline - bench.now, 2) for m in again.broker.messages.values()} == {59.0}


def test_one_step_looks_at_three_pages_of_other_messages(bench: Bench) -> None:
    for _ in range(3 * following.LOOKS_MAX):
        bench.put()
    bench.put(delay=HOUR_S)
    set_clock(bench, HOUR_S)
    ticked = 0
    while bench.broker.follower.slot is not None:
        bench.tick()
        ticked += 1
    assert ticked == 2
