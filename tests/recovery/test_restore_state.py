"""What a restart finds: everything as it was, and what is only of the past forgotten."""

import pytest

from qserver.broker import admin
from qserver.broker.checkpoint import checkpoint
from qserver.broker.counters import COUNTED
from qserver.broker.message import Message
from tests.unit.broker.bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_an_empty_journal_is_an_empty_broker(bench: Bench) -> None:
    assert not bench.rebuilt().broker.messages


def test_the_order_of_first_deliveries_is_kept(bench: Bench) -> None:
    for priority in (4, 9, 4, 0):
        bench.put(priority=priority)
    assert bench.rebuilt().ids() == [2, 1, 3, 4]


def test_what_had_come_due_is_ready_and_stays_so(bench: Bench) -> None:
    bench.put(delay=1)
    bench.put(delay=1, ttl=60)
    bench.after(1)
    again = bench.rebuilt()
    again.after(30)
    assert [again.state(i) for i in (1, 2)] == ["ready", "ready"]
    again.after(30)
    assert [again.state(i) for i in (1, 2)] == ["ready", "gone"]


def test_what_came_due_while_it_was_away_is_found_by_the_first_ticks(bench: Bench) -> None:
    bench.configure(retain=60)
    for _ in range(2):
        bench.put()
    bench.get(lease=30)
    bench.ack(*bench.get())
    bench.put(delay=30)
    bench.put(ttl=30)
    again = Bench(lines=bench.lines, now=7.0, wall=bench.broker.wall(bench.now) + 3600)
    again.after(1)
    assert {i: again.state(i) for i in range(1, 5)} == {
        1: "ready",
        2: "gone",
        3: "ready",
        4: "gone",
    }
    assert again.message(1).losses == 1


def test_a_lease_keeps_its_receipt_and_its_deadline(bench: Bench) -> None:
    bench.put()
    (held,) = bench.get(lease=30)
    bench.after(10)
    again = bench.rebuilt()
    again.after(19.9)
    assert again.state(1) == "leased"
    assert again.ack(held) == []


def test_a_lease_that_was_extended_stays_so(bench: Bench) -> None:
    client = bench.join("s")
    for _ in range(3):
        bench.put()
    held = bench.get(count=2, lease=10, client=client)
    bench.get(lease=100, client=client)
    bench.touch(held[0], lease=60)
    assert client.session is not None
    bench.touch_all(client, 50.0)
    again = bench.rebuilt()
    assert [again.message(i).deadline - bench.now for i in (1, 2, 3)] == [60, 50, 100]


def test_an_ack_is_final(bench: Bench) -> None:
    bench.put()
    bench.ack(*bench.get())
    assert bench.rebuilt().get() == []


def test_a_session_with_leases_has_its_whole_grace_again(bench: Bench) -> None:
    client = bench.join("s", grace=10)
    bench.put()
    bench.get(lease=100, client=client)
    bench.leave(client)
    bench.after(9)
    again = bench.rebuilt()
    again.after(9.9)
    assert again.state(1) == "leased"
    again.after(0.1)
    assert again.state(1) == "ready"


def test_a_session_that_comes_back_within_its_grace_keeps_its_leases(bench: Bench) -> None:
    bench.put()
    bench.get(lease=100, client=bench.join("s", grace=10))
    again = bench.rebuilt()
    again.after(9)
    again.join("s", grace=10)
    again.after(50)
    assert again.state(1) == "leased"


def test_a_session_without_leases_is_forgotten(bench: Bench) -> None:
    bench.join("s")
    assert not bench.rebuilt().broker.sessions


def test_a_message_that_left_its_session_is_not_its_any_more(bench: Bench) -> None:
    client = bench.join("s", grace=10)
    for _ in range(3):
        bench.put()
    first, second, third = bench.get(count=3, client=client)
    bench.release(first)
    bench.ack(second)
    bench.get()
    again = bench.rebuilt()
    assert list(again.broker.sessions["s"].leases) == [third[0]]
    assert again.message(1).session is None


def test_settings_and_pauses_hold(bench: Bench) -> None:
    bench.configure(lease=5.5, max_losses=3, requeue="back")
    admin.pause(bench.broker, "q", paused=True)
    again = bench.rebuilt().broker.queues["q"]
    assert (again.settings, again.paused) == (bench.broker.queues["q"].settings, True)


def test_a_queue_with_its_defaults_back_has_them(bench: Bench) -> None:
    bench.configure(lease=5)
    bench.configure(lease=30.0)
    assert bench.rebuilt().broker.queues["q"].is_plain()


def test_a_dropped_queue_is_gone_with_its_keys(bench: Bench) -> None:
    bench.configure(lease=5)
    bench.put(dedup="k")
    bench.drop()
    again = bench.rebuilt()
    assert not again.broker.queues
    assert not again.broker.names
    assert again.put(dedup="k") == 2


def test_a_dedup_key_holds_till_its_window_s_end(bench: Bench) -> None:
    bench.configure(dedup_window=60)
    bench.put(dedup="k")
    bench.ack(*bench.get())
    again = bench.rebuilt()
    again.after(59)
    assert again.put(dedup="k") == 1
    again.after(1)
    assert again.put(dedup="k") == 2
    again.after(70)
    assert again.broker.queues["q"].dedup is None


def test_a_key_with_a_short_window_does_not_wait_for_one_with_a_long_one(bench: Bench) -> None:
    bench.put(dedup="long")
    bench.configure(dedup_window=10)
    bench.put(dedup="short")
    again = bench.rebuilt()
    again.after(12)
    dedup = again.broker.queues["q"].dedup
    assert dedup is not None
    assert len(dedup) == 1


