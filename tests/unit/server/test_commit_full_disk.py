"""The committer on a full disk: replies wait, nothing is told that isn't so, PUTs are refused."""

import asyncio
import errno
from pathlib import Path

import pytest

from qserver.broker.broker import Broker
from qserver.broker.put import put
from qserver.config import Limits
from qserver.errors import RequestError, StorageError, StorageFull
from qserver.server.commit import Committer
from qserver.server.compactor import Compactor
from qserver.storage.file import open_directory
from qserver.storage.recorder import JournalRecorder
from tests.sim_disk import SimDisk

DIRECTORY = Path("/journal")
RESERVE = DIRECTORY / "reserve"
BODY = b'"%b"' % (b"x" * 100)


class Client:
    """A recipient of replies."""

    def __init__(self) -> None:
        self.told: list[bytes] = []

    def release(self, reply: bytes) -> None:
        self.told.append(reply)

    def abandon(self) -> None:
        self.told.append(b"abandoned")


class World:
    """A broker, its committer, and a journal on a simulated disk."""

    def __init__(
        self,
        limits: Limits | None = None,
        segment_bytes_max: int = 1 << 20,
        sync_s: float | None = None,
        retry_s: float = 0.0,
    ) -> None:
        self.disk = SimDisk()
        self.journal = open_directory(
            DIRECTORY, disk=self.disk, segment_bytes_max=segment_bytes_max
        )
        assert list(self.journal.replay()) == []
        recorder = JournalRecorder(self.journal)
        recorder.begin_batch()
        self.broker = Broker(recorder, limits or Limits(), now=0.0, wall=0.0)
        self.failures: list[StorageError] = []
        self.committer = Committer(
            self.journal,
            recorder,
            self.broker,
            Compactor(self.journal, recorder, self.broker),
            sync_s,
            lambda error, _: self.failures.append(error),
        )
        self.committer.retry_s = retry_s
        self.client = Client()

    def put(self) -> None:
        reply = b"OK %d" % put(self.broker, 0.0, "q", BODY)
        self.committer.hold(self.client, reply)

    async def settle(self) -> None:
        """Let the thread, and whatever waits for no time, come to an end."""
        self.committer.commit()
        for _ in range(20):
            await asyncio.get_running_loop().run_in_executor(self.journal._syncer, lambda: None)
            await asyncio.sleep(0)

    def fill(self, *, reserve: bool = True) -> None:
        if not reserve:
            self.disk.unlink(RESERVE)
        self.disk.room = 0

    def make_room(self) -> None:
        self.disk.room = None
        self.disk.clock_s += 1

    def stored(self) -> bytes:
        self.disk.crash()
        journal = open_directory(DIRECTORY, disk=self.disk)
        stored = b"".join(records for _, records in journal.replay())
        journal.close()
        return stored


async def test_replies_wait_while_there_is_no_room_and_come_in_order_when_there_is() -> None:
    world = World()
    world.fill(reserve=False)
    world.put()
    world.put()
    await world.settle()
    world.committer.hold(world.client, b"later")
    await world.settle()
    assert world.client.told == []
    world.make_room()
    await world.settle()
    assert world.client.told == [b"OK 1", b"OK 2", b"later"]
    assert world.stored().count(b'"op":"put"') == 2
    assert world.failures == []


async def test_a_commit_that_finds_no_room_where_it_stands_waits_too() -> None:
    world = World(sync_s=0.0)
    world.put()
    await world.settle()
    world.fill(reserve=False)
    world.put()
    world.committer.commit()
    assert world.client.told == [b"OK 1"]
    with pytest.raises(RequestError, match="the disk"):
        world.put()
    world.make_room()
    await world.settle()
    assert world.client.told == [b"OK 1", b"OK 2"]


async def test_what_is_recorded_while_a_batch_waits_is_stored_behind_it() -> None:
    world = World()
    world.fill(reserve=False)
    world.put()
    await world.settle()
    world.broker.recorder.ack([1], 0.0)
    world.committer.hold(world.client, b"acked")
    await world.settle()
    world.make_room()
    await world.settle()
    assert world.client.told == [b"OK 1", b"acked"]
    stored = world.stored()
    assert stored.index(b'"op":"put"') < stored.index(b'"op":"ack"')


