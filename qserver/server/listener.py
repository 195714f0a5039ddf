"""Where clients knock.

The loop would accept whoever knocks, all at once, until no file descriptor is left: then the
journal could not begin a segment, and a crowd at the door would end the server. So they are
accepted here, a few in a turn, and never more than there is room for.

What is set on the listening socket holds for all that it accepts: a client whose machine is gone is
noticed, though it never said so.
"""

import asyncio
import contextlib
import errno
import socket
import sys
from collections.abc import Callable
from typing import Final

import structlog

from qserver.config import ACCEPTS_PER_TURN, PROBE_S, PROBES, SILENCE_S_MAX

log = structlog.get_logger("qserver")

BACKLOG: Final = 1024
AGAIN_S: Final = 1.0
"""How long nobody is accepted when the system has no descriptor or memory for it."""

TIMEOUT_MS_MAX: Final = (1 << 31) - 1
"""The system takes no longer one: 24 days."""

NOT_HERE: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""A host's name can have addresses that this machine has not, as IPv6's in many containers."""

Expect = Callable[[], asyncio.Protocol | bytes]
"""Who speaks with the next client; or, if there is no room for it, what it is told."""


class Listener:
    """The listening sockets; made by `listen`.

    Attributes:
        sockets: one for each address.
    """

    def __init__(self, sockets: list[socket.socket], expect: Expect) -> None:
        self.sockets = sockets
        self._expect = expect
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[None]] = set()
        self._again_timer: asyncio.TimerHandle | None = None
        self._open()

    def close(self) -> None:
        """Accept nobody any more."""
        self._shut()
        for sock in self.sockets:
            sock.close()

    def _open(self) -> None:
        self._again_timer = None
        for sock in self.sockets:
            self._loop.add_reader(sock, self._accept, sock)

    def _shut(self) -> None:
        if self._again_timer is not None:
            self._again_timer.cancel()
            return
        for sock in self.sockets:
            self._loop.remove_reader(sock)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, _ = listening.accept()
            except BlockingIOError:
                return
            except ConnectionError:  # it has left already
                continue
            except OSError as error:
                self._wait_a_while(error)
                return
            expected = self._expect()
            if isinstance(expected, bytes):
                _refuse(sock, expected)
            else:
                arrival = self._loop.create_task(self._arrive(sock, expected))
                self._arriving.add(arrival)
                arrival.add_done_callback(self._arriving.discard)

    async def _arrive(self, sock: socket.socket, protocol: asyncio.Protocol) -> None:
        sock.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, sock)
        except OSError as error:
            sock.close()
            protocol.connection_lost(error)

    def _wait_a_while(self, error: OSError) -> None:
        """Don't ask again at once: who knocks is still there, and the answer would be the same."""
        log.warning(
            "no connection can be accepted: those who knock wait", error=str(error), again_s=AGAIN_S
        )
        self._shut()
        self._again_timer = self._loop.call_later(AGAIN_S, self._open)


def _refuse(sock: socket.socket, text: bytes) -> None:
    """Say so and close, at once: a crowd must not take up descriptors."""
    with sock, contextlib.suppress(OSError):
        sock.setblocking(False)
        sock.send(text)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(1 << 16)  # closed with bytes unread it would be reset


async def listen(expect: Expect, host: str, port: int, stall_s_max: float) -> Listener:
    """Listen at all addresses of the host.

    Raises:
        OSError: the address can't be used.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except UnicodeError:
        raise OSError(errno.EINVAL, f"no host can be called {host!r}") from None
    missing: OSError | None = None
    with contextlib.ExitStack() as stack:
        sockets: list[socket.socket] = []
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                sock = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
                _set_options(sock, stall_s_max)
                sock.bind((address[0], port, *address[2:]))
            except OSError as error:
                if error.errno not in NOT_HERE:
                    raise
                missing = error
                continue
            sock.listen(BACKLOG)
            sockets.append(sock)
            port = sock.getsockname()[1]  # where any will do, the same for all addresses
        if missing is not None and not sockets:
            raise missing
        stack.pop_all()
    return Listener(sockets, expect)


def _set_options(sock: socket.socket, stall_s_max: float) -> None:
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, round(SILENCE_S_MAX))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, round(PROBE_S))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, PROBES)
        # The same for a reply that nobody confirms; one who reads slowly is dealt with elsewhere.
        silence_ms = round(max(SILENCE_S_MAX + PROBES * PROBE_S, stall_s_max) * 1000)
        sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, min(silence_ms, TIMEOUT_MS_MAX)
        )
