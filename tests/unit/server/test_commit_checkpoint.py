"""What each segment begins with, where that is more than one batch should hold."""

from copy import deepcopy

import pytest

from qserver.broker import admin, settle
from qserver.broker.broker import Broker
from qserver.broker.checkpoint import SLICE
from qserver.broker.get import get
from qserver.broker.put import put
from qserver.broker.restore import Restorer
from qserver.config import Limits
from qserver.server.commit import Committer
from qserver.server.compactor import Compactor
from qserver.storage.memory import MemoryJournal, MemoryStore
from qserver.storage.record import replay
from qserver.storage.recorder import JournalRecorder
from tests.unit.broker.bench import BenchClient

SEGMENT_BYTES_MAX = 1 << 20
QUEUES = 3 * SLICE + 100


class World:
    """A broker and its committer, over a journal in memory; as many queues with settings."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        journal = MemoryJournal(self.store, segment_bytes_max=SEGMENT_BYTES_MAX)
        self.recorder = JournalRecorder(journal)
        self.broker = Broker(self.recorder, Limits(), now=0.0, wall=0.0)
        replay(journal, Restorer(self.broker))
        self.recorder.begin_batch()
        compactor = Compactor(journal, self.recorder, self.broker)
        self.committer = Committer(
            journal,
            self.recorder,
            self.broker,
            compactor,
            None,
            lambda error, _: pytest.fail(str(error)),
        )
        for number in range(QUEUES):
            admin.configure(self.broker, f"q{number}", {"lease": 40.0})
        self.committer.commit()

    def begin_segment(self) -> None:
        """Store enough for another segment; of the last one no message is left."""
        began = self.recorder.segment
        client = BenchClient()
        while self.recorder.segment == began:
            put(self.broker, 0.0, "big", b'"%b"' % (b"x" * 300_000))
            settle.ack(self.broker, 0.0, [(m.id, m.lease) for m in get(
                self.broker, 0.0, client, ["big"], 9)])  # fmt: skip
            self.committer.commit()

    def batches(self) -> int:
        return self.store.position

    def rebuilt(self) -> Broker:
        """What another server finds now."""
        store = deepcopy(self.store)
        store.open = False
        journal = MemoryJournal(store, segment_bytes_max=SEGMENT_BYTES_MAX)
        broker = Broker(JournalRecorder(journal), Limits(), now=0.0, wall=0.0)
        restorer = Restorer(broker)
        replay(journal, restorer)
        restorer.finish(0.0)
        return broker


def test_it_is_told_a_slice_a_batch_and_no_old_segment_goes_before_all_is() -> None:
    world = World()
    world.begin_segment()
    first = min(world.store.segments)
    put(world.broker, 0.0, "q", b"1")
    world.committer.commit()
    slices = 1
    while world.committer.is_behind:
        assert min(world.store.segments) == first
        before = world.batches()
        check(world)
        world.committer.commit()
        assert world.batches() == before + 1
        slices += 1
    world.committer.commit()
    assert slices == 4
    assert min(world.store.segments) > first
    check(world)


def check(world: World) -> None:
    """A server that begins now knows every queue."""
    again = world.rebuilt()
    assert sum(queue.settings.lease == 40 for queue in again.queues.values()) == QUEUES


def test_what_changes_meanwhile_is_as_it_was_left() -> None:
    world = World()
    world.begin_segment()
    put(world.broker, 0.0, "q", b"1")
    world.committer.commit()
    for name in ("q0", f"q{QUEUES - 1}"):
        admin.configure(world.broker, name, {"lease": 50.0})
    for name in ("q1", f"q{QUEUES - 2}"):
        admin.drop(world.broker, name)
    admin.drop(world.broker, "q2")
    admin.pause(world.broker, "q2", paused=True)
    while world.committer.is_behind:
        world.committer.commit()
    world.committer.commit()
    again = world.rebuilt()
    assert {name: (queue.settings, queue.paused) for name, queue in again.queues.items()} == {
        name: (q.settings, q.paused) for name, q in world.broker.queues.items() if name != "big"
    }


async def test_a_stop_does_not_tell_the_rest() -> None:
    world = World()
    world.begin_segment()
    put(world.broker, 0.0, "q", b"1")
    world.committer.commit()
    before = world.batches()
    put(world.broker, 0.0, "q", b"2")
    await world.committer.drain()
    assert world.batches() == before + 1
    assert b'"op":"queue"' not in list(world.store.segments.values())[-1][-1]
    assert not world.committer.is_behind
    check(world)
