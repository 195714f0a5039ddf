"""Compaction: what the oldest segment keeps is told again, and says the same."""

from collections import Counter
from typing import Any

import pytest

from qserver.broker import compaction
from qserver.broker.message import Message
from tests.unit.broker.bench import Bench, Unwalked


@pytest.fixture
def bench() -> Bench:
    return Bench()


def one_of_each(bench: Bench) -> None:
    """Messages in every state, with everything that a message can have."""
    bench.configure(retain=600, backoff=5)
    bench.configure("back", requeue="back")
    everything: dict[str, Any] = {"key": "k", "trace": "t", "dedup": "d", "ttl": 60.0}
    bench.put(priority=9)
    bench.put(priority=0, **everything)
    bench.put(body=b'{"a" :  -0}')
    bench.put(delay=30)
    bench.put(delay=30, ttl=90)
    for _ in range(8):
        bench.put("work")
    held = bench.get("work", count=8, client=bench.join("s"))
    bench.configure("work", retain=600, backoff=5, requeue="back")
    bench.release(held[0])
    bench.nack(held[1], reason="r")
    bench.nack(held[2], dead=True)
    bench.ack(held[3])
    bench.touch(held[4], lease=500)
    bench.progress(held[5], b'{"at" :  1E0}')
    bench.nack(held[6], dead=True, reason="r")
    bench.nack(held[7], dead=True, reason="r")
    bench.redrive("work", reason="r", count=1)
    bench.put("keyed", dedup="outlives")
    bench.ack(*bench.get("keyed"))
    bench.put("sums")
    bench.done(bench.get("sums")[0], b'{"sum" :  3E0}', 500.0)


def shown(message: Message) -> dict[str, Any]:
    fields = ("id", "body", "put_at", "priority", "state", "lease", "deliveries", "failures")
    details = ("key", "trace", "dedup", "reason", "progress", "result", "expires_at", "due_at")
    return {
        **{name: getattr(message, name) for name in fields},
        **{name: getattr(message.details, name, None) or None for name in details},
        "losses": message.losses,
        "queue": message.queue.name,
        "place": message.place(),
        "session": message.session and message.session.name,
        "deadline": message.deadline if message.lease else None,
    }


def rows(bench: Bench) -> dict[int, dict[str, Any]]:
    return {message.id: shown(message) for message in bench.broker.messages.values()}


def roll(bench: Bench) -> None:
    """A new segment begins."""
    bench.broker.recorder.segment += 1  # type: ignore[misc]  # what a journal does


def segments(bench: Bench) -> Counter[int]:
    return Counter({segment: count for segment, count in bench.broker.live.items() if count})


def test_what_is_told_again_says_all_there_is(bench: Bench) -> None:
    one_of_each(bench)
    before = rows(bench)
    roll(bench)
    told = len(bench.lines)
    assert compaction.move(bench.broker, 1, 1 << 20) > 0
    assert compaction.move(bench.broker, 1, 1 << 20) > 0
    assert compaction.move(bench.broker, 1, 1 << 20) == 0
    assert segments(bench) == {2: len(before) + 2}
    again = Bench(lines=bench.lines[told:], now=bench.now)
    assert rows(again) == before == rows(bench)
    assert again.broker.last_id == max(before)
    assert again.broker.last_lease == max(row["lease"] for row in before.values())
    assert again.put("keyed", dedup="outlives") == bench.put("keyed", dedup="outlives")


def test_told_twice_it_is_there_once(bench: Bench) -> None:
    one_of_each(bench)
    before = rows(bench)
    for _ in range(2):
        roll(bench)
        compaction.move(bench.broker, bench.broker.recorder.segment - 1, 1 << 20)
    again = bench.rebuilt()
    assert rows(again) == before
    assert again.ids("q", "work") == bench.ids("q", "work")


