"""QUEUE, PAUSE, RESUME, PURGE, DROP, REDRIVE."""

import gc

import pytest

from qserver.broker import admin, view
from qserver.broker.message import STATES
from qserver.broker.queue import DEFAULTS, Queue
from qserver.config import Limits
from qserver.errors import RequestError
from tests.unit.broker.bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def one_of_each(bench: Bench) -> None:
    """Messages 1 to 5: ready, leased, delayed, dead, done."""
    bench.configure(retain=60)
    for _ in range(5):
        bench.put()
    held = bench.get(count=5)
    bench.release(held[0])
    bench.nack(held[2], delay_s=60.0)
    bench.nack(held[3], dead=True)
    bench.ack(held[4])
    assert [bench.state(i) for i in range(1, 6)] == list(STATES)


def dead(bench: Bench, reasons: list[str], queue: str = "q") -> None:
    for reason in reasons:
        bench.put(queue)
        bench.nack(*bench.get(queue), dead=True, reason=reason)


# --- settings and pauses --------------------------------------------------------------------------


def test_settings_are_changed_one_by_one(bench: Bench) -> None:
    bench.configure(lease=5)
    bench.configure(ttl=7)
    settings = bench.broker.queues["q"].settings
    assert (settings.lease, settings.ttl, settings.retain) == (5, 7, 0)


def test_only_what_differs_from_the_defaults_is_told(bench: Bench) -> None:
    bench.configure(lease=5.0, ttl=0.0)
    assert bench.records("queue") == [{"op": "queue", "queue": "q", "settings": {"lease": 5.0}}]


def test_what_changes_nothing_is_not_told(bench: Bench) -> None:
    bench.configure()
    bench.configure(lease=30.0)
    assert bench.lines == []
    assert bench.broker.queues["q"].settings is DEFAULTS


def test_a_pause_is_told_once(bench: Bench) -> None:
    pauses = [True, True, False, False]
    changed = [admin.pause(bench.broker, "q", paused=paused) for paused in pauses]
    assert changed == [True, False, True, False]
    assert bench.records("queue") == [
        {"op": "queue", "queue": "q", "paused": True},
        {"op": "queue", "queue": "q"},
    ]


def test_resuming_a_queue_that_is_not_there_makes_none(bench: Bench) -> None:
    assert not admin.pause(bench.broker, "q", paused=False)
    assert not bench.broker.queues


def test_a_paused_queue_gives_nothing_and_all_else_goes_on(bench: Bench) -> None:
    bench.put()
    held = bench.get()
    admin.pause(bench.broker, "q", paused=True)
    bench.put()
    assert bench.get() == []
    assert bench.ack(*held) == []


# --- purge and drop -------------------------------------------------------------------------------


def test_a_purge_takes_all_states_and_leaves_the_queue(bench: Bench) -> None:
    one_of_each(bench)
    assert bench.purge() == 5
    assert (len(bench.broker.queues["q"]), bench.broker.memory) == (0, 0)
    assert not any(bench.broker.live.values())
    assert bench.broker.queues["q"].settings.retain == 60
    bench.after(1000)


@pytest.mark.parametrize(("state", "message_id"), list(zip(STATES, range(1, 6), strict=True)))
def test_a_purge_of_one_state_takes_only_that(bench: Bench, state: str, message_id: int) -> None:
    one_of_each(bench)
    assert bench.purge("q", state) == 1
    assert {1, 2, 3, 4, 5} - set(bench.broker.messages) == {message_id}


def test_the_receipt_of_a_purged_message_settles_nothing(bench: Bench) -> None:
    bench.put()
    (held,) = bench.get(client=bench.join("s"))
    bench.purge()
    assert bench.ack(held) == [held]
    assert not bench.broker.sessions["s"].leases


def test_a_purge_of_nothing_is_not_told(bench: Bench) -> None:
    assert bench.purge() == 0
    bench.configure()
    assert bench.purge() == 0
    assert bench.lines == []


def test_put_and_purge_without_end_leaves_nothing_behind(bench: Bench) -> None:
    for n in range(6000):
        bench.put()
        bench.put(ttl=3600, priority=n % 3)
        bench.purge("q", "ready")
    queue = bench.broker.queues["q"]
    assert sum(len(lane.fresh) + len(lane.returned) for lane in queue.ready._lanes) == 0
    assert len(queue.index) < 3000
    bench.purge()


def test_a_drop_takes_messages_settings_and_pause(bench: Bench) -> None:
    one_of_each(bench)
    admin.pause(bench.broker, "q", paused=True)
    assert bench.drop() == 5
    assert not bench.broker.queues
    assert not bench.broker.names
    assert bench.broker.memory == 0
    bench.put()
    assert bench.ids() == [6]
    bench.after(1000)


