"""The order of delivery."""

import pytest

from tests.unit.broker.bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_first_in_first_out(bench: Bench) -> None:
    for _ in range(5):
        bench.put()
    assert bench.ids() == [1, 2, 3, 4, 5]


def test_higher_priority_goes_first_and_within_one_first_in_first_out(bench: Bench) -> None:
    for priority in (4, 9, 0, 9, 4):
        bench.put(priority=priority)
    assert bench.ids() == [2, 4, 1, 5, 3]


def test_a_plain_put_stands_among_those_of_priority_4(bench: Bench) -> None:
    bench.put(priority=3)
    bench.put()
    bench.put(priority=5)
    assert bench.ids() == [3, 2, 1]


def test_a_get_of_several_queues_empties_the_first_one_first(bench: Bench) -> None:
    bench.put("b")
    bench.put("a")
    bench.put("a", priority=0)
    assert bench.ids("a", "b", count=2) == [2, 3]
    assert bench.ids("a", "b") == [1]


@pytest.mark.parametrize("way", ["release", "nack", "lost"])
def test_a_message_that_comes_back_is_delivered_before_newer_ones(bench: Bench, way: str) -> None:
    for _ in range(3):
        bench.put()
    first = bench.get(lease=1)
    if way == "release":
        bench.release(*first)
    elif way == "nack":
        bench.nack(*first, delay_s=0.0)
    else:
        bench.after(1)
    assert bench.ids() == [1, 2, 3]


def test_messages_come_back_to_their_own_places_in_whatever_order_they_come(bench: Bench) -> None:
    for _ in range(6):
        bench.put()
    held = bench.get(count=4)
    for receipt in (held[2], held[0], held[3], held[1]):
        bench.release(receipt)
    assert bench.ids() == [1, 2, 3, 4, 5, 6]


def test_a_message_that_comes_back_stays_behind_a_higher_priority(bench: Bench) -> None:
    bench.put()
    bench.release(*bench.get())
    bench.put(priority=9)
    assert bench.ids() == [2, 1]


def test_a_delayed_message_keeps_the_place_it_was_put_in(bench: Bench) -> None:
    bench.put(delay=10)
    bench.put()
    bench.after(10)
    assert bench.ids() == [1, 2]


def test_with_requeue_back_a_message_goes_behind_all_that_are_there(bench: Bench) -> None:
    bench.configure(requeue="back")
    for _ in range(3):
        bench.put()
    first, second, _ = bench.get(count=3)
    bench.release(second)
    bench.release(first)
    bench.put()
    assert bench.ids() == [2, 1, 4]


def test_with_requeue_back_a_message_that_backs_off_stands_where_it_was_sent(bench: Bench) -> None:
    bench.configure(requeue="back", backoff=5)
    bench.put()
    bench.put()
    bench.nack(*bench.get())
    bench.put()
    bench.after(5)
    assert bench.ids() == [2, 1, 3]


def test_leases_that_run_out_together_go_behind_in_the_order_of_their_ids(bench: Bench) -> None:
    bench.configure(requeue="back")
    for _ in range(50):
        bench.put()
    bench.get(count=50, lease=1)
    bench.put()
    bench.after(1)
    assert bench.ids() == [51, *range(1, 51)]


def test_redriven_messages_go_to_their_own_places(bench: Bench) -> None:
    for _ in range(3):
        bench.put()
    bench.nack(*bench.get(count=2), dead=True)
    bench.redrive()
    assert bench.ids() == [1, 2, 3]


def test_with_requeue_back_redriven_messages_go_behind(bench: Bench) -> None:
    bench.configure(requeue="back")
    for _ in range(3):
        bench.put()
    bench.nack(*bench.get(count=2), dead=True)
    bench.redrive()
    bench.put()
    assert bench.ids() == [3, 1, 2, 4]


def test_the_requeue_of_the_queue_they_come_to_counts(bench: Bench) -> None:
    bench.configure("back", requeue="back")
    bench.put("front")
    bench.put("back")
    bench.nack(*bench.get("front", "back", count=2), dead=True)
    bench.put("front")
    bench.put("back")
    assert bench.redrive("front", to="back") == 1
    assert bench.redrive("back", to="front") == 1
    assert bench.ids("back") == [4, 1]
    assert bench.ids("front") == [2, 3]


def test_it_never_answers_with_more_than_was_asked_for(bench: Bench) -> None:
    for queue in ("a", "a", "b", "b"):
        bench.put(queue)
    assert bench.ids("a", "b", count=3) == [1, 2, 3]
