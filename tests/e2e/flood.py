"""A client that sends without end, from one or from many connections.

A process of its own, one thread: it shall press the server, not wait for the test. It begins when
it has been given what to send, says what has become of it, and takes part in nothing else.
"""

import contextlib
import json
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any, Final, Self

from tests.e2e.canary import ROOT
from tests.e2e.process import PATIENCE_S, QServer

PIECE_BYTES: Final = 1 << 18


class Flood:
    """A running flood.

    Attributes:
        sent_bytes: of all connections together, known when it has ended, as is what follows.
        heard_bytes: what it has read; 0 if it does not read.
        closed: connections that the server has closed.
        last_heard: the end of what each connection has read.
    """

    def __init__(
        self,
        server: QServer,
        payload: bytes,
        *,
        connections: int = 1,
        reads: bool = True,
    ) -> None:
        self.sent_bytes = self.heard_bytes = self.closed = 0
        self.last_heard: list[str] = []
        words = [str(server.port), str(connections), "reads" if reads else "deaf"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.flood", *words, str(len(payload))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(payload)
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"connected\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate(timeout=PATIENCE_S)

    def end(self) -> None:
        """Let it end, and hear how it went."""
        said, _ = self._process.communicate(timeout=PATIENCE_S)  # closes its input
        for name, value in json.loads(said).items():
            setattr(self, name, value)


@dataclass
class _Pipe:
    """One connection."""

    sock: socket.socket
    at: int = 0
    last: bytes = b""
    is_closed: bool = False


class _Pour:
    """What the process does."""

    def __init__(self, port: int, connections: int, payload: bytes, *, reads: bool) -> None:
        self._payload = memoryview(payload)
        self._selector = selectors.DefaultSelector()
        self._selector.register(sys.stdin, selectors.EVENT_READ)
        self._pipes = []
        self._sent = self._heard = 0
        events = selectors.EVENT_WRITE | (selectors.EVENT_READ if reads else 0)
        for _ in range(connections):
            sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
            sock.setblocking(False)
            self._pipes.append(_Pipe(sock))
            self._selector.register(sock, events, self._pipes[-1])

    def run(self) -> dict[str, Any]:
        """Send until told to end."""
        while True:
            for key, events in self._selector.select():
                if key.data is None:
                    return self._account()
                try:
                    self._serve(key.data, events)
                except BlockingIOError:
                    continue
                except OSError:
                    self._lose(key.data)

    def _serve(self, pipe: _Pipe, events: int) -> None:
        if events & selectors.EVENT_READ:
            heard = pipe.sock.recv(PIECE_BYTES)
            if not heard:
                self._lose(pipe)
                return
            self._heard += len(heard)
            pipe.last = (pipe.last + heard)[-200:]
        if events & selectors.EVENT_WRITE:
            sent = pipe.sock.send(self._payload[pipe.at : pipe.at + PIECE_BYTES])
            self._sent += sent
            pipe.at = (pipe.at + sent) % len(self._payload)

    def _lose(self, pipe: _Pipe) -> None:
        self._selector.unregister(pipe.sock)
        with contextlib.suppress(OSError):  # a reply that came before a reset
            while said := pipe.sock.recv(PIECE_BYTES):
                pipe.last = (pipe.last + said)[-200:]
        pipe.is_closed = True
        pipe.sock.close()

    def _account(self) -> dict[str, Any]:
        return {
            "sent_bytes": self._sent,
            "heard_bytes": self._heard,
            "closed": sum(pipe.is_closed for pipe in self._pipes),
            "last_heard": [pipe.last.decode(errors="replace") for pipe in self._pipes],
        }


def knock(port: int) -> None:
    """Connect and close at once, until told to end."""
    knocked = 0
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        sys.stdout.write("connected\n")
        sys.stdout.flush()
        while not selector.select(0):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S).close()
                knocked += 1
            except OSError:
                time.sleep(0.001)
    sys.stdout.write(json.dumps({"closed": knocked}))


if __name__ == "__main__":
    port, connections, reads, payload_bytes = sys.argv[1:]
    if payload_bytes == "0":
        knock(int(port))
    else:
        given = sys.stdin.buffer.read(int(payload_bytes))
        pour = _Pour(int(port), int(connections), given, reads=reads == "reads")
        sys.stdout.write("connected\n")
        sys.stdout.flush()
        sys.stdout.write(json.dumps(pour.run()))
