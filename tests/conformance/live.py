"""A server process, and sockets to it."""

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
"""So long is a silent server waited for before the test fails."""


class LiveServer:
    """A process of its own that serves one directory on a free port."""

    def __init__(self, data: Path, *options: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "qserver", "--port", "0", "--data", str(data), *options],
            stderr=subprocess.PIPE,
            text=True,
        )
        self._address: tuple[str, int] | None = None
        self._lines: list[LiveLine] = []

    def address(self) -> tuple[str, int]:
        """Where it listens; waits until it does."""
        if self._address is None:
            assert self._process.stderr is not None
            greeting: dict[str, Any] = json.loads(self._process.stderr.readline())
            assert "listening" in greeting["event"]
            self._address = (greeting["host"], greeting["port"])
        return self._address

    def connect(self) -> "LiveLine":
        """A connection to it."""
        self._lines.append(LiveLine(self.address()))
        return self._lines[-1]

    def stop(self) -> list[dict[str, Any]]:
        """End it in good order; what it has logged since it listens."""
        self.address()
        for line in self._lines:
            line.close()
        self._process.terminate()
        _, logged = self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0, logged
        return [json.loads(line) for line in logged.splitlines()]


class LiveLine:
    """A `transcripts.Line` over a socket."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=PATIENCE_S)
        self._read = self._socket.makefile("rb")

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> str:
        return self._read.readline().decode().removesuffix("\n")

    def unread(self) -> str:
        """Nothing: what has not come yet can't be told from what never will."""
        return ""

    def rest(self) -> bytes:
        """Close this side; everything that comes until the server closes its own."""
        with contextlib.suppress(OSError):  # the server was first
            self._socket.shutdown(socket.SHUT_WR)
        return self._read.read()

    def is_closed(self) -> bool:
        """Whether the server has closed, or will without being asked; nothing else may come."""
        return self._read.read(1) == b""

    def close(self) -> None:
        """Close both sides."""
        self._read.close()
        self._socket.close()


@contextlib.contextmanager
def serving(data: Path, *options: str) -> Iterator[LiveServer]:
    """A server for the length of a test."""
    server = LiveServer(data, *options)
    try:
        yield server
    finally:
        server.stop()
