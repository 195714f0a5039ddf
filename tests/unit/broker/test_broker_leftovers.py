"""Messages that are removed from among the ready ones: what is left of them, and for how long."""

from random import Random

import pytest

from qserver.broker.ready import LEFTOVERS_MAX, LEFTOVERS_MIN, PACE, STRETCH, Lane
from qserver.broker.wheel import SET_MAX
from tests.model.same import check_books
from tests.unit.broker.bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def lane(bench: Bench) -> Lane:
    (only,) = bench.broker.queues["q"].ready._lanes
    return only


def test_of_what_expires_in_order_nothing_is_left(bench: Bench) -> None:
    for _ in range(1000):
        bench.put(ttl=10)
    last = bench.put()
    bench.after(10)
    assert (len(lane(bench).fresh), lane(bench).leftovers) == (1, 0)
    assert bench.ids() == [last]


def test_what_expires_behind_another_is_left_until_there_are_many(bench: Bench) -> None:
    bench.put()
    for _ in range(LEFTOVERS_MIN):
        bench.put(ttl=10)
    bench.after(10)
    assert lane(bench).leftovers == LEFTOVERS_MIN
    bench.put(ttl=1)
    bench.after(1)
    assert (lane(bench).leftovers, len(lane(bench).fresh)) == (0, 1)
    assert bench.ids() == [1]


def test_a_long_lane_is_swept_a_stretch_at_a_time_and_keeps_its_order(bench: Bench) -> None:
    chance = Random(1)
    count = 6 * STRETCH
    stays = [bench.put(ttl=0.0 if chance.random() < 0.4 else 10.0) for _ in range(count)]
    stays = [message_id for message_id in stays if not bench.message(message_id).expires_at()]
    bench.stall(10)
    longest, before = 0, count
    while bench.tick(budget=1):
        after = len(lane(bench).fresh)
        longest, before = max(longest, before - after), after
    assert longest <= STRETCH
    assert lane(bench).leftovers <= LEFTOVERS_MAX + STRETCH
    check_books(bench.broker)
    ids: list[int] = []
    while some := bench.ids(count=1000):
        ids += some
    assert ids == stays
    assert PACE > 1, "else a sweep falls behind"


def test_heads_that_are_taken_between_two_stretches_do_no_harm(bench: Bench) -> None:
    stays = [
        message_id
        for number in range(4 * STRETCH)
        if not bench.message(message_id := bench.put(ttl=10.0 * (number % 3 > 0))).expires_at()
    ]
    bench.stall(10)
    taken: list[int] = []
    while bench.tick(budget=STRETCH // 8):
        taken += bench.ids(count=700)
    while some := bench.ids():
        taken += some
    assert taken == sorted(taken)
    assert set(stays) <= set(taken)
    check_books(bench.broker)


def test_of_very_many_that_expire_at_once_few_are_ever_left(bench: Bench) -> None:
    for _ in range(5 * SET_MAX):
        bench.put(ttl=10)
    for _ in range(6 * SET_MAX):
        bench.put()
    bench.stall(10)
    most = 0
    while bench.tick():
        most = max(most, lane(bench).leftovers)
    assert 0 < most <= 2 * SET_MAX
