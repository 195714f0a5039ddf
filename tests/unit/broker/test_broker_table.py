"""Messages by id, in pages; and which segment to ask for which."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from qserver.broker.bases import SLICE, Bases
from qserver.broker.message import Message
from qserver.broker.queue import Queue
from qserver.broker.table import PAGE_BITS, Table

PAGE = 1 << PAGE_BITS
QUEUE = Queue("q", Table())


def message(message_id: int) -> Message:
    return Message(message_id, QUEUE, b"1", 0.0, 4, 1)


ids = st.one_of(
    st.integers(1, 30), st.integers(PAGE - 3, PAGE + 3), st.integers(9 * PAGE, 9 * PAGE + 2)
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), ids, st.just(1)),
        st.tuples(st.just("del"), ids, st.just(1)),
        st.tuples(st.just("run"), st.integers(0, 20), st.sampled_from([1, 5, PAGE, 2 * PAGE + 1])),
    ),
    max_size=20,
)


@given(steps)
def test_a_table_holds_what_a_dict_would(steps: list[tuple[str, int, int]]) -> None:
    table, plain = Table(), dict[int, Message]()
    next_id = 20 * PAGE
    for step, number, count in steps:
        if step == "set":
            table[number] = plain[number] = message(number)
        elif step == "run":
            first = next_id + number
            run = [message(first + at) for at in range(count)]
            table.add_run(first, run)
            plain |= {each.id: each for each in run}
            next_id = first + count
        elif number in plain:
            del table[number], plain[number]
    assert dict(table.items()) == plain
    assert {each.id: each for each in table.values()} == plain
    assert sorted(table) == sorted(plain)
    assert len(table) == len(plain)
    for number in (1, 2, PAGE, 9 * PAGE, next_id, next_id - 1):
        assert table.get(number) is plain.get(number)
        assert (number in table) == (number in plain)
    assert all(table.pages.values())


def test_what_is_left_of_a_page_takes_little() -> None:
    table = Table()
    table.add_run(PAGE, [message(number) for number in range(PAGE, 2 * PAGE)])
    for number in range(PAGE, 2 * PAGE - 3):
        del table[number]
    assert sys.getsizeof(table.pages[1]) < 1000
    for number in range(2 * PAGE - 3, 2 * PAGE):
        del table[number]
    assert table.pages == {}


def taken(bases: Bases, segment: int, table: Table) -> list[int]:
    found: list[int] = []
    while some := bases.take(segment, table):
        assert len(some) <= SLICE
        found += some
    return found


@given(
    st.lists(st.integers(1, 3 * PAGE), min_size=1, max_size=4),
    st.sets(st.integers(1, 3 * PAGE), max_size=50),
    st.integers(2, 5000),
)
def test_a_segment_s_ids_are_found_whatever_is_left(
    counts: list[int], again: set[int], every: int
) -> None:
    bases, table, first = Bases(), Table(), 1
    expected = []
    for segment, count in enumerate(counts, 1):
        bases.put(segment, first)
        table.add_run(first, [message(number) for number in range(first, first + count)])
        expected.append(list(range(first, first + count)))
        first += count
    again = {number for number in again if number < first}
    for number in again:
        bases.tell_again(len(counts), number)
    for number in range(1, first):
        if number % every:
            del table[number]
    for segment, put in enumerate(expected, 1):
        told = sorted(again) if segment == len(counts) else []
        found = taken(bases, segment, table)
        alive = [number for number in put if number in table]
        assert found[: len(alive)] == alive
        assert sorted(found[len(alive) :]) == told
        assert taken(bases, segment, table) == []


def test_what_is_given_back_is_taken_again_and_what_is_dropped_is_not() -> None:
    bases, table = Bases(), Table()
    bases.put(1, 1)
    bases.put(2, 11)
    table.add_run(1, [message(number) for number in range(1, 21)])
    ids = bases.take(1, table)
    bases.give_back(1, ids[4:])
    assert taken(bases, 1, table) == [5, 6, 7, 8, 9, 10]
    bases.tell_again(1, 3)
    bases.forget_before(2)
    assert taken(bases, 1, table) == []
    assert taken(bases, 2, table) == list(range(11, 21))


@given(st.lists(ids, max_size=30), st.integers(1, 5))
def test_many_are_removed_as_they_would_be_one_by_one(gone: list[int], every: int) -> None:
    together, one_by_one = Table(), Table()
    for table in (together, one_by_one):
        table.add_run(1, [message(number) for number in range(1, 2 * PAGE)])
    gone += range(PAGE, 2 * PAGE, every)
    known = [number for number in dict.fromkeys(gone) if number in one_by_one]
    assert [each.id for each in together.pop_known(gone)] == known
    for number in known:
        del one_by_one[number]
    assert sorted(together) == sorted(one_by_one)
    assert len(together) == len(one_by_one)
    assert all(together.pages.values())
