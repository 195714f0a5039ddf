"""The command put: one message from an argument, or as many as stdin has lines.

Lines go out as they come, a read's worth at a time, with a bounded number of reads under way: a
file of any size needs little memory, and what `tail -f` pipes in does not wait for more. A line
is checked before it is sent, so nothing behind a bad one is stored.
"""

import asyncio
import os
import stat
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import click
import msgspec

from qclient import cli_output as output
from qclient import verbs
from qclient.cli_context import Context, Refused, pass_context, seconds, time
from qclient.client import Client
from qclient.errors import ConnectionLost, Error, ReplyError
from qclient.reports import Put
from qclient.words import shorten

CHUNK_BYTES: Final = 1 << 17
CHUNKS_READ_MAX: Final = 4
REQUESTS_MAX: Final = 8
PIECES_MAX: Final = 4096
"""Reads that may go by without a line's end, lest an endless line fill the memory."""

Progress = Callable[[int, int], None]
"""Told after each batch: messages stored, bytes read, both since the last time."""


@click.command()
@click.argument("queue")
@click.argument("body", required=False)
@click.option("--delay", type=seconds, help="Not delivered before this has passed.")
@click.option("--at", type=time, help="Not delivered before then: 2027-01-31T09:30:00Z.")
@click.option("--priority", type=click.IntRange(0, 9), help="Higher is delivered first.")
@click.option("--ttl", type=seconds, help="Dropped if not delivered by then.")
@click.option("--dedup", help="Store it only once in the queue's window; for one message.")
@click.option("--dedup-window", type=seconds, help="How long that holds, instead of the queue's.")
@click.option("--key", help="Kept and shown; list can filter by it.")
@click.option("--trace", help="Handed to the consumer.")
@click.option("--ids", is_flag=True, help="Print the id of each message, also of a bulk.")
@pass_context
def put(
    context: Context,
    *,
    queue: str,
    body: str | None,
    dedup: str | None,
    ids: bool,
    delay: float | None,
    at: datetime | None,
    priority: int | None,
    ttl: float | None,
    dedup_window: float | None,
    key: str | None,
    trace: str | None,
) -> None:
    """Store BODY, one JSON value, or every line of stdin; - is stdin too.

    Bodies are stored byte for byte. Of one message the id is printed; of many, stderr says how
    many were stored. A line that is not JSON ends it, and nothing behind that line is stored.
    """
    head = verbs.put_head(
        queue,
        delay=delay,
        at=at,
        priority=priority,
        ttl=ttl,
        key=key,
        trace=trace,
        dedup_window=dedup_window,
    )
    if body is not None and body != "-":
        _put_one(context, head, body.encode("utf-8", "surrogateescape"), dedup)
        return
    if dedup is not None:
        raise click.UsageError("--dedup is for one message: all lines would be the same one")
    if sys.stdin.isatty():
        output.note("reading JSON lines from the keyboard; Ctrl-D ends them")
    _Bulk(head, prints_ids=ids).put(context)


def _put_one(context: Context, head: bytes, body: bytes, dedup: str | None) -> None:
    wrong = fault(body.strip())
    if wrong is not None:
        raise Refused(f"the body is not JSON: {wrong}")

    async def work(client: Client) -> Put:
        return await client.put_with(head, msgspec.Raw(body), dedup)

    stored = context.run(work)
    output.line(stored.id)
    if stored.is_duplicate:
        output.note("duplicate: it was put before, and nothing was stored now")


_check: Final = msgspec.json.Decoder(msgspec.Raw).decode


def fault(line: bytes) -> str | None:
    """What is wrong with a line that should be one JSON value, or None."""
    try:
        if not line.isascii():
            line.decode()
        _check(line)
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start + 1}"
    except (msgspec.DecodeError, RecursionError) as error:
        return f"{error}: {shorten(line)}"
    return None


