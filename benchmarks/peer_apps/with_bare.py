"""No library: the least that a worker can do, to see what is left for one.

GETs of what is free, ACKs of what ended in one turn of the loop, and a task of the loop for each
message. No leases kept, no retries, no names, no arguments, no limits on time.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import uvloop

from benchmarks.peer_apps import tally

PLACES = 100
AT_ONCE = 500


async def nothing() -> None:
    tally.end(tally.begin())


async def nap() -> None:
    began_at = tally.begin()
    await asyncio.sleep(tally.NAP_S)
    tally.end(began_at)


async def stamp(sent_at: float) -> None:
    tally.stamp(sent_at)


TASKS: dict[bytes, Callable[..., Awaitable[None]]] = {b"nothing": nothing, b"nap": nap}
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
_streams: list[Streams] = []


async def _open() -> Streams:
    url = urlsplit(os.environ["PEER_QSERVER"])
    return await asyncio.open_connection(url.hostname, url.port, limit=1 << 20)


@asynccontextmanager
async def connected() -> AsyncIterator[None]:
    _streams.append(await _open())
    yield
    _streams[0][1].close()


def _line(task: str, args: tuple[Any, ...]) -> bytes:
    body = f"{args[0]!r}" if args else f'"{task}"'
    return f"PUT bare {body}\n".encode()


async def one(task: str, *args: Any) -> None:
    reader, writer = _streams[0]
    writer.write(_line(task, args))
    await reader.readline()


async def bulk(task: str, count: int) -> None:
    reader, writer = _streams[0]
    for _ in range(count // AT_ONCE):
        writer.write(_line(task, ()) * AT_ONCE)
    for _ in range(count):
        await reader.readline()


async def work() -> None:
    """GETs on one connection, for what is free; ACKs on another, those of one turn in one line."""
    getting, asking = await _open()
    acking, settling = await _open()
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()
    ended: list[bytes] = []
    room = asyncio.Event()

    async def run(receipt: bytes, body: bytes) -> None:
        task = TASKS.get(body.strip(b'"'))
        await (stamp(float(body)) if task is None else task())
        if not ended:
            loop.call_soon(settle)
        ended.append(receipt)

    def settle() -> None:
        settling.write(b"ACK " + b" ".join(ended) + b"\n")
        ended.clear()
        room.set()

    async def pass_over() -> None:
        while await acking.read(1 << 16):
            pass

    passing = loop.create_task(pass_over())
    while not passing.done():
        room.clear()
        while len(running) >= PLACES:
            await room.wait()
            room.clear()
        asking.write(b"GET bare wait=20 count=%d\n" % (PLACES - len(running)))
        while (line := await getting.readline()).startswith(b"*"):
            _, receipt, _, body = line.split(b" ", 3)
            made = loop.create_task(run(receipt, body.rstrip()))
            running.add(made)
            made.add_done_callback(running.discard)
        if not line.startswith(b"OK"):
            raise ConnectionError(line)


if __name__ == "__main__":
    uvloop.run(work())
