"""Is the loop turning, how far to look ahead, which queue comes first: numbers in, answers out."""

from collections import Counter

import pytest

from qclient.worker.fetching import by_weight, in_order
from qclient.worker.lookahead import Lookahead
from qclient.worker.looping import LoopWatch


def test_a_loop_that_answers_is_never_news() -> None:
    watch = LoopWatch(1.0, 60.0)
    for now in range(100):
        assert watch.ask(now)
        assert not watch.is_news(now + 0.9)
        watch.answer()
        assert watch.blocked_s(now + 0.95) == 0


def test_a_blocked_loop_is_news_at_once_and_each_time_that_doubles() -> None:
    watch = LoopWatch(1.0, 60.0)
    assert watch.ask(100)
    assert not watch.ask(100.5)
    told = [tenth / 10 for tenth in range(1000, 1100) if watch.is_news(tenth / 10)]
    assert told == [101, 102, 104, 108]
    assert watch.blocked_s(108.5) == 8.5
    watch.answer()
    assert watch.ask(200)
    assert [now for now in (200.9, 201, 201.1) if watch.is_news(now)] == [201]


def test_a_loop_is_dead_only_past_its_cap() -> None:
    watch = LoopWatch(1.0, 60.0)
    watch.ask(100)
    assert not watch.is_dead(160)
    assert watch.is_dead(160.1)
    watch.answer()
    assert not watch.is_dead(161)


def test_looking_ahead_covers_what_ends_during_three_answers() -> None:
    look = Lookahead(100)
    assert look.ahead == 0
    for _ in range(50):
        look.answered(20, is_full=True)
    assert look.ahead == pytest.approx(60, abs=1)


def test_looking_ahead_has_a_bound_and_ends_with_long_tasks() -> None:
    look = Lookahead(100)
    for _ in range(50):
        look.answered(1000, is_full=True)
    assert look.ahead == 100
    for _ in range(50):
        look.answered(0, is_full=True)
    assert look.ahead == 0


def test_an_empty_queue_and_a_wrong_guess_end_it_too() -> None:
    look = Lookahead(100)
    look.answered(100, is_full=True)
    assert look.ahead == 90
    look.was_wrong()
    assert look.ahead == 0
    look.answered(100, is_full=True)
    for _ in range(20):
        look.answered(100, is_full=False)
    assert look.ahead == 0


def test_it_can_be_switched_off() -> None:
    look = Lookahead(0)
    look.answered(100, is_full=True)
    assert look.ahead == 0


def test_queues_in_order_stay_in_order() -> None:
    order = in_order(("a", "b"))
    assert [order() for _ in range(3)] == [("a", "b")] * 3


def test_queues_by_weight_come_first_as_often_as_they_weigh_evenly_spread() -> None:
    order = by_weight({"a": 5, "b": 1, "c": 1})
    orders = [tuple(order()) for _ in range(14)]
    firsts = [each[0] for each in orders]
    assert Counter(firsts) == {"a": 10, "b": 2, "c": 2}
    assert firsts[:7] == ["a", "a", "b", "a", "c", "a", "a"]
    assert all(sorted(each) == ["a", "b", "c"] for each in orders)
