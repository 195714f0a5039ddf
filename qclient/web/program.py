"""`qclient web`: from a port to a page that is served until it is stopped."""

import asyncio
import contextlib
import ipaddress
import signal
import socket
import time
from collections.abc import Iterator
from typing import Final

import click
import uvicorn

from qclient.dialler import shown
from qclient.errors import PortTaken
from qclient.opening import connect
from qclient.web.app import make
from qclient.web.looking import Looking

GONE_AFTER_S: Final = 2.0
"""So long a server that does not answer is waited for before the page says so."""

SILENT_S: Final = 10.0
STOP_S: Final = 2
BACKLOG: Final = 128


async def serve(
    url: str, *, host: str, port: int, password: str | None, names: tuple[str, ...]
) -> None:
    """Serve the page of the server at `url`, until SIGINT or SIGTERM.

    Args:
        url: where the server is.
        host: the address to listen at.
        port: of the page; 0 for a free one.
        password: what browsers ask their users for; None for nothing.
        names: by which else than its address the page may be asked for.

    Raises:
        PortTaken: someone else listens there, or there is no such address.
        CannotConnect: no server answers at `url`.
    """
    sock = _listen(host, port)
    address, port = sock.getsockname()[:2]
    is_local = ipaddress.ip_address(address).is_loopback
    hosts = {"localhost", "127.0.0.1", "::1", address, *names} if is_local or names else None
    place = f"http://{f'[{address}]' if ':' in address else address}:{port}/"
    async with connect(url, client="qclient web", retry_for=GONE_AFTER_S, timeout=SILENT_S) as it:
        app = make(Looking(it, time.monotonic), password=password, hosts=hosts)
        settings = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            timeout_graceful_shutdown=STOP_S,
        )
        if not is_local and password is None:
            click.echo("whoever reaches that can read all messages: set a password", err=True)
        click.echo(f"the page of {shown(url)} is at {place}", err=True)
        await _Serving(settings).serve(sockets=[sock])


class _Serving(uvicorn.Server):
    """Stops on a signal, and at once on a second; the library's own would then end the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """What the library calls for the time in which it serves."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except OSError as error:
        raise PortTaken(f"can't listen at {host}:{port}: {error.strerror or error}") from error
    return sock