class _Bulk:
    """The lines of stdin on their way to the server."""

    def __init__(self, head: bytes, *, prints_ids: bool) -> None:
        self.head = head
        self.prints_ids = prints_ids
        self.stored = 0
        self.line_number = 0
        self.fault: str | None = None
        self.refused_line = 0
        self.refusal: Error | None = None
        self.progress: Progress = lambda _stored, _bytes: None

    def put(self, context: Context) -> None:
        """All of it; says how it ended."""
        try:
            with progress_bar() as self.progress:
                context.run(self.work)
        except BaseException:
            if self.stored:
                self.say()
            raise
        self.say()
        if isinstance(self.refusal, ConnectionLost):
            raise ConnectionLost(f"line {self.refused_line} and those behind: {self.refusal}")
        if self.refusal is not None:
            raise Refused(f"line {self.refused_line}: {self.refusal}")
        if self.fault is not None:
            raise Refused(self.fault)

    def say(self) -> None:
        """How many were stored."""
        one = self.stored == 1
        output.note(f"{self.stored:,} {'message is' if one else 'messages are'} stored")

    async def work(self, client: Client) -> None:
        """Send what is read, until the end or the first thing that is wrong."""
        places = asyncio.Semaphore(REQUESTS_MAX)
        tasks: set[asyncio.Task[None]] = set()
        try:
            async for lines in stdin_lines():
                await places.acquire()
                task = asyncio.create_task(self.send(client, *self.puts(client, lines)))
                task.add_done_callback(lambda _: places.release())
                task.add_done_callback(tasks.discard)
                tasks.add(task)
                if self.fault is not None or self.refusal is not None:
                    break
        finally:
            if tasks:
                await asyncio.wait(tasks)

    def puts(self, client: Client, lines: list[bytes]) -> tuple[list[bytes], list[int], int]:
        """A PUT for each line up to the first bad one, their line numbers, and the bytes read."""
        puts: list[bytes] = []
        numbers: list[int] = []
        size = 0
        for line in lines:
            self.line_number += 1
            size += len(line) + 1
            body = line.strip()
            if not body:
                continue
            wrong = fault(body)
            if wrong is None:
                request = client.put_line(self.head, msgspec.Raw(body))
                wrong = client.too_long(request)
            if wrong is not None:
                self.fault = f"line {self.line_number}: {wrong}; nothing behind it was stored"
                break
            puts.append(request)
            numbers.append(self.line_number)
        return puts, numbers, size

    async def send(self, client: Client, puts: list[bytes], numbers: list[int], size: int) -> None:
        """Run a batch and count what was stored."""
        if not puts:
            return
        try:
            outcomes = await client.run(verbs.put_lines(puts, is_repeatable=True))
        except Error as error:
            self.refuse(numbers[0], error)
            return
        ids = [outcome for outcome in outcomes if isinstance(outcome, int)]
        self.stored += len(ids)
        for number, outcome in zip(numbers, outcomes, strict=True):
            if isinstance(outcome, ReplyError):
                self.refuse(number, outcome)
                break
        if self.prints_ids:
            output.lines([b"%d" % each for each in ids])
        self.progress(len(ids), size)

    def refuse(self, number: int, error: Error) -> None:
        """Remember the first line that was refused."""
        if self.refusal is None or number < self.refused_line:
            self.refused_line, self.refusal = number, error


async def stdin_lines() -> AsyncIterator[list[bytes]]:
    """The lines of stdin, as many at a time as one read gives, without their LF."""
    pieces: list[bytes] = []
    async for chunk in stdin_chunks():
        pieces.append(chunk)
        if len(pieces) > PIECES_MAX:
            break  # no server takes such a line; it is refused as it is
        if b"\n" in chunk:
            lines = b"".join(pieces).split(b"\n")
            pieces = [lines.pop()]
            yield lines
    rest = b"".join(pieces)
    if rest:
        yield [rest]


async def stdin_chunks() -> AsyncIterator[bytes]:
    """What a thread reads from stdin, at most CHUNKS_READ_MAX reads ahead.

    The thread is a daemon, so that Ctrl-C ends the program while it waits for the keyboard.
    """
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue()
    room = threading.Semaphore(CHUNKS_READ_MAX)
    descriptor = sys.stdin.fileno()

    def read() -> None:
        chunk = b"-"
        while chunk:
            room.acquire()
            try:
                chunk = os.read(descriptor, CHUNK_BYTES)
            except OSError:
                chunk = b""
            try:
                loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            except RuntimeError:  # the loop is closed: nobody wants it any more
                return

    threading.Thread(target=read, name="stdin", daemon=True).start()
    while chunk := await chunks.get():
        room.release()
        yield chunk


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """On a terminal a bar on stderr, of bytes where stdin is a file; else nothing."""
    if not sys.stderr.isatty() or sys.stdin.isatty():
        yield lambda _stored, _bytes: None
        return
    from rich import progress  # noqa: PLC0415  slow to import, seldom needed
    from rich.console import Console  # noqa: PLC0415

    columns = (
        progress.BarColumn(),
        progress.TextColumn("{task.fields[stored]:,} stored"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("put", total=_size_of_stdin(), stored=0)
        stored = 0

        def advance(more: int, size: int) -> None:
            nonlocal stored
            stored += more
            bar.update(task, advance=size, stored=stored)

        yield advance


def _size_of_stdin() -> int | None:
    found = os.fstat(sys.stdin.fileno())
    return found.st_size if stat.S_ISREG(found.st_mode) else None


COMMANDS: Final = (put,)
