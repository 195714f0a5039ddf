"""PUT: what is kept, when it is delivered, and when there is no room."""

from typing import Any

import pytest

from qserver.broker.broker import FORGOTTEN_MAX, LOOKS_MAX
from qserver.config import Limits
from qserver.errors import RequestError
from tests.unit.broker.bench import WALL, Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def refused(bench: Bench, queue: str = "q", body: bytes = b"1", **options: object) -> str:
    with pytest.raises(RequestError) as error:
        bench.put(queue, body, **options)
    assert error.value.word == "full"
    return str(error.value)


def test_ids_count_up_over_all_queues(bench: Bench) -> None:
    assert [bench.put(queue) for queue in ("a", "b", "a")] == [1, 2, 3]


def test_what_comes_out_went_in(bench: Bench) -> None:
    bench.put(body=b'{"a":  1E5}', key="k", trace="00-abc-01", priority=7)
    message = bench.message(1)
    details = message.detail()
    assert (message.body, message.priority, message.put_at) == (b'{"a":  1E5}', 7, WALL)
    assert (details.key, details.trace, details.dedup) == ("k", "00-abc-01", None)


@pytest.mark.parametrize("options", [{"delay": 10.0}, {"at": WALL + 10}])
def test_a_delayed_message_comes_when_it_is_due_and_not_before(
    bench: Bench, options: dict[str, Any]
) -> None:
    bench.put(**options)
    assert bench.state(1) == "delayed"
    bench.after(9.99)
    assert bench.get() == []
    bench.after(0.01)
    assert bench.ids() == [1]


@pytest.mark.parametrize("at", [1.0, WALL - 1, WALL])
def test_a_time_in_the_past_is_now(bench: Bench, at: float) -> None:
    bench.put(at=at)
    assert bench.ids() == [1]


def test_a_time_as_far_off_as_can_be_written_can_be_waited_for(bench: Bench) -> None:
    year_9999 = 253_370_764_800.0
    bench.put(at=year_9999)
    bench.after(86_400)
    assert bench.state(1) == "delayed"
    bench.after(year_9999 - WALL - 86_400)
    assert bench.ids() == [1]


def test_a_queue_with_settings_has_its_ttl_for_a_plain_put(bench: Bench) -> None:
    bench.configure(ttl=5)
    bench.put()
    bench.put(ttl=9)
    bench.after(5)
    assert bench.ids() == [2]


def test_max_messages_counts_all_states(bench: Bench) -> None:
    bench.configure(max_messages=4, retain=60)
    for _ in range(3):
        bench.put()
    bench.put(delay=60)
    acked, dead, _ = bench.get(count=3)
    bench.ack(acked)
    bench.nack(dead, dead=True)
    assert "queue q has 4 messages, and max_messages=4" in refused(bench)
    bench.purge("q", "done")
    bench.put()


def test_max_bytes_bounds_the_bodies_together(bench: Bench) -> None:
    bench.configure(max_bytes=5)
    bench.put(body=b"123")
    assert "queue q has 3 bytes, this message 3, and max_bytes=5" in refused(bench, body=b"123")
    bench.put(body=b"12")
    refused(bench)


@pytest.mark.parametrize("options", [{}, {"key": "k"}])
def test_a_put_that_is_refused_for_memory_leaves_nothing(options: dict[str, str]) -> None:
    bench = Bench(limits=Limits(memory_bytes_max=1000))
    while not bench.broker.memory > 600:
        bench.put()
    assert "memory_bytes_max=1000" in refused(bench, "other", b"1" * 100, **options)
    assert list(bench.broker.queues) == ["q"]
    assert bench.broker.last_id == len(bench.lines) == len(bench.broker.messages)


def test_a_full_disk_is_said_to_be_full() -> None:
    """The server takes the bound away while the journal has no room."""
    bench = Bench()
    bench.put()
    bench.broker.memory_bytes_max = 0
    assert "the disk has no room for new messages" in refused(bench)
    assert bench.ids() == [1]


def test_memory_is_there_again_when_messages_go() -> None:
    bench = Bench(limits=Limits(memory_bytes_max=1000))
    bench.put(body=b"1" * 500)
    refused(bench, body=b"1" * 500)
    bench.ack(*bench.get())
    bench.put(body=b"1" * 500)


def test_a_duplicate_is_answered_though_there_is_no_room() -> None:
    bench = Bench(limits=Limits(memory_bytes_max=1000))
    bench.put(body=b"1" * 500, dedup="k")
    assert bench.put(body=b"1" * 500, dedup="k") == 1


def test_a_put_beyond_the_last_queue_is_refused() -> None:
    bench = Bench(limits=Limits(queues_max=2))
    bench.put("a")
    bench.put("b")
    assert "there are 2 queues, and queues_max allows no more" in refused(bench, "c")
    bench.put("a")


def test_queues_that_would_not_be_missed_make_room_for_new_ones() -> None:
    bench = Bench(limits=Limits(queues_max=5))
    bench.put("full")
    bench.configure("set", lease=1)
    bench.put("keyed", dedup="k")
    bench.put("empty")
    bench.ack(*bench.get("keyed", "empty", count=2))
    bench.configure("idle")
    assert bench.broker.names == ["empty", "full", "idle", "keyed", "set"]
    bench.put("new")
    assert bench.broker.names == ["full", "keyed", "new", "set"]


def test_room_is_made_for_some_at_once_and_for_others_when_it_is_used_up() -> None:
    bench = Bench(limits=Limits(queues_max=250))
    for number in range(250):
        bench.configure(f"idle{number}")
    for number in range(250):
        bench.put(f"new{number}")
        assert len(bench.broker.queues) in range(250 - FORGOTTEN_MAX + 1, 251)
    assert bench.broker.names == sorted(f"new{number}" for number in range(250))


def test_who_is_refused_and_asks_again_finds_room_behind_many_queues_that_are_kept() -> None:
    bench = Bench(limits=Limits(queues_max=LOOKS_MAX + 500))
    for number in range(LOOKS_MAX + 500):
        bench.put(f"q{number}")
    bench.ack(*bench.get(f"q{LOOKS_MAX + 300}"))
    assert "queues_max allows no more" in refused(bench, "new")
    bench.put("new")
    assert "queues_max allows no more" in refused(bench, "newer")


def test_a_queue_that_gets_its_defaults_back_would_not_be_missed() -> None:
    bench = Bench(limits=Limits(queues_max=1))
    bench.configure("set", lease=1)
    bench.configure("set", lease=30.0)
    bench.put("new")
    assert bench.broker.names == ["new"]
