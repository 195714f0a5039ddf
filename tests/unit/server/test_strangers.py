"""Connections that owe their token, and how many, and for how long."""

import asyncio
from pathlib import Path

import pytest

from qserver.config import STRANGER_S_MAX, STRANGERS_MAX, Config
from qserver.server.clock import Clock
from qserver.server.connection import Connection
from qserver.server.connections import LATE_ERROR
from qserver.server.server import Server
from qserver.storage.memory import MemoryJournal


class Wire(asyncio.Transport):
    """A transport that notes what becomes of it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.sent = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_closed = True
        self.connection.connection_lost(None)


@pytest.fixture
def server(tmp_path: Path) -> Server:
    config = Config(port=0, data=tmp_path, tokens=("sesame",))
    server = Server(config, MemoryJournal(), 3 * STRANGERS_MAX)
    server.recover()
    return server


def connect(server: Server, *, says: bytes = b"") -> Wire:
    connection = Connection(server)
    wire = Wire(connection)
    connection.connection_made(wire)
    if says:
        connection.data_received(says)
    return wire


async def test_who_has_owed_the_token_for_too_long_is_told_and_closed(server: Server) -> None:
    stranger = connect(server, says=b"PING\n")
    known = connect(server, says=b"HELLO token=sesame\n")
    began = server.now()
    server.connections.part_with_strangers(began + STRANGER_S_MAX - 1)
    assert not stranger.is_closed
    server.connections.part_with_strangers(began + STRANGER_S_MAX + 1)
    assert stranger.sent == b"OK\n" + LATE_ERROR
    assert (stranger.is_closed, known.is_closed) == (True, False)


async def test_past_so_many_strangers_the_one_that_has_owed_longest_is_cut(server: Server) -> None:
    known = [connect(server, says=b"HELLO token=sesame\n") for _ in range(STRANGERS_MAX)]
    strangers = [connect(server) for _ in range(STRANGERS_MAX)]
    assert not any(wire.is_closed for wire in [*known, *strangers])
    strangers[1].connection.data_received(b"HELLO token=sesame\n")
    strangers += [connect(server), connect(server)]
    assert [at for at, wire in enumerate(strangers) if wire.is_closed] == [0]
    assert not any(wire.is_closed for wire in known)


async def test_strangers_that_have_left_make_no_room_scarce(server: Server) -> None:
    first = connect(server)
    for _ in range(2 * STRANGERS_MAX):
        connect(server).abort()
    assert not first.is_closed


async def test_strangers_are_looked_for_as_time_passes(tmp_path: Path) -> None:
    time = [1000.0]
    clock = Clock(lambda: time[0], lambda: time[0], "boot")
    config = Config(port=0, data=tmp_path, tokens=("sesame",))
    server = Server(config, MemoryJournal(), 10, clock)
    server.recover()
    stranger = connect(server)
    time[0] += STRANGER_S_MAX + 1
    server._check_clock()
    assert stranger.sent == LATE_ERROR


async def test_a_server_without_a_token_knows_no_strangers(tmp_path: Path) -> None:
    server = Server(Config(port=0, data=tmp_path), MemoryJournal(), 3 * STRANGERS_MAX)
    server.recover()
    wires = [connect(server) for _ in range(STRANGERS_MAX + 1)]
    server.connections.part_with_strangers(server.now() + STRANGER_S_MAX + 1)
    assert not any(wire.is_closed for wire in wires)
