"""RESULT over real sockets: what ends its wait besides the message's end."""

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.live import PATIENCE_S, LiveLine, LiveServer, serving

STANDS = ["* 1 ready null", "OK 1"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with serving(tmp_path) as running:
        yield running


def asking(server: LiveServer) -> LiveLine:
    """A connection whose RESULT waits: what was read before it was answered."""
    line = server.connect()
    line.send(b"PUT a 1\nRESULT 1 wait=1h\n")
    assert line.receive() == "OK 1"
    return line


def test_the_end_of_input_ends_the_wait_at_once(server: LiveServer) -> None:
    began = time.monotonic()
    assert asking(server).rest().decode().splitlines() == STANDS
    assert time.monotonic() - began < 10


def test_a_server_that_stops_answers_how_it_stands(server: LiveServer) -> None:
    line = asking(server)
    server._process.send_signal(signal.SIGTERM)
    assert [line.receive(), line.receive()] == STANDS
    line.close()
    assert server._process.wait(timeout=PATIENCE_S) == 0


def test_a_connection_that_is_cut_leaves_nobody_waiting(server: LiveServer) -> None:
    asking(server).close()
    other = server.connect()
    with contextlib.ExitStack() as stack:
        stack.callback(other.close)
        figures: list[str] = []
        while "* waiting_results=0" not in figures:
            other.send(b"STATS\n")
            figures = []
            while not figures or not figures[-1].startswith("OK"):
                figures.append(other.receive())
        other.send(b"DROP a\nPING\n")
        assert [other.receive(), other.receive()] == ["OK 1", "OK"]