def test_a_drop_of_nothing_is_not_told(bench: Bench) -> None:
    assert bench.drop() == 0
    assert bench.lines == []


def test_a_dropped_queue_is_freed_though_messages_expired_in_it(bench: Bench) -> None:
    def queues() -> int:
        gc.collect()
        return sum(isinstance(thing, Queue) for thing in gc.get_objects())

    before = queues()
    for _ in range(10):
        bench.put()
        bench.put(ttl=1)
        bench.after(2)
        bench.drop()
    assert queues() == before


# --- redrive --------------------------------------------------------------------------------------


def test_a_redrive_gives_a_clean_slate_and_keeps_the_deliveries(bench: Bench) -> None:
    bench.configure(max_losses=1)
    bench.put()
    bench.nack(*bench.get(), delay_s=0.0, reason="disk full")
    bench.get(lease=1)
    bench.after(1)
    assert bench.redrive() == 1
    message = bench.message(1)
    assert (message.deliveries, message.failures, message.losses) == (2, 0, 0)
    assert bench.reason(1) is None


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("smtp*", [1, 3]),
        ("*refused", [1, 4]),
        ("smtp", []),
        ("SMTP*", []),
        ("http ?00: refused", [4]),
        ("[hs]*", [1, 3, 4]),
        ("*", [1, 2, 3, 4]),
        ("", []),
    ],
)
def test_a_glob_is_of_the_whole_reason_and_case_matters(
    bench: Bench, glob: str, expected: list[int]
) -> None:
    dead(bench, ["smtp: refused", "disk full", "smtp: timeout", "http 500: refused"])
    assert bench.redrive(reason=glob, dry=True) == len(expected)
    assert bench.redrive(reason=glob) == len(expected)
    assert bench.ids() == expected


def test_a_message_without_a_reason_matches_what_matches_nothing(bench: Bench) -> None:
    bench.put()
    bench.nack(*bench.get(), dead=True)
    assert bench.redrive(reason="?*", dry=True) == 0
    assert bench.redrive(reason="*", dry=True) == 1


def test_a_redrive_takes_the_first_ids_of_those_that_match(bench: Bench) -> None:
    dead(bench, ["a", "b", "a", "a"])
    assert bench.redrive(reason="a", count=2) == 2
    assert bench.ids() == [1, 3]


def test_a_dry_run_changes_nothing(bench: Bench) -> None:
    dead(bench, ["a", "b"])
    told = len(bench.lines)
    assert bench.redrive(to="other", dry=True) == 2
    assert (list(bench.broker.queues), len(bench.lines)) == (["q"], told)
    assert bench.state(1) == "dead"


def test_a_redrive_of_nothing_makes_no_queue(bench: Bench) -> None:
    assert bench.redrive("absent", to="other") == 0
    bench.put()
    assert bench.redrive(to="other") == 0
    assert list(bench.broker.queues) == ["q"]


def test_a_redrive_to_another_queue_moves_bytes_and_rows(bench: Bench) -> None:
    dead(bench, ["a", "b"])
    bench.put("other")
    assert bench.redrive(to="other") == 2
    source, target = bench.broker.queues["q"], bench.broker.queues["other"]
    assert (source.bytes, target.bytes) == (0, 3)
    assert listed(bench, "other") == [1, 2, 3]
    assert listed(bench, "q") == []
    assert bench.ids("other") == [1, 2, 3]


def test_a_message_that_went_and_came_back_is_listed_once(bench: Bench) -> None:
    dead(bench, ["x"], "a")
    bench.redrive("a", to="b")
    bench.nack(*bench.get("b"), dead=True)
    bench.redrive("b", to="a")
    assert listed(bench, "a") == [1]


def listed(bench: Bench, queue: str) -> list[int]:
    page = view.list_messages(bench.broker, queue, states=None, key=None, count=100, after=0)
    return [message.id for message in page.rows]


def test_a_redrive_to_a_queue_too_many_is_refused_and_moves_nothing() -> None:
    bench = Bench(limits=Limits(queues_max=1))
    dead(bench, ["a"])
    with pytest.raises(RequestError):
        bench.redrive(to="other")
    assert bench.state(1) == "dead"


def test_many_are_told_in_several_records(bench: Bench) -> None:
    bench.configure(requeue="back")
    for _ in range(2500):
        bench.put()
    bench.nack(*bench.get(count=2500), dead=True)
    assert bench.redrive() == 2500
    records = bench.records("redrive")
    assert [len(record["ids"]) for record in records] == [1000, 1000, 500]
    assert [record["place"] - records[0]["place"] for record in records] == [0, 1000, 2000]
    assert bench.rebuilt().ids(count=5000) == list(range(1, 2501))
