"""LIST and STATS: pages, cursors, and what they cost."""

import pytest

from qserver.broker import view
from qserver.config import Limits
from tests.unit.broker.bench import Bench, Unwalked


@pytest.fixture
def bench() -> Bench:
    return Bench()


def page(
    bench: Bench,
    *,
    states: list[int] | None = None,
    key: str | None = None,
    count: int = 100,
    after: int = 0,
) -> tuple[list[int], int | None]:
    rows, more = view.list_messages(
        bench.broker, "q", states=states, key=key, count=count, after=after
    )
    return [message.id for message in rows], more


READY, LEASED, DEAD = 0, 1, 3


def test_messages_come_in_order_of_id_page_by_page(bench: Bench) -> None:
    for priority in (0, 9, 4):
        bench.put(priority=priority)
    assert page(bench, count=2) == ([1, 2], 2)
    assert page(bench, count=2, after=2) == ([3], None)
    assert page(bench, count=3) == ([1, 2, 3], None)


def test_a_cursor_goes_on_though_its_message_has_gone(bench: Bench) -> None:
    for _ in range(4):
        bench.put()
    bench.ack(*bench.get(count=2))
    assert page(bench, after=2) == ([3, 4], None)
    assert page(bench, after=99) == ([], None)


def test_states_and_keys_are_looked_for(bench: Bench) -> None:
    for key in ("a", None, "b", "a"):
        bench.put(key=key, priority=4)
    bench.get()
    assert page(bench, states=[LEASED]) == ([1], None)
    assert page(bench, states=[READY]) == ([2, 3, 4], None)
    assert page(bench, states=[LEASED, READY], key="a") == ([1, 4], None)
    assert page(bench, states=[READY], key="a") == ([4], None)
    assert page(bench, states=[DEAD]) == ([], None)


def test_a_queue_that_is_not_there_is_an_empty_one(bench: Bench) -> None:
    assert page(bench) == ([], None)


def test_a_page_looks_at_a_bounded_number_of_messages() -> None:
    bench = Bench(limits=Limits(list_scan_max=4))
    for n in range(10):
        bench.put(key="wanted" if n in (1, 8) else "other")
    assert page(bench, key="wanted") == ([2], 4)
    assert page(bench, key="wanted", after=4) == ([], 8)
    assert page(bench, key="wanted", after=8) == ([9], None)


def test_a_state_with_few_messages_is_not_looked_for_among_all() -> None:
    bench = Bench(limits=Limits(list_scan_max=4))
    for _ in range(100):
        bench.put()
    held = bench.get(count=99)
    bench.release(*held[:96])
    assert page(bench, states=[LEASED]) == ([97, 98, 99], None)
    assert page(bench, states=[LEASED], after=98) == ([99], None)


def test_a_state_with_many_messages_is_looked_for_page_by_page() -> None:
    bench = Bench(limits=Limits(list_scan_max=4))
    for _ in range(10):
        bench.put()
    bench.get(count=6)
    assert page(bench, states=[LEASED]) == ([1, 2, 3, 4], 4)
    assert page(bench, states=[LEASED], after=4) == ([5, 6], None)


def test_several_states_are_one_list_in_the_order_of_ids(bench: Bench) -> None:
    for _ in range(6):
        bench.put()
    one, _, three, *_ = bench.get(count=5)
    bench.nack(one, three, dead=True)
    assert page(bench, states=[DEAD, LEASED]) == ([1, 2, 3, 4, 5], None)
    assert page(bench, states=[LEASED, DEAD], after=2, count=2) == ([3, 4], 4)


def test_a_page_ends_at_the_reply_s_bytes(bench: Bench) -> None:
    bench = Bench(limits=Limits(reply_bytes_max=10))
    for size in (20, 6, 6, 6):
        bench.put(body=b"1" * size)
    assert page(bench) == ([1], 1)
    assert page(bench, after=1) == ([2, 3], 3)


@pytest.mark.parametrize("count", [1, 511, 512, 513, 1024, 1030])
def test_a_cursor_may_stand_anywhere_in_a_queue_of_any_length(bench: Bench, count: int) -> None:
    for _ in range(count):
        bench.put()
    for after in (0, 1, 100, 510, 511, 512, 513, 1023, 1024):
        rows, _ = page(bench, count=5000, after=after)
        assert rows == list(range(after + 1, count + 1))


def test_queues_come_in_order_of_name_page_by_page(bench: Bench) -> None:
    for name in ("c", "a", "b"):
        bench.configure(name)
    rows, more = view.list_queues(bench.broker, 2, "")
    assert ([queue.name for queue in rows], more) == (["a", "b"], "b")
    rows, more = view.list_queues(bench.broker, 2, "b")
    assert ([queue.name for queue in rows], more) == (["c"], None)
    assert view.list_queues(bench.broker, 2, "x") == ([], None)


def test_the_oldest_is_the_first_one_put_of_those_that_come_next(bench: Bench) -> None:
    bench.put(priority=1)
    bench.put(priority=9)
    queue = bench.broker.queues["q"]
    oldest = queue.oldest()
    assert oldest is not None
    assert oldest.id == 1
    bench.get(count=2)
    assert queue.oldest() is None


def test_the_oldest_is_none_that_has_gone(bench: Bench) -> None:
    bench.put(ttl=1)
    bench.put()
    bench.after(1)
    oldest = bench.broker.queues["q"].oldest()
    assert oldest is not None
    assert oldest.id == 2
    assert bench.ids() == [2]


def test_the_oldest_may_be_one_that_came_back(bench: Bench) -> None:
    bench.put()
    held = bench.get()
    bench.put()
    bench.release(*held)
    oldest = bench.broker.queues["q"].oldest()
    assert oldest is not None
    assert oldest.id == 1
    bench.put(delay=1)
    bench.after(1)
    assert bench.ids(count=1) == [1]
    oldest = bench.broker.queues["q"].oldest()
    assert oldest is not None
    assert oldest.id == 2


def test_the_figures_count_each_state_over_all_queues(bench: Bench) -> None:
    for queue in ("a", "a", "b"):
        bench.put(queue, body=b"12")
    bench.put("b", delay=5)
    bench.get("b")
    bench.wait("x", "y")
    figures = view.stats(bench.broker)
    assert figures["queues"] == 2
    assert figures["messages"] == 4
    assert (figures["ready"], figures["leased"], figures["delayed"]) == (2, 1, 1)
    assert figures["message_memory_bytes"] == bench.broker.memory > 0
    assert figures["waiting"] == 1
    assert figures["puts_total"] == 4


def test_stats_looks_at_no_queue_and_at_nobody_who_waits(bench: Bench) -> None:
    for number in range(3):
        bench.put(f"q{number}")
        bench.wait("none", f"empty{number}")
    before = view.stats(bench.broker)
    bench.broker.queues = Unwalked(bench.broker.queues)
    bench.broker.waiters = Unwalked(bench.broker.waiters)
    assert view.stats(bench.broker) == before
    assert (before["messages"], before["ready"], before["waiting"]) == (3, 3, 3)
