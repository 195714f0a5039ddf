"""The index of ids: ordered, findable, and bounded under any churn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qserver.broker import index
from qserver.broker.index import BLOCK, Index
from tests.unit.broker.bench import Bench


class Alive:
    """Which ids are alive."""

    def __init__(self) -> None:
        self.ids: set[int] = set()

    def __len__(self) -> int:
        return len(self.ids)

    def has(self, message_id: int) -> bool:
        return message_id in self.ids


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(1, 20)),
        st.tuples(st.just("remove"), st.integers(0, 200)),
        st.tuples(st.just("remove all"), st.just(0)),
        st.tuples(st.just("move in"), st.integers(0, 200)),
    ),
    max_size=80,
)


@given(STEPS)
def test_every_id_that_is_alive_is_found_from_any_cursor(steps: list[tuple[str, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "BLOCK", 4)
        alive = Alive()
        ids = Index(alive)
        last = 0
        gone: list[int] = []
        for step, number in steps:
            if step == "add":
                for _ in range(number):
                    last += 2
                    alive.ids.add(last)
                    ids.add(last)
            elif step == "remove all":
                alive.ids.clear()
            elif step == "remove" and alive.ids:
                gone.append(sorted(alive.ids)[number % len(alive.ids)])
                alive.ids.discard(gone[-1])
            elif step == "move in":
                moved = gone.pop() if gone and number % 2 else min(number * 2 + 1, last - 1)
                if moved > 0 and moved not in alive.ids:
                    alive.ids.add(moved)
                    ids.insert(moved)
        listed = list(ids.after(0))
        assert listed == sorted(set(listed))
        for after in range(-1, last + 2):
            found = [i for i in ids.after(after) if i in alive.ids]
            assert found == sorted(i for i in alive.ids if i > after)
        assert len(ids) == len(listed) == ids._ids + len(ids._tail)


def test_a_block_in_which_nothing_is_left_behind_a_large_one_hinders_no_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(index, "BLOCK", 4)
    for came_and_went in range(60):
        alive = Alive()
        ids = Index(alive)
        alive.ids = {10, 11, 12, 13, 14}
        for message_id in (10, 20, 30, 40):
            ids.add(message_id)
        for message_id in (11, 12, 13, 14):
            ids.insert(message_id)
        for message_id in range(100, 100 + came_and_went):
            ids.add(message_id)
        ids.add(1000)
        ids.add(1001)
        assert list(ids.after(1000)) == [1001]


@pytest.mark.parametrize("kept", [0, 1000])
def test_it_stays_bounded_while_messages_come_and_go(kept: int) -> None:
    bench = Bench()
    for _ in range(kept):
        bench.put(delay=1e6)
    bound = kept * 2 + 4 * BLOCK
    for _ in range(2 * bound):
        bench.put()
        bench.ack(*bench.get())
    assert len(bench.broker.queues["q"].index) <= bound


def test_it_stays_bounded_where_messages_only_move_in() -> None:
    bench = Bench()
    for _ in range(8 * BLOCK):
        bench.put("a")
        bench.nack(*bench.get("a"), dead=True)
        bench.redrive("a", to="b")
        bench.ack(*bench.get("b"))
    assert len(bench.broker.queues["b"].index) <= 4 * BLOCK


def test_it_stays_bounded_where_messages_move_in_before_others() -> None:
    bench = Bench()
    bound = 8 * BLOCK
    moved = 2 * bound
    for _ in range(moved):
        bench.put("a")
    bench.nack(*bench.get("a", count=moved), dead=True)
    bench.put("b")
    assert bench.redrive("a", to="b") == moved
    held = bench.get("b", count=moved + 1)
    assert [message_id for message_id, _ in held] == list(range(1, moved + 2))
    bench.ack(*held)
    for _ in range(5 * bound):
        bench.put("b")
        bench.ack(*bench.get("b"))
    assert len(bench.broker.queues["b"].index) <= bound


@given(st.lists(st.integers(1, 3 * BLOCK), min_size=1, max_size=8))
def test_ids_that_come_together_are_found_as_those_that_come_one_by_one(counts: list[int]) -> None:
    alive = Alive()
    alive.ids.update(range(1, sum(counts) + 1))
    one_by_one, together = Index(alive), Index(alive)
    first = 1
    for count in counts:
        for number in range(first, first + count):
            one_by_one.add(number)
        together.add_run(first, count)
        first += count
    assert list(map(list, together._blocks)) == list(map(list, one_by_one._blocks))
    assert list(together.after(first // 2)) == list(range(first // 2 + 1, first))


def test_a_dropped_queue_s_index_is_swept_no_more() -> None:
    alive = Alive()
    ids = Index(alive)
    ids.forget()
    for message_id in range(4 * BLOCK):
        ids.add(message_id)
    assert len(ids) == 4 * BLOCK


def test_a_list_is_right_while_the_index_is_swept() -> None:
    bench = Bench()
    expected = []
    for n in range(1, 20_001):
        bench.put()
        (held,) = bench.get(lease=1e6)
        if n % 7:
            bench.ack(held)
        else:
            expected.append(n)
        if n % 997 == 0:
            listed = [
                i for i in bench.broker.queues["q"].ids_after(0) if i in bench.broker.messages
            ]
            assert listed == expected