def test_keys_that_were_over_before_the_restart_are_swept_after_it(bench: Bench) -> None:
    bench.configure(dedup_window=1)
    bench.put(dedup="k")
    bench.stall(100)
    again = bench.rebuilt()
    again.after(2)
    assert again.broker.queues["q"].dedup is None
    assert sum(again.broker.live.values()) == len(again.broker.messages)


def test_a_key_that_was_used_again_after_its_window_is_counted_once(bench: Bench) -> None:
    bench.configure(dedup_window=1)
    bench.put(dedup="k")
    bench.stall(2)
    bench.put(dedup="k")
    again = bench.rebuilt()
    assert sum(again.broker.live.values()) == 3
    assert again.put(dedup="k") == 2


def test_a_fact_that_is_missing_makes_the_next_no_harder(bench: Bench) -> None:
    """A repair may have given it up."""
    bench.put()
    for name in "st":
        held = bench.get(client=bench.join(name))
        bench.release(*held)
    bench.ack(*bench.get(client=bench.join("u")))
    kept = [line for line in bench.lines if b'"release"' not in line]
    again = Bench(lines=kept)
    assert not again.broker.messages
    again = Bench(lines=kept[:-1])
    assert list(again.broker.sessions) == ["u"]
    assert again.state(1) == "leased"


def test_what_was_counted_before_is_not_counted_again(bench: Bench) -> None:
    bench.put()
    bench.put(ttl=1)
    bench.nack(*bench.get(), dead=True)
    bench.after(1)
    counters = bench.rebuilt().broker.counters
    assert {getattr(counters, name) for name in COUNTED} == {0}


def test_a_redriven_message_is_where_it_was_moved_to(bench: Bench) -> None:
    bench.put("a", body=b"12", ttl=60, key="k")
    bench.nack(*bench.get("a"), dead=True, reason="r")
    bench.redrive("a", to="b")
    again = bench.rebuilt()
    queues = again.broker.queues
    assert (queues["a"].bytes, queues["b"].bytes) == (0, 2)
    details = again.message(1).detail()
    assert (details.key, details.reason, details.expires_at) == ("k", None, 0)
    assert again.ids("b") == [1]


def test_places_behind_go_on_behind_those_of_before(bench: Bench) -> None:
    bench.configure(requeue="back")
    for _ in range(4):
        bench.put()
    bench.release(*bench.get())
    bench.release(*bench.get())
    again = bench.rebuilt()
    again.release(*again.get())
    again.put()
    assert again.ids() == [4, 1, 2, 3, 5]


def test_redriven_messages_stand_where_they_stood(bench: Bench) -> None:
    bench.configure(requeue="back")
    for _ in range(4):
        bench.put()
    bench.nack(*bench.get(count=3), dead=True)
    bench.redrive()
    again = bench.rebuilt()
    assert [m.place() for m in again.broker.messages.values()] == [
        m.place() for m in bench.broker.messages.values()
    ]


def test_a_dead_message_keeps_reason_and_counters(bench: Bench) -> None:
    bench.configure(max_failures=1, expired="dead")
    bench.put()
    bench.put(ttl=1, delay=5)
    bench.put(ttl=1)
    bench.nack(*bench.get())
    bench.after(1)
    again = bench.rebuilt()
    assert [again.state(i) for i in (1, 2, 3)] == ["dead"] * 3
    assert [again.reason(i) for i in (1, 2, 3)] == ["failed too often", "expired", "expired"]
    assert again.message(1).failures == 1


def test_what_is_told_of_messages_whose_segment_was_dropped_is_passed_over(bench: Bench) -> None:
    client = bench.join("s")
    for _ in range(8):
        bench.put(delay=1)
    bench.after(1)
    held = bench.get(count=6, client=client)
    bench.touch(held[0], lease=60)
    bench.ack(held[1])
    bench.nack(held[2], dead=True)
    bench.redrive(to="other")
    bench.release(held[3])
    bench.purge("other")
    bench.drop()
    kept = [line for line in bench.lines if b'"op":"put' not in line]
    again = Bench(lines=kept)
    assert not again.broker.messages
    assert not again.broker.sessions


def test_a_checkpoint_tells_all_that_no_message_carries(bench: Bench) -> None:
    bench.configure("set", lease=5)
    bench.configure("plain")
    admin.pause(bench.broker, "paused", paused=True)
    bench.join("s", grace=7)
    bench.lines.clear()
    checkpoint(bench.broker)
    again = bench.rebuilt().broker
    assert sorted(again.queues) == ["paused", "set"]
    assert again.queues["set"].settings.lease == 5
    assert again.queues["paused"].paused
    assert bench.records("session") == [{"op": "session", "session": "s", "grace_ms": 7000}]


def test_a_restart_of_a_restart_is_the_same() -> None:
    bench = Bench()
    bench.configure(requeue="back", retain=60)
    for n in range(10):
        bench.put(key=f"k{n}", dedup=f"d{n}", ttl=600, priority=n % 3)
    held = bench.get(count=5)
    bench.ack(held[0])
    bench.nack(held[1], reason="r")
    bench.release(held[2])
    once = bench.rebuilt()
    twice = Bench(lines=once.lines)
    assert [row(m) for m in once.broker.messages.values()] == [
        row(m) for m in twice.broker.messages.values()
    ]


def row(message: Message) -> tuple[object, ...]:
    detail = message.detail()
    return (
        message.id,
        message.state,
        message.lease,
        message.deadline,
        message.place(),
        detail.expires_at,
        detail.due_at,
    )
