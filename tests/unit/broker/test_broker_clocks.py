"""The wall clock is set: delays follow it, nothing else does."""

import pytest

from qserver.broker import timers
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
