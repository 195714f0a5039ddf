"""Sessions: what becomes of leases when connections go and come."""

import pytest

from qserver.broker import get, timers
from tests.unit.broker.bench import Bench, BenchClient


@pytest.fixture
def bench() -> Bench:
    return Bench()


def holding(bench: Bench, count: int, *, grace: float = 10.0, lease: float = 500.0) -> BenchClient:
    client = bench.join("s", grace)
    for _ in range(count):
        bench.put()
    bench.get(count=count, lease=lease, client=client)
    return client


def states(bench: Bench) -> set[str]:
    return {bench.state(message_id) for message_id in bench.broker.messages}


def test_when_its_connection_has_gone_the_leases_end_after_the_grace(bench: Bench) -> None:
    client = holding(bench, 3)
    bench.after(100)
    bench.leave(client)
    bench.after(9.99)
    assert states(bench) == {"leased"}
    bench.after(0.01)
    assert states(bench) == {"ready"}
    assert bench.message(1).losses == 1
    assert not bench.broker.sessions


def test_who_comes_back_within_the_grace_keeps_them(bench: Bench) -> None:
    bench.leave(holding(bench, 3))
    bench.after(9)
    bench.join("s")
    bench.after(100)
    assert states(bench) == {"leased"}


def test_a_grace_that_begins_again_is_a_whole_one(bench: Bench) -> None:
    bench.leave(holding(bench, 1))
    bench.after(9)
    bench.leave(bench.join("s"))
    bench.after(9)
    assert states(bench) == {"leased"}
    bench.after(1)
    assert states(bench) == {"ready"}


def test_only_the_last_of_several_connections_begins_the_grace(bench: Bench) -> None:
    first, second = holding(bench, 1), bench.join("s")
    bench.leave(first)
    bench.after(100)
    assert states(bench) == {"leased"}
    bench.leave(second)
    bench.after(10)
    assert states(bench) == {"ready"}


def test_saying_hello_twice_is_one_connection(bench: Bench) -> None:
    client = holding(bench, 1)
    get.join(bench.broker, bench.now, client, "s", 10.0)
    bench.leave(client)
    bench.after(10)
    assert states(bench) == {"ready"}


def test_going_to_another_session_leaves_the_first(bench: Bench) -> None:
    client = holding(bench, 1)
    get.join(bench.broker, bench.now, client, "t", 10.0)
    bench.after(10)
    assert states(bench) == {"ready"}
    assert list(bench.broker.sessions) == ["t"]


def test_the_latest_grace_counts(bench: Bench) -> None:
    client = holding(bench, 1)
    get.join(bench.broker, bench.now, client, "s", 2.0)
    bench.leave(client)
    bench.after(2)
    assert states(bench) == {"ready"}
    assert [record["grace_ms"] for record in bench.records("session")] == [10_000, 2000]


def test_without_grace_leases_end_with_the_connection(bench: Bench) -> None:
    bench.leave(holding(bench, 1, grace=0.0))
    bench.tick()
    assert states(bench) == {"ready"}


def test_a_lease_that_was_taken_without_a_session_is_none_of_its(bench: Bench) -> None:
    bench.put()
    bench.get(lease=100)
    bench.leave(holding(bench, 1))
    bench.after(10)
    assert [bench.state(i) for i in (1, 2)] == ["leased", "ready"]


def test_anybody_with_the_receipt_settles_a_session_s_lease(bench: Bench) -> None:
    holding(bench, 1)
    assert bench.ack((1, 1)) == []
    assert not bench.broker.sessions["s"].leases


def test_a_lease_that_runs_out_leaves_its_session(bench: Bench) -> None:
    holding(bench, 1, lease=1)
    bench.after(1)
    assert states(bench) == {"ready"}
    assert not bench.broker.sessions["s"].leases


@pytest.mark.parametrize("stalled", [0.0, 60.0])
def test_a_lease_that_runs_out_with_its_session_is_lost_once(bench: Bench, stalled: float) -> None:
    """Whatever the order in which the wheel comes to them, and however late it does."""
    client = holding(bench, 50, grace=5, lease=5)
    bench.leave(client)
    bench.stall(stalled)
    bench.after(5)
    assert states(bench) == {"ready"}
    assert {message.losses for message in bench.broker.messages.values()} == {1}


def test_a_session_of_ten_thousand_leases_is_ended_in_slices(bench: Bench) -> None:
    bench.leave(holding(bench, 10_000))
    bench.stall(11)
    lost = []
    while bench.tick():
        lost.append(bench.broker.counters.losses)
    assert lost == list(range(timers.BUDGET, 10_000, timers.BUDGET))
    assert bench.broker.counters.losses == 10_000
    assert not bench.broker.sessions
    assert bench.ids(count=3) == [1, 2, 3]


def test_slices_follow_each_other_at_once(bench: Bench) -> None:
    bench.leave(holding(bench, 3))
    bench.stall(11.01)
    while bench.tick(budget=1):
        wanted = timers.next_deadline(bench.broker)
        assert wanted is not None
        assert wanted <= bench.now
    assert bench.broker.counters.losses == 3


def test_sessions_that_end_together_share_the_budget(bench: Bench) -> None:
    for name in "abcde":
        client = bench.join(name, grace=1)
        for _ in range(10):
            bench.put()
        bench.get(count=10, lease=500, client=client)
        bench.leave(client)
    bench.stall(2)
    lost = []
    while bench.tick(budget=10):
        lost.append(bench.broker.counters.losses)
    assert lost == [10, 20, 30, 40]
    assert bench.broker.counters.losses == 50


def test_what_else_is_due_comes_out_of_the_same_budget(bench: Bench) -> None:
    bench.leave(holding(bench, 10))
    for _ in range(9):
        bench.put()
    bench.get(count=9, lease=1)
    bench.stall(11)
    assert bench.tick(budget=10)
    assert bench.broker.counters.losses == 10


def test_who_comes_back_between_two_slices_keeps_the_rest(bench: Bench) -> None:
    bench.leave(holding(bench, 10))
    bench.stall(11)
    assert bench.tick(budget=4)
    bench.join("s")
    bench.after(100)
    assert bench.broker.counters.losses == 4
    assert len(bench.broker.sessions["s"].leases) == 6


def test_touch_all_extends_what_ends_before_and_shortens_nothing(bench: Bench) -> None:
    client = holding(bench, 1, lease=5)
    bench.put()
    bench.get(lease=100, client=client)
    assert bench.touch_all(client, 50.0) == 2
    assert [bench.message(i).deadline - bench.now for i in (1, 2)] == [50, 100]
    assert len(bench.records("touch_session")) == 1


def test_touch_all_takes_each_queue_s_lease_if_none_is_given(bench: Bench) -> None:
    client = holding(bench, 1, lease=5)
    bench.configure("other", lease=70)
    bench.put("other")
    bench.get("other", lease=5, client=client)
    assert bench.touch_all(client) == 2
    assert [bench.message(i).deadline - bench.now for i in (1, 2)] == [30, 70]


def test_touch_all_of_nothing_is_nothing(bench: Bench) -> None:
    assert bench.touch_all(bench.join("s"), 5.0) == 0
    assert bench.records("touch_session") == []


def test_leaving_without_a_session_is_nothing(bench: Bench) -> None:
    bench.leave(BenchClient())
    assert timers.next_deadline(bench.broker) is None
