"""Dedup keys: a second PUT within the window stores nothing."""

import pytest

from qserver.broker.dedup import SHARDED_FROM, Dedup
from qserver.broker.put import KEYS_OVER_MAX
from qserver.broker.timers import KEYS_MAX
from tests.model.same import check_books
from tests.unit.broker.bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_duplicate_is_answered_with_the_first_one_s_id(bench: Bench) -> None:
    assert [bench.put(dedup="k"), bench.put(dedup="k"), bench.put(dedup="other")] == [1, 1, 2]
    assert bench.broker.counters.duplicates == 1
    assert bench.ids() == [1, 2]


def test_keys_are_of_one_queue(bench: Bench) -> None:
    assert [bench.put("a", dedup="k"), bench.put("b", dedup="k")] == [1, 2]


def test_a_key_holds_for_the_window_and_no_longer(bench: Bench) -> None:
    bench.configure(dedup_window=10)
    bench.put(dedup="k")
    bench.after(9.99)
    assert bench.put(dedup="k") == 1
    bench.after(0.01)
    assert bench.put(dedup="k") == 2


def test_a_duplicate_does_not_make_the_window_longer(bench: Bench) -> None:
    bench.configure(dedup_window=10)
    bench.put(dedup="k")
    bench.after(9)
    bench.put(dedup="k")
    bench.after(1)
    assert bench.put(dedup="k") == 2


@pytest.mark.parametrize("end", ["ack", "purge", "expire", "dead"])
def test_a_key_holds_whatever_became_of_the_message(bench: Bench, end: str) -> None:
    bench.put(dedup="k", ttl=1)
    if end == "ack":
        bench.ack(*bench.get())
    elif end == "purge":
        bench.purge()
    elif end == "expire":
        bench.after(2)
    else:
        bench.nack(*bench.get(), dead=True)
    assert bench.put(dedup="k") == 1


def test_a_drop_forgets_the_keys(bench: Bench) -> None:
    bench.put(dedup="k")
    bench.drop()
    assert not any(bench.broker.live.values())
    assert bench.put(dedup="k") == 2


def test_keys_whose_time_is_over_are_forgotten_by_themselves(bench: Bench) -> None:
    bench.configure(dedup_window=10)
    for n in range(20):
        bench.put(dedup=f"k{n}")
        bench.after(1)
    dedup = bench.broker.queues["q"].dedup
    assert dedup is not None
    assert len(dedup) <= 12
    bench.after(12)
    assert bench.broker.queues["q"].dedup is None
    assert sum(bench.broker.live.values()) == 20


def test_without_a_window_nothing_is_remembered(bench: Bench) -> None:
    bench.configure(dedup_window=0)
    assert [bench.put(dedup="k"), bench.put(dedup="k")] == [1, 2]
    bench.after(2)
    assert bench.broker.queues["q"].dedup is None


def test_a_shorter_window_holds_for_new_keys(bench: Bench) -> None:
    bench.put(dedup="old")
    bench.configure(dedup_window=1)
    bench.put(dedup="new")
    bench.after(1)
    assert bench.put(dedup="new") == 3
    assert bench.put(dedup="old") == 1


def test_a_key_that_is_used_again_is_counted_once() -> None:
    dedup = Dedup()
    assert dedup.add(["k"], [1], until=10.0, segment=1) == []
    assert dedup.add(["k"], [2], until=20.0, segment=2) == [1]
    assert dedup.expire(10.0, 9) == []
    assert dedup.find("k", 19.9) == 2
    assert dedup.segments() == [2]
    assert dedup.expire(20.0, 9) == [2]
    assert len(dedup) == 0
    assert dedup.next_deadline() is None


def test_a_key_that_is_used_again_before_it_was_forgotten_frees_its_old_segment(
    bench: Bench,
) -> None:
    bench.configure(dedup_window=1)
    bench.put(dedup="k")
    bench.stall(1)
    bench.put(dedup="k")
    assert sum(bench.broker.live.values()) == 2 + 1


def test_keys_that_were_told_again_out_of_order_are_forgotten_in_time() -> None:
    dedup = Dedup()
    dedup.add(["late"], [1], until=20.0, segment=1)
    dedup.add(["soon"], [2], until=10.0, segment=1)
    dedup.sort()
    assert dedup.next_deadline() == 10
    assert dedup.expire(10.0, 9) == [1]
    assert dedup.find("late", 10.0) == 1


def test_a_key_that_is_used_again_stands_with_those_of_its_new_segment() -> None:
    dedup = Dedup()
    dedup.add(["again"], [1], until=10.0, segment=1)
    dedup.add(["old"], [2], until=99.0, segment=1)
    dedup.add(["again"], [3], until=99.0, segment=2)
    assert dedup.move(1, 3, count=10) == [("old", 2, 99.0)]
    assert dedup.segments() == [2, 3]


