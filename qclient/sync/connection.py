"""One blocking socket: a request out, its replies back, for one thread at a time.

A connection is never mended: after an error it is closed, and a new one takes its place
(`link.py`). What came for a request that was broken off is kept, since it may hold leases: `part`
gives it.
"""

import contextlib
import select
import socket
import time
from typing import Any, Final

from qclient.dialler import reason
from qclient.errors import ConnectionLost, ProtocolError, TimedOut
from qclient.replies import Reply, ReplyReader, Request

READ_BYTES: Final = 1 << 16


class Connection:
    """A connected socket. Made by `dialler.Dialler`."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = sock
        self._patience_s: float | None = None
        self._reader = ReplyReader()
        self._replies: list[Reply] = []
        self._unasked = 0
        self._incoming = select.poll()
        self._incoming.register(sock, select.POLLIN)

    def exchange(self, request: Request[Any], patience_s: float) -> list[Reply]:
        """Send a request and read its replies; the server may be silent for `patience_s`.

        Raises:
            ConnectionLost: it is gone, or TimedOut: silent for too long.
            ProtocolError: what answers doesn't speak the protocol.
        """
        wanted = request.replies
        try:
            if patience_s != self._patience_s:
                self._wait_at_most(patience_s)
            try:  # noqa: SIM105  the context would cost more than the system call
                self._socket.sendall(request.line)
            except ConnectionError:
                pass  # what it said before it closed comes first
            while len(self._replies) < wanted:
                if not self._receive():
                    raise ConnectionLost("connection lost: closed by the server")
        except TimeoutError as error:
            raise TimedOut(f"no reply for {patience_s:.0f} s", maybe_done=True) from error
        except OSError as error:
            raise ConnectionLost(f"connection lost: {reason(error)}") from error
        replies = self._replies
        self._unasked = len(replies) - wanted
        self._replies = []  # the caller's from here on: not to be given back by `part`
        return replies[:wanted]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing came that nobody asked for, the end of the connection included."""
        return not self._unasked and self._reader.is_between and not self._incoming.poll(0)

    def part(self, within_s: float) -> list[Reply]:
        """Say that nothing more will be asked, and read what still comes within that time.

        The server ends a GET that waits, answers what it has read, and closes.

        Returns:
            All replies to the request that was under way.
        """
        ends_at = time.monotonic() + within_s
        with contextlib.suppress(OSError, ProtocolError):
            self._socket.shutdown(socket.SHUT_WR)
            while (left_s := ends_at - time.monotonic()) > 0:
                self._wait_at_most(left_s)
                if not self._receive():
                    break
        return self._replies

    def end_wait(self) -> None:
        """From another thread: close this side only, so that a GET that waits is answered."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        """From another thread: whoever reads here finds the connection closed."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close this process's hold on the socket."""
        self._socket.close()

    def _wait_at_most(self, seconds: float) -> None:
        self._socket.settimeout(seconds)
        self._patience_s = seconds

    def _receive(self) -> bool:
        """Read once; False at the end of the stream."""
        chunk = self._socket.recv(READ_BYTES)
        self._replies += self._reader.feed(chunk)
        return bool(chunk)