async def test_a_put_is_refused_once_the_disk_is_full_and_taken_when_it_is_not() -> None:
    world = World()
    world.put()
    await world.settle()
    world.fill()
    world.put()
    await world.settle()
    assert world.client.told == [b"OK 1", b"OK 2"]
    with pytest.raises(RequestError, match="the disk has no room") as refusal:
        world.put()
    assert refusal.value.word == "full"
    assert not world.journal.pending
    world.committer.look_for_room()
    await world.settle()
    with pytest.raises(RequestError, match="the disk"):
        world.put()
    world.make_room()
    world.committer.look_for_room()
    await world.settle()
    world.put()


async def test_puts_are_refused_from_the_moment_a_batch_waits() -> None:
    world = World(retry_s=60)
    world.fill(reserve=False)
    world.put()
    await world.settle()
    with pytest.raises(RequestError, match="the disk"):
        world.put()
    with pytest.raises(StorageFull):
        await world.committer.drain()


async def test_no_more_is_taken_for_one_batch_than_the_disk_has_room_for() -> None:
    world = World()
    world.put()
    await world.settle()
    world.disk.room = 10_000
    world.disk.clock_s += 1
    world.put()
    await world.settle()
    taken = 0
    with pytest.raises(RequestError, match="the disk"):  # noqa: PT012 - any of many may be the one
        for _ in range(1000):
            world.put()
            taken += 1
    assert 10 < taken < 100
    await world.settle()
    assert len(world.client.told) == taken + 2
    assert len(world.disk.files()[str(RESERVE)]) == 65_536


async def test_a_look_for_room_does_not_allow_twice_what_is_not_committed_yet() -> None:
    world = World()
    world.put()
    await world.settle()
    world.disk.room = 10_000
    world.disk.clock_s += 1
    world.put()
    await world.settle()
    allowed = world.broker.memory_bytes_max
    world.put()
    world.committer.look_for_room()
    assert world.broker.memory_bytes_max == allowed


async def test_the_memory_is_the_limit_where_the_disk_has_more_room() -> None:
    world = World(Limits(memory_bytes_max=1000))
    world.committer.look_for_room()
    world.put()
    world.put()
    with pytest.raises(RequestError, match="memory_bytes_max=1000"):
        world.put()
    await world.settle()


async def test_a_new_segment_that_waits_for_room_begins_with_its_checkpoint() -> None:
    world = World(segment_bytes_max=400)
    while world.journal.segment == 1:
        world.put()
        world.committer.commit()
        await world.settle()
    world.fill(reserve=False)
    world.broker.recorder.sequence(0, 0)
    await world.settle()
    world.make_room()
    await world.settle()
    segments = [name for name in sorted(world.disk.files()) if "journal-" in name]
    assert len(segments) > 1
    begun = [world.disk.files()[name].splitlines()[1] for name in segments[1:]]
    assert [line[:16] for line in begun] == [b'{"op":"sequence"'] * len(begun)
    assert world.failures == []


async def test_a_failure_while_a_batch_waits_is_a_failure() -> None:
    world = World()
    world.fill(reserve=False)
    world.put()
    await world.settle()
    world.disk.room = None
    world.disk.fail("sync", errno.EIO)
    await world.settle()
    assert len(world.failures) == 1
    assert world.client.told == [b"abandoned"]
    world.committer.look_for_room()


async def test_a_stop_does_not_wait_for_room() -> None:
    world = World()
    world.fill(reserve=False)
    world.put()
    await world.settle()
    with pytest.raises(StorageFull):
        await world.committer.drain()
    assert world.client.told == []
    world.journal.close()
    assert world.stored() == b""


async def test_a_stop_that_finds_the_disk_full_says_so() -> None:
    world = World()
    world.put()
    await world.settle()
    world.fill(reserve=False)
    world.broker.recorder.stop(1, 0)
    with pytest.raises(StorageFull):
        await world.committer.drain()


async def test_a_stop_stores_what_waited_if_there_is_room_by_then() -> None:
    world = World(retry_s=60)
    world.fill(reserve=False)
    world.put()
    await world.settle()
    world.broker.recorder.stop(1, 0)
    world.make_room()
    await world.committer.drain()
    assert world.client.told == [b"OK 1"]
    world.journal.close()
    assert world.stored().count(b"\n") == 2
