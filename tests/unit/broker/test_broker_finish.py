"""Many receipts acked at one stroke: the same comes of it as of ACKs one by one."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qserver.broker.message import Message
from qserver.broker.settle import RUN_MIN
from qserver.broker.table import PAGE_BITS
from qserver.storage.recorder import JournalRecorder
from tests.model.same import check_books, shown
from tests.unit.broker.bench import Bench, Receipt

MANY = RUN_MIN + 4
Prepare = Callable[[Bench], list[Receipt]]


def leased(bench: Bench, count: int = MANY) -> list[Receipt]:
    """That many messages of one queue, leased by one GET."""
    for _ in range(count):
        bench.put()
    return bench.get(count=count)


def state(bench: Bench) -> dict[str, object]:
    broker = bench.broker
    return {
        "messages": {i: shown(m) for i, m in broker.messages.items()},
        "memory": broker.memory,
        "live": {segment: count for segment, count in broker.live.items() if count},
        "counts": broker.counts,
        "acks": broker.counters.acks,
        "queues": {q.name: (q.bytes, sorted(q.leased)) for q in broker.queues.values()},
        "sessions": {s.name: sorted(s.leases) for s in broker.sessions.values()},
    }


def plain(bench: Bench) -> list[Receipt]:
    return leased(bench)


def of_one_session(bench: Bench) -> list[Receipt]:
    client = bench.join("worker")
    for _ in range(MANY):
        bench.put()
    return bench.get(count=MANY, client=client)


def of_two_sessions(bench: Bench) -> list[Receipt]:
    for _ in range(MANY):
        bench.put()
    first = bench.get(count=MANY // 2, client=bench.join("one"))
    return first + bench.get(count=MANY, client=bench.join("two"))


def with_and_without_session(bench: Bench) -> list[Receipt]:
    for _ in range(MANY):
        bench.put()
    first = bench.get(count=MANY // 2, client=bench.join("one"))
    return first + bench.get(count=MANY)


def of_two_queues(bench: Bench) -> list[Receipt]:
    for _ in range(MANY):
        bench.put("q")
        bench.put("r")
    return bench.get("q", "r", count=2 * MANY)


def leased_at_several_times(bench: Bench) -> list[Receipt]:
    held = []
    for lease in range(MANY):
        bench.put()
        held += bench.get(lease=1.0 + 10 * lease)
    return held


def with_details(bench: Bench) -> list[Receipt]:
    for number in range(MANY):
        bench.put(dedup=f"key{number}")
    held = bench.get(count=MANY)
    for receipt in held[::2]:
        assert bench.progress(receipt, b'"halfway"')
    return held


def retained(bench: Bench) -> list[Receipt]:
    bench.configure(retain=60.0)
    return leased(bench)


def waited_for(bench: Bench) -> list[Receipt]:
    held = leased(bench)
    bench.wait_result(held[3][0])
    return held


def of_several_segments(bench: Bench) -> list[Receipt]:
    for segment in (1, 2, 3):
        recorder = bench.broker.recorder
        assert isinstance(recorder, JournalRecorder)
        recorder.segment = segment
        for _ in range(MANY):
            bench.put()
    return bench.get(count=3 * MANY)


def across_pages(bench: Bench) -> list[Receipt]:
    bench.broker.last_id = (1 << PAGE_BITS) - MANY // 2
    return leased(bench)


ALL = (
    *(plain, of_one_session, of_two_sessions, with_and_without_session, of_two_queues),
    *(leased_at_several_times, with_details, retained, waited_for, of_several_segments),
    across_pages,
)


@pytest.mark.parametrize("prepare", ALL)
def test_the_same_comes_of_it_as_of_acks_one_by_one(prepare: Prepare) -> None:
    one, many = Bench(), Bench()
    held = prepare(one)
    assert prepare(many) == held
    assert [bench_ack for receipt in held for bench_ack in one.ack(receipt)] == []
    assert many.ack(*held) == []
    assert state(many) == state(one)
    check_books(many.broker)
    assert {i for record in many.records("ack") for i in record["ids"]} == {i for i, _ in held}
    assert state(many.rebuilt())["messages"] == state(one.rebuilt())["messages"]


@pytest.mark.parametrize("prepare", [plain, of_one_session, with_details, across_pages])
def test_no_timer_is_left_of_what_was_acked(prepare: Prepare) -> None:
    bench = Bench()
    bench.ack(*prepare(bench))
    bench.after(3600.0)
    assert bench.broker.counters.losses == 0
    assert not any(isinstance(item, Message) for item in held_by_wheel(bench))


def test_no_timer_is_left_where_the_leases_ended_at_several_times() -> None:
    bench = Bench()
    bench.ack(*leased_at_several_times(bench))
    assert not any(isinstance(item, Message) for item in held_by_wheel(bench))


def held_by_wheel(bench: Bench) -> list[object]:
    slots = [slot for level in bench.broker.wheel._slots for slot in level if slot]
    return [item for slot in slots for items in slot for item in items]


@given(
    lost=st.sets(st.integers(0, MANY - 1)),
    again=st.lists(st.integers(0, MANY - 1), max_size=3),
    unknown=st.integers(0, 2),
)
def test_receipts_that_settle_nothing_are_told_and_the_others_settle(
    lost: set[int], again: list[int], unknown: int
) -> None:
    bench = Bench()
    held = leased(bench)
    for number in lost:
        bench.release(held[number])
        bench.get()
    asked = [*held, *(held[number] for number in again), *[(1 << 50, 1)] * unknown]
    refused = bench.ack(*asked)
    settled = {held[number] for number in range(MANY) if number not in lost}
    assert refused == [
        receipt for at, receipt in enumerate(asked) if receipt not in settled or at >= MANY
    ]
    assert bench.broker.counters.acks == len(settled)
    assert sorted(bench.broker.messages) == sorted(held[number][0] for number in lost)
    check_books(bench.broker)


def test_who_waits_for_the_result_of_one_is_told() -> None:
    bench = Bench()
    held = leased(bench)
    waiting = bench.wait_result(held[3][0])
    bench.ack(*held)
    assert waiting.heard == [(held[3][0], "gone", b"")]


def test_they_are_one_record() -> None:
    bench = Bench()
    held = leased(bench)
    bench.ack(*held)
    assert [json.loads(line) for line in bench.lines[-1:]] == [
        {"op": "ack", "ids": [message_id for message_id, _ in held]}
    ]
