"""What others can ask whether a worker is well: a file, an HTTP port, and who looks at the file.

    qclient worker shop:app --health-file /tmp/well         touched every few seconds while it is
    qclient worker --check --health-file /tmp/well          exit code 0 if it was lately

    qclient worker shop:app --health-port 8080              GET / answers 200 or 503

`health.py` says what well means. The port answers while the event loop turns; of one that is
blocked a probe gets no answer in its time, which is one too.
"""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from qclient.errors import PortTaken
from qclient.worker.health import TOUCH_S, Health

STALE_S: Final = 60.0
"""A file that is older tells of a worker that is not well."""

ASKING_S: Final = 5.0
"""So long a request may take to arrive."""

REQUEST_BYTES_MAX: Final = 8192


@contextlib.asynccontextmanager
async def probing(
    health: Health, path: Path | None = None, port: int | None = None
) -> AsyncIterator[int]:
    """Within this, the file and the port tell of a worker's health; yields the port.

    The file is removed at the end: who has left is not well.

    Raises:
        PortTaken: someone else listens there.
    """
    keeping = None if path is None else asyncio.create_task(_keep(health, path))
    try:
        async with contextlib.AsyncExitStack() as stack:
            if port is not None:
                port = await stack.enter_async_context(_listening(health, port))
            yield port or 0
    finally:
        if keeping is not None and path is not None:
            keeping.cancel()
            await asyncio.wait([keeping])
            path.unlink(missing_ok=True)  # noqa: ASYNC240  an instant


def is_fresh(path: Path, wall: float) -> bool:
    """Whether a worker that was well has touched the file lately, at that time since 1970."""
    try:
        return wall - path.stat().st_mtime <= STALE_S
    except FileNotFoundError:
        return False


def numbered(path: str, number: int) -> str:
    """The file of a worker among several: `well.2` of the second one."""
    return f"{path}.{number}"


def sick(path: str, processes: int) -> list[str]:
    """Which of the files of one worker, or of so many, are not fresh now."""
    paths = [path] if processes == 1 else [numbered(path, n) for n in range(1, processes + 1)]
    return [each for each in paths if not is_fresh(Path(each), time.time())]


async def _keep(health: Health, path: Path) -> None:
    """Touch the file while all is well, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        if health.is_well(loop.time()):
            path.touch()  # noqa: ASYNC240  an instant
        await asyncio.sleep(TOUCH_S)


@contextlib.asynccontextmanager
async def _listening(health: Health, port: int) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            async with asyncio.timeout(ASKING_S):
                await reader.readuntil(b"\r\n\r\n")
                writer.write(response(is_well=health.is_well(loop.time())))
                await writer.drain()
        writer.close()

    is_both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_both else socket.AF_INET
    try:
        listener = socket.create_server(("", port), family=family, dualstack_ipv6=is_both)
        server = await asyncio.start_server(answer, sock=listener, limit=REQUEST_BYTES_MAX)
    except OSError as error:
        raise PortTaken(f"the health port {port} can't be listened at: {error}") from None
    async with server:
        yield listener.getsockname()[1]


def response(*, is_well: bool) -> bytes:
    """The whole answer to any request."""
    status = b"200 OK" if is_well else b"503 Service Unavailable"
    body = b"well\n" if is_well else b"not well\n"
    lines = (
        b"HTTP/1.1 " + status,
        b"Content-Type: text/plain",
        b"Content-Length: %d" % len(body),
        b"Connection: close",
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
