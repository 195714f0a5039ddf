"""PROGRESS, DONE, RESULT: what a holder leaves of its work, how long that stays, who is told."""

from typing import Any

import pytest

from qserver.broker import outcome, view
from qserver.broker.broker import MESSAGE_OVERHEAD
from qserver.config import Limits
from qserver.errors import RequestError
from tests.unit.broker.bench import Bench, BenchClient, Receipt


@pytest.fixture
def bench() -> Bench:
    return Bench()


def leased(bench: Bench, count: int = 1) -> list[Receipt]:
    for _ in range(count):
        bench.put()
    return bench.get(count=count, lease=100)


def told(bench: Bench, message_id: int) -> bytes:
    details = bench.message(message_id).details
    return b"" if details is None else details.progress


# --- PROGRESS -----------------------------------------------------------------------------------


def test_the_last_progress_is_kept(bench: Bench) -> None:
    (held,) = leased(bench)
    assert told(bench, 1) == b""
    assert bench.progress(held, b"0.25")
    assert bench.progress(held, b'{ "at" : 1E0 }')
    assert told(bench, 1) == b'{ "at" : 1E0 }'


def test_only_the_holder_tells_its_progress(bench: Bench) -> None:
    (held,) = leased(bench)
    assert not bench.progress((1, 2), b"1")
    assert not bench.progress((2, 1), b"1")
    bench.release(held)
    assert not bench.progress(held, b"1")
    assert told(bench, 1) == b""
    assert bench.records("progress") == []


def test_progress_does_not_extend_the_lease(bench: Bench) -> None:
    (held,) = leased(bench)
    bench.after(99)
    assert bench.progress(held, b"1")
    bench.after(1)
    assert bench.state(1) == "ready"


def test_progress_stays_when_the_message_comes_back_dies_and_is_redriven(bench: Bench) -> None:
    bench.configure(max_losses=1)
    (held,) = leased(bench)
    bench.progress(held, b"1")
    bench.release(held)
    assert told(bench, 1) == b"1"
    bench.nack(*bench.get(), delay_s=0)
    assert told(bench, 1) == b"1"
    bench.get(lease=1)
    bench.after(1)
    assert (bench.state(1), told(bench, 1)) == ("dead", b"1")
    bench.redrive()
    assert (bench.state(1), told(bench, 1)) == ("ready", b"1")
    assert told(bench.rebuilt(), 1) == b"1"


def test_progress_stays_with_a_done_message_and_goes_with_it(bench: Bench) -> None:
    bench.configure(retain=60)
    (held,) = leased(bench)
    bench.progress(held, b"1")
    bench.ack(held)
    assert told(bench, 1) == b"1"
    bench.after(60)
    assert bench.broker.memory == 0


def test_progress_counts_to_the_memory_in_place_of_the_last_one(bench: Bench) -> None:
    (held,) = leased(bench)
    for size in (7, 100, 3):
        bench.progress(held, b"1" * size)
        assert bench.broker.memory == MESSAGE_OVERHEAD + 1 + size
        assert bench.rebuilt().broker.memory == bench.broker.memory
    assert bench.broker.queues["q"].bytes == 1


@pytest.mark.parametrize("end", ["ack", "drop", "purge ready", "expire ready", "expire delayed"])
def test_what_progress_takes_is_given_back_however_the_message_ends(bench: Bench, end: str) -> None:
    bench.put(ttl=5)
    (held,) = bench.get(lease=100)
    bench.progress(held, b"1" * 50)
    if end == "ack":
        bench.ack(held)
    elif end == "drop":
        bench.drop()
    elif end == "purge ready":
        bench.release(held)
        bench.purge()
    else:
        bench.nack(held, delay_s=0 if end == "expire ready" else 100)
        bench.after(5)
    assert bench.state(1) == "gone"
    assert bench.broker.memory == 0


def test_progress_of_a_ready_message_that_dies_of_its_ttl_stays_with_it(bench: Bench) -> None:
    bench.configure(expired="dead")
    bench.put(ttl=5)
    (held,) = bench.get(lease=100)
    bench.progress(held, b"1")
    bench.release(held)
    bench.after(5)
    assert (bench.state(1), told(bench, 1)) == ("dead", b"1")


@pytest.mark.parametrize("expired", ["drop", "dead"])
def test_what_is_left_of_a_message_in_the_order_holds_no_progress(
    bench: Bench, expired: str
) -> None:
    """An expired one stays there for a while, and a queue can hold many."""
    bench.configure(expired=expired)
    bench.put(ttl=5)
    (held,) = bench.get(lease=1)
    bench.progress(held, b"1" * 50)
    bench.release(held)
    leftover = bench.message(1)
    bench.after(5)
    assert (leftover.details, leftover.body) == (None, b"")


