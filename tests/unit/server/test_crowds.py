"""A crowd: of those who ask at the same time some are answered in each turn, in their order."""

import asyncio
from pathlib import Path

from qserver.config import TURN_S_MAX, Config
from qserver.server.clock import Clock
from qserver.server.commit import RELEASED_MAX
from qserver.server.rota import GO_ON_MAX, Rota
from qserver.server.server import LONG_TURN_S, Server
from qserver.storage.memory import MemoryJournal, MemoryStore
from tests.unit.server.test_commit_full_disk import World
from tests.unit.server.test_turn import connected


class Talker:
    def __init__(self, rota: Rota) -> None:
        self.rota = rota
        self.shares: list[float] = []

    def go_on(self, now: float) -> None:
        assert now == 7.0
        self.shares.append(self.rota.share_s)


def test_a_few_go_on_together_and_share_the_turn() -> None:
    rota = Rota()
    talkers = [Talker(rota) for _ in range(4)]
    for talker in [*talkers, talkers[0]]:
        rota.add(talker)
    rota.discard(talkers[3])
    rota.discard(talkers[3])
    rota.go_on(7.0)
    assert [talker.shares for talker in talkers] == [[TURN_S_MAX / 3]] * 3 + [[]]
    assert not rota


def test_who_is_added_meanwhile_goes_on_the_next_time() -> None:
    rota = Rota()
    again = Talker(rota)

    class Eager(Talker):
        def go_on(self, now: float) -> None:
            super().go_on(now)
            rota.add(self)
            rota.add(again)

    eager = Eager(rota)
    rota.add(eager)
    rota.go_on(7.0)
    assert (len(eager.shares), len(again.shares), len(rota)) == (1, 0, 2)
    rota.go_on(7.0)
    assert (len(eager.shares), len(again.shares)) == (2, 1)


def test_of_a_crowd_those_go_on_who_asked_first() -> None:
    rota = Rota()
    talkers = [Talker(rota) for _ in range(2 * GO_ON_MAX + 1)]
    for talker in talkers:
        rota.add(talker)
    for turns in (1, 2, 3):
        rota.go_on(7.0)
        done = min(turns * GO_ON_MAX, len(talkers))
        assert [len(talker.shares) for talker in talkers[:done]] == [1] * done
        assert not any(talker.shares for talker in talkers[done:])


async def test_replies_to_a_crowd_are_given_out_some_at_a_time_in_their_order() -> None:
    world = World(sync_s=60.0)
    count = 2 * RELEASED_MAX + 1
    for _ in range(count):
        world.put()
    world.committer.commit()
    told = [0]
    while told[-1] < count + 1:
        await asyncio.sleep(0)
        if len(world.client.told) > told[-1]:
            told.append(len(world.client.told))
            if len(told) == 2:
                world.put()  # which may be stored before they are all told, and is told last
                world.committer.commit()
    assert told[:3] == [0, RELEASED_MAX, 2 * RELEASED_MAX]
    assert world.client.told == [b"OK %d" % (number + 1) for number in range(count + 1)]


async def test_a_stop_gives_out_all_replies_at_once() -> None:
    world = World(sync_s=60.0)
    for _ in range(30 * RELEASED_MAX):
        world.put()
    await world.committer.drain()
    assert len(world.client.told) == 30 * RELEASED_MAX


async def test_what_is_stored_is_told_so_though_the_journal_fails_before_its_turn() -> None:
    world = World(sync_s=60.0)
    for _ in range(2 * RELEASED_MAX):
        world.put()
    world.committer.commit()
    while not world.client.told:  # noqa: ASYNC110
        await asyncio.sleep(0)
    world.disk.fail("write", 5)
    world.put()
    world.committer.commit()
    await world.settle()
    assert world.client.told[-2:] == [b"OK %d" % (2 * RELEASED_MAX), b"abandoned"]


async def test_all_of_a_crowd_are_told_what_came_of_a_message_though_nothing_else_comes(
    tmp_path: Path,
) -> None:
    server = Server(Config(port=0, data=tmp_path), MemoryJournal(), 10_000)
    server.recover()
    one, _ = connected(server)
    one.data_received(b"PUT q 1\nGET q\n")
    crowd = [connected(server) for _ in range(2 * GO_ON_MAX + 50)]
    for connection, _ in crowd:
        connection.data_received(b"RESULT 1 wait=60\n")
    one.data_received(b"ACK 1.1\n")
    for _ in range(10):
        await asyncio.sleep(0)
    assert {wire.sent for _, wire in crowd} == {b"ERR not-found message 1 was removed\n"}


async def test_a_long_turn_ends_before_all_sockets_are_read(tmp_path: Path) -> None:
    at = 100.0
    store = MemoryStore()
    server = Server(Config(port=0, data=tmp_path), MemoryJournal(store), 10, Clock(lambda: at))
    server.recover()
    (one, to_one), (two, to_two) = connected(server), connected(server)
    await asyncio.sleep(0)
    one.data_received(b"PUT q 1\n")
    at += LONG_TURN_S
    two.data_received(b"PUT q 2\n")
    assert (to_one.sent, to_two.sent) == (b"", b"")
    at += 0.001
    two.data_received(b"PUT q 3\n")
    assert (to_one.sent, to_two.sent) == (b"OK 1\n", b"OK 2\nOK 3\n")
    at += 1.0  # and no turn is left that this would count for
    await asyncio.sleep(0)
    assert server.figures()["stalls_total"] == 0
