"""A batch that the journal's thread has stored: known at the next end of a turn, and once.

And the end: nothing is asked of a journal that may be closed.
"""

import asyncio
import errno
import threading

from qserver.errors import StorageFailed
from tests.sim_disk import until
from tests.unit.server.test_commit_full_disk import World


def wait_for_the_thread(world: World) -> None:
    """And not for the loop, which does nothing meanwhile."""
    world.journal._syncer.submit(lambda: None).result(60)


async def test_the_end_of_a_turn_sees_what_the_loop_has_not_told() -> None:
    world = World()
    world.put()
    world.committer.commit()
    assert world.committer.is_busy
    wait_for_the_thread(world)
    assert world.client.told == []
    world.committer.commit()
    assert world.client.told == [b"OK 1"]
    assert not world.committer.is_busy


async def test_what_the_loop_tells_of_one_batch_late_does_not_end_the_next() -> None:
    world = World()
    world.put()
    world.committer.commit()
    wait_for_the_thread(world)
    world.put()
    ends = threading.Event()
    world.disk.before_sync = until(ends)
    world.committer.commit()
    for _ in range(5):
        await asyncio.sleep(0)
    assert world.client.told == [b"OK 1"]
    assert world.committer.is_busy
    ends.set()
    await world.settle()
    assert world.client.told == [b"OK 1", b"OK 2"]


async def test_the_end_of_a_turn_sees_that_the_journal_has_failed() -> None:
    world = World()
    world.disk.fail("sync", errno.EIO)
    world.put()
    world.committer.commit()
    wait_for_the_thread(world)
    world.committer.commit()
    assert world.client.told == [b"abandoned"]
    assert [type(error) for error in world.failures] == [StorageFailed]


async def test_a_stop_whose_last_sync_fails_says_that_the_journal_has_failed() -> None:
    world = World(sync_s=60.0)
    world.put()
    await world.settle()
    world.put()
    world.committer.commit()
    world.disk.fail("sync", errno.EIO)
    await world.committer.drain()
    assert world.client.told == [b"OK 1", b"OK 2"]
    assert [type(error) for error in world.failures] == [StorageFailed]


async def test_an_interval_that_is_over_after_the_end_asks_nothing_of_the_closed_journal() -> None:
    world = World(sync_s=0.001)
    world.put()
    await world.committer.drain()
    assert world.client.told == [b"OK 1"]
    world.journal.close()
    over = asyncio.Event()
    asyncio.get_running_loop().call_later(0.002, over.set)  # begun later, so over later
    await over.wait()
    assert world.failures == []


async def test_what_is_recorded_after_the_end_is_not_stored_and_no_failure() -> None:
    world = World()
    await world.committer.drain()
    world.journal.close()
    world.put()
    world.committer.commit()
    world.committer.look_for_room()
    assert world.client.told == [b"abandoned"]
    assert world.failures == []