def test_progress_is_refused_when_there_is_no_room_for_more() -> None:
    bench = Bench(limits=Limits(memory_bytes_max=MESSAGE_OVERHEAD + 11))
    (held,) = leased(bench)
    assert bench.progress(held, b"1" * 10)
    with pytest.raises(RequestError, match="memory_bytes_max"):
        bench.progress(held, b"1" * 11)
    assert told(bench, 1) == b"1" * 10
    assert len(bench.records("progress")) == 1
    assert not bench.progress((1, 2), b"1" * 11)


def test_progress_is_refused_when_the_disk_is_full(bench: Bench) -> None:
    (held,) = leased(bench)
    bench.broker.memory_bytes_max = 0
    with pytest.raises(RequestError, match="the disk has no room"):
        bench.progress(held, b"1")


# --- DONE ---------------------------------------------------------------------------------------


def result(bench: Bench, message_id: int) -> bytes:
    details = bench.message(message_id).details
    return b"" if details is None else details.result


@pytest.mark.parametrize(
    ("setting", "given", "kept"), [(0, 60, 60), (60, None, 60), (10, 60, 60), (60, 10, 10)]
)
def test_a_result_is_kept_as_long_as_the_verb_or_the_queue_says(
    bench: Bench, setting: float, given: float | None, kept: float
) -> None:
    bench.configure(retain=setting)
    (held,) = leased(bench)
    assert bench.done(held, b'{ "sum" : 3E0 }', given)
    for one in (bench, bench.rebuilt()):
        assert (one.state(1), result(one, 1)) == ("done", b'{ "sum" : 3E0 }')
        one.after(kept - 0.1)
        assert one.state(1) == "done"
        one.after(0.1)
        assert one.state(1) == "gone"
        assert one.broker.memory == 0
        assert not one.rebuilt().broker.messages


@pytest.mark.parametrize(("setting", "given"), [(0, None), (0, 0), (60, 0)])
def test_with_nothing_retained_it_is_an_ack(
    bench: Bench, setting: float, given: float | None
) -> None:
    bench.configure(retain=setting)
    (held,) = leased(bench)
    bench.broker.memory_bytes_max = 0
    assert bench.done(held, b"1", given)
    assert (bench.state(1), bench.broker.memory) == ("gone", 0)
    assert bench.records("done") == []
    assert len(bench.records("ack")) == 1
    assert not bench.rebuilt().broker.messages
    assert bench.broker.counters.acks == 1


def test_only_the_holder_is_done(bench: Bench) -> None:
    (held,) = leased(bench)
    assert not bench.done((1, 2), b"1", 60)
    assert bench.done(held, b"1", 60)
    assert not bench.done(held, b"2", 60)
    assert not bench.progress(held, b"2")
    assert (result(bench, 1), told(bench, 1)) == (b"1", b"")
    assert bench.broker.counters.acks == 1


def test_a_done_message_has_left_its_lease_and_its_session(bench: Bench) -> None:
    client = bench.join("s", grace=5)
    bench.put()
    (held,) = bench.get(client=client, lease=1)
    bench.done(held, b"1", 60)
    assert client.session is not None
    assert not client.session.leases
    bench.leave(client)
    bench.after(30)
    assert (bench.state(1), bench.message(1).losses) == ("done", 0)


def test_a_result_counts_to_the_memory_and_not_to_the_queue(bench: Bench) -> None:
    (held,) = leased(bench)
    bench.progress(held, b"22")
    bench.done(held, b"1" * 50, 60)
    for one in (bench, bench.rebuilt()):
        assert one.broker.memory == MESSAGE_OVERHEAD + 1 + 2 + 50
        assert one.broker.queues["q"].bytes == 1
        one.purge()
        assert one.broker.memory == 0


def test_a_result_that_has_no_room_leaves_the_lease_as_it_was() -> None:
    bench = Bench(limits=Limits(memory_bytes_max=MESSAGE_OVERHEAD + 11))
    (held,) = leased(bench)
    with pytest.raises(RequestError, match="memory_bytes_max"):
        bench.done(held, b"1" * 11, 60)
    assert (bench.state(1), bench.records("done")) == ("leased", [])
    assert bench.done(held, b"1" * 10, 60)


# --- RESULT -------------------------------------------------------------------------------------


