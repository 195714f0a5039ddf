"""The wall clock is set while the server is away: what its journal tells of times."""

import pytest

from qserver.broker import timers
from qserver.broker.broker import Broker
from qserver.broker.checkpoint import checkpoint
from qserver.broker.put import Options, put_with
from qserver.broker.restore import Restorer
from qserver.config import Limits
from qserver.storage.memory import MemoryJournal, MemoryStore
from qserver.storage.record import replay
from qserver.storage.recorder import JournalRecorder
from tests.unit.broker.bench import WALL, Bench

HOUR_S = 3600.0


def of_boot(bench: Bench, boot: str) -> Bench:
    """As `Bench`, on a machine that can tell its boots apart."""
    bench.broker.boot = boot
    return bench


def started(before: Bench, *, moved: float, boot: str = "b", now: float | None = None) -> Bench:
    """Another server on that journal; the wall clock was set meanwhile."""
    now = before.now if now is None else now
    wall = before.broker.wall(before.now) + moved
    bench = Bench(now=now, wall=wall)
    store = MemoryStore()
    store.segments[1] = [b"".join(before.lines)]
    journal = MemoryJournal(store)
    recorder = JournalRecorder(journal)
    bench.lines = list(before.lines)
    recorder.append = bench.lines.append
    bench.broker = Broker(recorder, Limits(), now=now, wall=wall, boot=boot)
    restorer = Restorer(bench.broker)
    replay(journal, restorer)
    restorer.finish(now)
    recorder.begin_batch()
    timers.clock_checked(bench.broker, now, wall)
    return bench


def told() -> Bench:
    """A lease of a minute, a ttl of ten, a dedup key of five, a delay of an hour."""
    bench = of_boot(Bench(), "b")
    bench.put()
    bench.get(lease=60)
    put_with(bench.broker, bench.now, "t", b"1", Options(ttl=600.0, dedup="d"))
    put_with(bench.broker, bench.now, "l", b"1", Options(delay=HOUR_S))
    return bench


@pytest.mark.parametrize("moved", [-5 * HOUR_S, 5 * HOUR_S, 1e9])
@pytest.mark.parametrize("when", ["behind", "before"])
def test_a_clock_that_was_set_over_a_restart_moves_no_lease_and_no_ttl(
    moved: float, when: str
) -> None:
    before = Bench()
    if when == "before":
        checkpoint(of_boot(before, "b").broker)
    before.lines += told().lines
    if when == "behind":
        checkpoint(of_boot(before, "b").broker)
    after = started(before, moved=moved)
    assert after.broker.wall(after.now) == WALL + moved
    lease, ttl = after.message(1), after.message(2)
    assert 60 <= lease.deadline - after.now < 60.01
    assert 600 <= ttl.expires_at() - after.now < 600.01
    assert put_with(after.broker, after.now + 299, "t", b"1", Options(dedup="d")) == (2, True)
    assert put_with(after.broker, after.now + 301, "t", b"1", Options(dedup="d"))[1] is False
    again = started(after, moved=-moved)
    assert 60 <= again.message(1).deadline - again.now < 60.02


@pytest.mark.parametrize("moved", [-5 * HOUR_S, 0.5 * HOUR_S])
def test_delays_follow_a_clock_that_was_set_over_a_restart(moved: float) -> None:
    before = told()
    checkpoint(before.broker)
    after = started(before, moved=moved)
    assert after.due_in(3) == HOUR_S - moved
    after.after(HOUR_S - moved - 1)
    assert after.state(3) == "delayed"
    after.after(1.1)
    assert after.state(3) == "ready"


def test_a_clock_that_was_set_while_the_server_was_up_is_told() -> None:
    before = told()
    checkpoint(before.broker)
    timers.clock_checked(before.broker, before.now, before.broker.wall(before.now) + HOUR_S)
    put_with(before.broker, before.now, "t", b"1", Options(ttl=600.0))
    after = started(before, moved=-3 * HOUR_S)
    for message_id in (2, 4):
        assert 600 <= after.message(message_id).expires_at() - after.now < 600.01
    assert [record["offset_ms"] for record in after.records("clock")] == [
        1000 * (WALL - 1000),
        1000 * (WALL - 1000 + HOUR_S),
        1000 * (WALL - 1000 - 2 * HOUR_S),
    ]


def test_over_a_restart_of_the_machine_there_is_only_the_wall_clock() -> None:
    before = told()
    checkpoint(before.broker)
    after = started(before, moved=50.0, boot="c", now=5.0)
    assert 10 <= after.message(1).deadline - after.now < 10.01
    assert 550 <= after.message(2).expires_at() - after.now < 550.01
    assert after.due_in(3) == HOUR_S - 50


@pytest.mark.parametrize("moved", [-5 * HOUR_S, 5 * HOUR_S])
def test_what_was_set_before_a_restart_of_the_machine_is_known_all_the_same(moved: float) -> None:
    before = told()
    checkpoint(before.broker)
    timers.clock_checked(before.broker, before.now, before.broker.wall(before.now) + moved)
    checkpoint(before.broker)
    after = started(before, moved=50.0, boot="c", now=5.0)
    assert 10 <= after.message(1).deadline - after.now < 10.01
    assert 550 <= after.message(2).expires_at() - after.now < 550.01
    assert put_with(after.broker, after.now + 249, "t", b"1", Options(dedup="d")) == (2, True)
    assert put_with(after.broker, after.now + 251, "t", b"1", Options(dedup="d"))[1] is False


def test_a_machine_that_can_not_tell_its_boots_tells_nothing() -> None:
    before = Bench()
    checkpoint(before.broker)
    assert before.records("clock") == []
    after = started(before, moved=HOUR_S, boot="")
    assert after.broker.wall(after.now) == WALL + HOUR_S