def test_what_the_later_segments_keep_stays_where_it_is(bench: Bench) -> None:
    for _ in range(3):
        bench.put()
        bench.put(dedup=f"k{bench.now}")
        bench.stall(1)
        roll(bench)
    compaction.move(bench.broker, 1, 1 << 20)
    compaction.move(bench.broker, 1, 1 << 20)
    assert segments(bench) == {2: 3, 3: 3, 4: 3}


def test_only_about_as_much_is_moved_as_was_asked_for(bench: Bench) -> None:
    for _ in range(3000):
        bench.put(body=b"1" * 20)
    roll(bench)
    moved = 0
    while step := compaction.move(bench.broker, 1, 10_000):
        assert step <= 10_100
        moved += step
        assert segments(bench)[2] == moved // 100
    assert segments(bench) == {2: 3000}
    assert bench.ids(count=3000) == list(range(1, 3001))


def test_in_steps_all_is_moved_whatever_goes_and_comes_meanwhile(bench: Bench) -> None:
    for _ in range(100):
        bench.put(body=b"1" * 20)
    roll(bench)
    assert compaction.move(bench.broker, 1, 1000) == 1000
    assert segments(bench) == {1: 90, 2: 10}
    bench.ack(*bench.get(count=50))
    for _ in range(20):
        bench.put(body=b"1" * 20)
    assert compaction.move(bench.broker, 1, 1000) == 1000
    while compaction.move(bench.broker, 1, 1000):
        pass
    assert segments(bench) == {2: 70}
    roll(bench)
    assert compaction.move(bench.broker, 2, 1 << 20) == 7000
    assert segments(bench) == {3: 70}


def test_keys_are_moved_in_steps_too(bench: Bench) -> None:
    for n in range(100):
        bench.put("ab"[n % 2], dedup=f"k{n}")
    bench.ack(*bench.get("a", "b", count=100))
    roll(bench)
    steps = [compaction.move(bench.broker, 1, 1000)]
    while steps[-1]:
        steps.append(compaction.move(bench.broker, 1, 1000))
    assert segments(bench) == {2: 100}
    assert 8 <= len(steps) <= 12
    assert max(steps) <= 1000


def test_messages_and_keys_that_go_after_they_were_moved_leave_nothing(bench: Bench) -> None:
    bench.configure(dedup_window=10)
    bench.put(dedup="k", ttl=5)
    roll(bench)
    compaction.move(bench.broker, 1, 1000)
    compaction.move(bench.broker, 1, 1000)
    bench.after(20)
    assert not segments(bench)


def test_what_is_live_is_estimated_by_bodies_and_records(bench: Bench) -> None:
    assert compaction.live_bytes(bench.broker) == 0
    bench.put(body=b"1" * 100, dedup="k")
    assert compaction.live_bytes(bench.broker) == 100 + 2 * compaction.RECORD_OVERHEAD
    bench.ack(*bench.get())
    assert compaction.live_bytes(bench.broker) == compaction.RECORD_OVERHEAD


def test_what_a_message_keeps_besides_its_body_counts_to_what_is_moved(bench: Bench) -> None:
    for _ in range(3):
        bench.put()
    held = bench.get(count=3, lease=500)
    for receipt in held:
        bench.progress(receipt, b'"%b"' % (b"x" * 500))
    roll(bench)
    bench.done(held[0], b'"%b"' % (b"x" * 500), 60.0)
    assert compaction.live_bytes(bench.broker) == 3 * (1 + 502 + 80) + 502
    steps = [compaction.move(bench.broker, 1, 1) for _ in range(4)]
    assert steps == [1 + 502 + 502 + 80, 1 + 502 + 80, 1 + 502 + 80, 0]


def test_where_nothing_needs_a_segment_no_queue_is_asked_for_its_keys() -> None:
    bench = Bench()
    bench.put(dedup="k")
    segment = bench.broker.recorder.segment
    bench.broker.queues = Unwalked(bench.broker.queues)
    assert compaction.move(bench.broker, segment + 1, 1000) == 0