def test_a_put_can_say_how_long_its_own_key_holds(bench: Bench) -> None:
    bench.put(dedup="long", dedup_window=3600.0)
    bench.put(dedup="short", dedup_window=1.0)
    bench.put(dedup="none", dedup_window=0.0)
    assert bench.put(dedup="none") == 4
    bench.after(1)
    assert bench.put(dedup="short") == 5
    bench.after(3598)
    assert bench.put(dedup="long") == 1
    bench.after(1)
    assert bench.put(dedup="long") == 6


def test_a_key_that_holds_long_keeps_no_other_in_memory(bench: Bench) -> None:
    bench.configure(dedup_window=10)
    bench.put(dedup="long", dedup_window=3600.0)
    for n in range(20):
        bench.put(dedup=f"k{n}")
        bench.after(1)
    for each in (bench, bench.rebuilt()):
        each.put(dedup="one more")
        dedup = each.broker.queues["q"].dedup
        assert dedup is not None
        assert len(dedup) <= 13
        each.after(12)
        assert len(dedup) == 1
        assert each.put(dedup="long") == 1


def test_keys_of_many_windows_are_forgotten_each_in_its_time() -> None:
    dedup = Dedup()
    for n, until in enumerate((50.0, 30.0, 60.0, 10.0, 40.0, 20.0)):
        dedup.add([f"k{n}"], [n], until=until, segment=n)
    assert dedup.next_deadline() == 10
    dedup.shift(5.0)
    forgotten = [dedup.expire(now, 9) for now in (14.9, 15.0, 35.0, 54.9, 65.0)]
    assert forgotten == [[], [3], [5, 1], [4], [0, 2]]
    assert dedup.next_deadline() is None


def test_a_tick_forgets_so_many_keys_of_all_queues_together(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.configure(name, dedup_window=10)
        for number in range(KEYS_MAX + 10):
            bench.put(name, dedup=f"k{number}")
    bench.stall(11)
    left = []
    while bench.tick():
        left.append(keys_left(bench))
        check_books(bench.broker)
    assert left == [KEYS_MAX + 20, 20]
    assert keys_left(bench) == 0
    assert {queue.dedup for queue in bench.broker.queues.values()} == {None}


def test_a_put_forgets_so_many_keys_and_one_that_is_over_and_not_forgotten_holds_nothing(
    bench: Bench,
) -> None:
    bench.configure(dedup_window=10)
    count = 2 * KEYS_OVER_MAX
    for number in range(count):
        bench.put(dedup=f"k{number}")
    bench.stall(11)
    assert bench.put(dedup=f"k{count - 1}") == count + 1
    assert keys_left(bench) == KEYS_OVER_MAX
    check_books(bench.broker)


def keys_left(bench: Bench) -> int:
    return sum(len(queue.dedup) for queue in bench.broker.queues.values() if queue.dedup)


def many(count: int = SHARDED_FROM + 2008) -> tuple[Dedup, list[str]]:
    """So many keys that they stand in several tables, the first hundred in segment 1."""
    dedup = Dedup()
    keys = [f"k{n}" for n in range(count)]
    for at in range(0, count, 100):
        dedup.add(keys[at : at + 100], range(at, at + 100), until=10.0 + at, segment=1 + (at > 0))
    return dedup, keys


def test_many_keys_are_found_as_few_are() -> None:
    dedup, keys = many()
    assert len(dedup) == len(keys) == len(list(dedup.items()))
    assert [dedup.find(key, 0.0) for key in keys] == list(range(len(keys)))
    assert dedup.find("k-1", 0.0) is None
    assert dedup.has_none(["a", "b"])
    assert not dedup.has_none(["a", keys[-1]])


def test_many_keys_grow_one_by_one_too() -> None:
    dedup = Dedup()
    for n in range(SHARDED_FROM + 100):
        assert dedup.add_one(f"k{n}", n, 10.0, 1) is None
    assert dedup.add_one("k7", 99_999, 20.0, 2) == 1
    assert len(dedup) == SHARDED_FROM + 100 == len(dict(dedup.items()))
    assert (dedup.find("k7", 0.0), dedup.find("k8", 0.0)) == (99_999, 8)


def test_many_keys_are_used_again_and_forgotten_in_time() -> None:
    dedup, keys = many()
    assert dedup.add(keys[:2], [1, 2], until=99_999.0, segment=3) == [1, 1]
    assert len(dedup) == len(keys)
    assert sum(len(dedup.expire(99_998.0, 1000)) for _ in range(20)) == len(keys) - 2
    assert dict(dedup.items()) == {"k0": (1, 99_999.0, 3), "k1": (2, 99_999.0, 3)}


def test_many_keys_are_moved_some_at_a_time_each_once() -> None:
    dedup, keys = many()
    moved = [dedup.move(1, 9, count=30) for _ in range(5)]
    assert [len(each) for each in moved] == [30, 30, 30, 10, 0]
    assert sorted(key for each in moved for key, _, _ in each) == sorted(keys[:100])
    assert sorted(dedup.segments()) == [2] * (len(keys) - 100) + [9] * 100
