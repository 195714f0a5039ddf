"""When a request is answered: what changes something with the turn's batch, if one is kept."""

import asyncio
from pathlib import Path

import pytest

from qserver.config import Config
from qserver.server.connection import Connection
from qserver.server.server import Server
from qserver.storage.file import open_directory
from qserver.storage.memory import MemoryJournal, MemoryStore
from tests.sim_disk import SimDisk


class Wire(asyncio.Transport):
    """A transport that notes what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.has_sent = asyncio.Event()
        self.was_closed = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data
        self.has_sent.set()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.was_closed.set()


def connected(server: Server) -> tuple[Connection, Wire]:
    connection, wire = Connection(server), Wire()
    connection.connection_made(wire)
    return connection, wire


def a_server(path: Path, *, keeps: bool) -> Server:
    journal = MemoryJournal(MemoryStore() if keeps else None)
    server = Server(Config(port=0, data=path), journal, 10)
    server.recover()
    return server


async def test_what_is_kept_is_answered_at_the_end_of_the_turn(tmp_path: Path) -> None:
    server = a_server(tmp_path, keeps=True)
    (one, to_one), (two, to_two) = connected(server), connected(server)
    one.data_received(b"PUT q 1\n")
    two.data_received(b"PUT q 2\n")
    assert (to_one.sent, to_two.sent) == (b"", b"")
    await asyncio.sleep(0)
    assert (to_one.sent, to_two.sent) == (b"OK 1\n", b"OK 2\n")


async def test_what_is_not_kept_is_answered_at_once(tmp_path: Path) -> None:
    server = a_server(tmp_path, keeps=False)
    (one, to_one), (two, to_two) = connected(server), connected(server)
    one.data_received(b"PUT q 1\n")
    two.data_received(b"PUT q 2\n")
    assert (to_one.sent, to_two.sent) == (b"OK 1\n", b"OK 2\n")


@pytest.mark.parametrize("keeps", [True, False])
async def test_who_is_alone_is_answered_at_once(tmp_path: Path, *, keeps: bool) -> None:
    server = a_server(tmp_path, keeps=keeps)
    one, wire = connected(server)
    await asyncio.sleep(0)  # the turn in which it came
    one.data_received(b"PUT q 1\n")
    assert wire.sent == b"OK 1\n"


@pytest.mark.parametrize("keeps", [True, False])
async def test_who_waits_is_served_in_the_turn_of_the_put(tmp_path: Path, *, keeps: bool) -> None:
    server = a_server(tmp_path, keeps=keeps)
    (waiting, wire), (putting, _) = connected(server), connected(server)
    waiting.data_received(b"GET q wait=60s\n")
    await asyncio.sleep(0)
    putting.data_received(b"PUT q 1\n")
    for _ in range(3):  # the turn's end, the conversation that goes on, its turn's end
        await asyncio.sleep(0)
    assert wire.sent == b"* 1.1 q 1\nOK 1\n"


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_wait_ends_though_nothing_else_comes(tmp_path: Path, *, keeps: bool) -> None:
    server = a_server(tmp_path, keeps=keeps)
    (waiting, wire), _ = connected(server), connected(server)
    waiting.data_received(b"GET q wait=10ms\n")
    async with asyncio.timeout(10):
        await wire.has_sent.wait()
    assert wire.sent == b"OK 0\n"


async def test_a_sync_of_some_milliseconds_holds_up_nobody_but_who_is_alone(tmp_path: Path) -> None:
    disk = SimDisk()
    disk.sync_s = 0.004
    journal = open_directory("/journal", disk=disk)
    server = Server(Config(port=0, data=tmp_path, sync_s=None), journal, 10)
    server.recover()
    one, wire = connected(server)
    for _ in range(10):
        one.data_received(b"PUT q 1\n")
        await wire.has_sent.wait()
        wire.has_sent.clear()
    wire.sent = b""
    one.data_received(b"PUT q 1\n")
    assert wire.sent == b"OK 11\n"  # at once: synced where it stands
    two, _ = connected(server)
    wire.has_sent.clear()
    one.data_received(b"PUT q 1\n")
    await asyncio.sleep(0)  # the turn ends, the sync begins
    assert wire.sent == b"OK 11\n"
    await wire.has_sent.wait()
    two.connection_lost(None)
    await asyncio.sleep(0)
    one.data_received(b"PUT q 1\n")
    assert wire.sent == b"OK 11\nOK 12\nOK 13\n"
    journal.close()


async def test_who_comes_while_the_server_stops_is_told_that_and_not_that_it_is_full(
    tmp_path: Path,
) -> None:
    server = a_server(tmp_path, keeps=True)
    await server.start()
    _, before = connected(server)
    server.stop()
    stopping = asyncio.create_task(server.serve_until_stopped())
    await before.was_closed.wait()
    _, late = connected(server)
    assert late.sent == b"ERR busy the server stops\n"
    stopping.cancel()