def test_who_waits_is_told_the_end_whatever_it_is(bench: Bench) -> None:
    bench.configure("kept", retain=60)
    for queue in ("q", "q", "q", "q", "kept", "q"):
        bench.put(queue)
    held = bench.get("q", "kept", count=6, lease=100)
    receipts = dict(held)
    clients = {message_id: bench.wait_result(message_id) for message_id in range(1, 7)}
    assert not any(client.heard for client in clients.values())
    bench.done((1, receipts[1]), b"[1]", 60)
    bench.nack((2, receipts[2]), dead=True)
    bench.ack((3, receipts[3]))
    bench.ack((5, receipts[5]))
    bench.purge("q", "leased")
    assert {message_id: client.heard for message_id, client in clients.items()} == {
        1: [(1, "done", b"[1]")],
        2: [(2, "dead", b"")],
        3: [(3, "gone", b"")],
        4: [(4, "gone", b"")],
        5: [(5, "done", b"")],
        6: [(6, "gone", b"")],
    }
    assert bench.broker.result_waiters == {}


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_losses": 1}, "dead"),
        ({"ttl": 5, "expired": "dead"}, "dead"),
        ({"ttl": 5}, "gone"),
    ],
)
def test_who_waits_is_told_what_time_brings(
    bench: Bench, settings: dict[str, Any], expected: str
) -> None:
    bench.configure(**settings)
    bench.put()
    if "max_losses" in settings:
        bench.get(lease=5)
    client = bench.wait_result()
    bench.after(4.9)
    assert client.heard == []
    bench.after(0.2)
    assert client.heard == [(1, expected, b"")]


def test_a_message_that_comes_back_has_not_ended(bench: Bench) -> None:
    client = bench.wait_result(bench.put())
    bench.release(*bench.get())
    bench.nack(*bench.get(), delay_s=0)
    bench.nack(*bench.get(), delay_s=1)
    bench.after(1)
    bench.get(lease=1)
    bench.after(1)
    assert (bench.state(1), client.heard) == ("ready", [])
    bench.ack(*bench.get())
    assert client.heard == [(1, "gone", b"")]


def test_all_who_wait_are_told_at_once_and_nobody_else(bench: Bench) -> None:
    bench.put()
    bench.put()
    clients = [bench.wait_result(1) for _ in range(3)]
    other = bench.wait_result(2)
    bench.ack(*bench.get())
    assert [client.heard for client in clients] == [[(1, "gone", b"")]] * 3
    assert other.heard == []
    assert list(bench.broker.result_waiters) == [2]


def test_a_wait_ends_at_its_time_with_the_state_as_it_stands(bench: Bench) -> None:
    bench.put()
    first, second = bench.wait_result(seconds=5), bench.wait_result(seconds=50)
    bench.get(lease=100)
    bench.after(4.9)
    assert first.heard == []
    bench.after(0.2)
    assert (first.heard, second.heard) == ([(1, "leased", b"")], [])
    bench.after(50)
    assert second.heard == [(1, "leased", b"")]
    assert bench.broker.result_waiters == {}


@pytest.mark.parametrize("stalled", [0.0, 60.0])
def test_an_end_and_the_end_of_the_wait_at_one_moment_are_told_once(
    bench: Bench, stalled: float
) -> None:
    bench.configure(ttl=5)
    bench.put()
    clients = [bench.wait_result(seconds=5) for _ in range(20)]
    bench.stall(stalled)
    bench.after(5)
    assert [client.heard for client in clients] == [[(1, "gone", b"")]] * 20


def test_who_stops_waiting_is_told_nothing(bench: Bench) -> None:
    message = bench.message(bench.put())
    client = BenchClient()
    stays = bench.wait_result()
    waiter = outcome.wait(bench.broker, bench.now, client, message, 60.0)
    waiter.forget(bench.broker)
    bench.drop()
    bench.after(100)
    assert (client.heard, stays.heard) == ([], [(1, "gone", b"")])
    assert bench.broker.result_waiters == {}


def test_who_was_told_is_in_no_table_any_more(bench: Bench) -> None:
    message = bench.message(bench.put())
    waiter = outcome.wait(bench.broker, bench.now, BenchClient(), message, 3600.0)
    assert waiter.slot is not None
    bench.drop()
    assert waiter.slot is None


def test_the_figures_count_who_waits_for_a_result_apart(bench: Bench) -> None:
    bench.put()
    bench.put()
    for message_id in (1, 1, 2):
        bench.wait_result(message_id)
    figures = view.stats(bench.broker)
    assert (figures["waiting"], figures["waiting_results"]) == (0, 3)
