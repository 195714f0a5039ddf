"""PURGE and DROP of more messages than one step removes."""

from random import Random

import pytest

from qserver.broker.message import DEAD, LEASED, READY, STATES
from qserver.broker.purging import Purge, begin_drop, begin_purge
from tests.model.same import check_books, shown
from tests.unit.broker.bench import Bench, BenchClient

ALL = list(range(len(STATES)))
SLICE = 10


@pytest.fixture
def bench() -> Bench:
    return Bench()


def begin(bench: Bench, states: list[int] = ALL, client: BenchClient | None = None) -> BenchClient:
    client = client or BenchClient()
    purge = begin_purge(bench.broker, client, "q", states, SLICE)
    assert isinstance(purge, Purge)
    return client


def ticks(bench: Bench, client: BenchClient) -> int:
    """How many it takes until it is answered."""
    count = 0
    while not client.counts:
        bench.tick()
        check_books(bench.broker)
        check_same(bench, bench.rebuilt())
        count += 1
        assert count < 100
    return count


def check_same(bench: Bench, again: Bench) -> None:
    assert {i: shown(m) for i, m in bench.broker.messages.items()} == {
        i: shown(m) for i, m in again.broker.messages.items()
    }


def put_all_sorts(bench: Bench, each: int) -> set[int]:
    """Messages in every state, and of several priorities, some of which came back."""
    bench.configure(retain=1000.0)
    before = bench.broker.last_id
    for _ in range(each):
        bench.put()
    bench.release(*bench.get(count=each // 2))
    bench.nack(*bench.get(count=each // 4), dead=True)
    bench.nack(*bench.get(count=each // 4), delay_s=50.0)
    bench.ack(*bench.get(count=each // 8))
    bench.get(count=each // 8, client=bench.join("s"))
    for priority in (0, 9):
        for _ in range(each):
            bench.put(priority=priority)
    for _ in range(each):
        bench.put(delay=60.0, ttl=90.0)
    return set(range(before + 1, bench.broker.last_id + 1))


def test_few_messages_are_purged_and_dropped_in_one_step(bench: Bench) -> None:
    for _ in range(SLICE):
        bench.put()
    assert begin_purge(bench.broker, BenchClient(), "q", ALL, SLICE) is None
    assert begin_drop(bench.broker, BenchClient(), "q", SLICE) is None
    assert begin_purge(bench.broker, BenchClient(), "none", ALL, SLICE) is None
    bench.put()
    assert begin_purge(bench.broker, BenchClient(), "q", [DEAD], SLICE) is None


def test_many_go_a_slice_in_each_tick_and_are_counted_in_the_end(bench: Bench) -> None:
    for _ in range(35):
        bench.put()
    client = begin(bench)
    assert len(bench.broker.messages) == 35
    bench.tick()
    assert (len(bench.broker.messages), client.counts) == (25, [])
    assert ticks(bench, client) == 3
    assert client.counts == [35]
    gone = [message_id for record in bench.records("gone") for message_id in record["ids"]]
    assert gone == list(range(1, 36))
    assert bench.records("purge") == []
    assert not bench.broker.wheel.next_deadline()


def test_a_purge_leaves_no_ids_behind_for_a_list_to_pass_over(bench: Bench) -> None:
    index = bench.broker.open_queue("q").index
    for _ in range(2000):
        bench.put()
    client = begin(bench)
    bench.after(1)
    assert (client.counts, len(index)) == ([2000], 0)
    for _ in range(2000):
        bench.put()
    assert (bench.purge(), len(index)) == (2000, 0)


def test_what_is_put_or_comes_back_meanwhile_stays_and_all_that_was_there_goes(
    bench: Bench,
) -> None:
    old = put_all_sorts(bench, 16)
    held = bench.get(count=3)
    client = begin(bench)
    bench.tick()
    new = put_all_sorts(bench, 8)
    ticks(bench, client)
    assert client.counts[0] >= len(old) - len(held)
    assert not old & set(bench.broker.messages)
    assert set(bench.broker.messages) <= new
    assert len(bench.broker.messages) == len(new - old)
    assert bench.ack(*held) == held


def test_messages_of_other_states_stay(bench: Bench) -> None:
    put_all_sorts(bench, 24)
    kept = {m.id for m in bench.broker.messages.values() if m.state not in (READY, DEAD)}
    client = begin(bench, [DEAD, READY])
    ticks(bench, client)
    assert set(bench.broker.messages) == kept
    assert bench.broker.queues["q"].count(LEASED) > 0


@pytest.mark.parametrize("seed", range(20))
def test_whatever_else_is_done_meanwhile_nothing_old_is_left(bench: Bench, seed: int) -> None:
    chance = Random(seed)
    old = put_all_sorts(bench, 24)
    client = begin(bench)
    while not client.counts:
        for _ in range(chance.randrange(4)):
            what = chance.randrange(6)
            held = bench.get(count=chance.randrange(1, 9)) if what else []
            if what == 1:
                bench.release(*held)
            elif what == 2:
                bench.nack(*held, dead=True)
            elif what == 3:
                bench.ack(*held)
            elif what == 4:
                bench.redrive()
            else:
                bench.put(priority=chance.randrange(10))
        bench.tick()
        check_books(bench.broker)
        bench.stall(chance.choice([0.0, 0.0, 20.0]))
    assert not old & set(bench.broker.messages)
    check_same(bench, bench.rebuilt())


def test_a_drop_ends_with_all_that_is_there_then_and_the_queue(bench: Bench) -> None:
    for number in range(45):
        bench.put(dedup=f"k{number}")
    client = BenchClient()
    begin_drop(bench.broker, client, "q", SLICE)
    for _ in range(3):
        bench.tick()
        for _ in range(5):
            bench.put()
        check_books(bench.broker)
    ticks(bench, client)
    assert client.counts == [60]
    assert not bench.broker.queues
    assert not bench.rebuilt().broker.queues


def test_a_drop_by_another_ends_a_purge(bench: Bench) -> None:
    for _ in range(35):
        bench.put()
    client = begin(bench)
    bench.tick()
    assert bench.drop() == 25
    for _ in range(35):
        bench.put()
    ticks(bench, client)
    assert client.counts == [10]
    assert len(bench.broker.messages) == 35


def test_a_client_that_is_gone_ends_it_where_it_stands(bench: Bench) -> None:
    for _ in range(35):
        bench.put()
    client = BenchClient()
    purge = begin_purge(bench.broker, client, "q", ALL, SLICE)
    assert purge is not None
    bench.tick()
    purge.forget(bench.broker)
    bench.after(10)
    assert (len(bench.broker.messages), client.counts) == (25, [])
    check_same(bench, bench.rebuilt())


def test_a_newer_message_that_was_given_back_meanwhile_stays(bench: Bench) -> None:
    for _ in range(35):
        bench.put()
    bench.release(*bench.get(count=30))
    client = begin(bench)
    new = [bench.put(priority=9) for _ in range(5)]
    bench.release(*bench.get(count=5))
    low = bench.put()
    ticks(bench, client)
    assert client.counts == [35]
    assert bench.ids() == [*new, low]


def test_what_had_expired_among_them_is_not_counted(bench: Bench) -> None:
    for number in range(60):
        bench.put(ttl=5.0 if number % 5 == 0 else 0.0)
    bench.release(*bench.get(count=30))
    bench.after(6)
    client = begin(bench)
    ticks(bench, client)
    assert client.counts == [48]


def test_a_drop_does_not_take_the_queue_that_is_there_again(bench: Bench) -> None:
    for _ in range(35):
        bench.put()
    client = BenchClient()
    assert begin_drop(bench.broker, client, "q", SLICE) is not None
    bench.tick()
    bench.drop()
    again = bench.put()
    ticks(bench, client)
    assert client.counts == [10]
    assert bench.ids() == [again]


def test_a_drop_forgets_many_keys_a_slice_in_each_tick_too(bench: Bench) -> None:
    for number in range(35):
        bench.put(dedup=f"k{number}")
    bench.purge()
    client = BenchClient()
    assert begin_drop(bench.broker, client, "q", SLICE) is not None
    assert ticks(bench, client) == 4
    assert (client.counts, bench.broker.queues) == ([0], {})
    assert not any(bench.broker.live.values())
