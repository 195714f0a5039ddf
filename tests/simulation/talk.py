"""A client's end of a connection: requests out, replies back in their order."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass

from tests.simulation.loop import SimLoop
from tests.simulation.network import Network
from tests.simulation.violation import Violation


@dataclass(frozen=True)
class Reply:
    """One reply.

    Attributes:
        rows: its data lines, without `* `.
        last: the line that ends it.
        at: when that came.
    """

    rows: tuple[bytes, ...]
    last: bytes
    at: float

    @property
    def is_ok(self) -> bool:
        """Whether the request was carried out."""
        return self.last.startswith(b"OK")

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows if it was."""
        return self.last.startswith(b"ERR storage")

    @property
    def count(self) -> int:
        """The number behind OK."""
        return int(self.last.split()[1])


@dataclass(frozen=True)
class Delivered:
    """A row of a GET's reply; the body's token tells whose it is."""

    id: int
    number: int
    queue: str
    body: bytes
    token: int
    deliveries: int = 1
    failures: int = 0
    losses: int = 0


def read_delivered(row: bytes) -> Delivered:
    """Read a row of a GET's reply."""
    head, brace, rest = row.partition(b" {")
    receipt, queue, *options = head.decode().split()
    message_id, number = map(int, receipt.split("."))
    body = brace[1:] + rest
    words = dict(option.split("=") for option in options)
    counters = {
        name: int(words[name]) for name in ("deliveries", "failures", "losses") if name in words
    }
    return Delivered(message_id, number, queue, body, json.loads(body)["token"], **counters)


@dataclass(eq=False)
class _Asked:
    line: bytes
    wait_s: float
    answer: "asyncio.Future[Reply | None]"


class Talk:
    """A connection with the server.

    Attributes:
        is_over: the connection is gone; what was asked and not answered is unknown.
    """

    def __init__(self, loop: SimLoop, network: Network) -> None:
        self.is_over = False
        self._loop = loop
        self._pending: deque[_Asked] = deque()
        self._first_since = 0.0
        self._buffer = b""
        self._rows: list[bytes] = []
        self._ended = loop.create_future()
        self._wire = network.connect(self._hear, self._lost)
        if self._wire is None:
            self.is_over = True

    @property
    def unanswered(self) -> int:
        """How many requests are under way."""
        return len(self._pending)

    def ask(self, line: bytes, wait_s: float = 0.0) -> "asyncio.Future[Reply | None]":
        """Send a request; the future gives its reply, None if that is never known."""
        answer: asyncio.Future[Reply | None] = self._loop.create_future()
        if self.is_over or self._wire is None:
            answer.set_result(None)
            return answer
        if not self._pending:
            self._first_since = self._loop.time()
        self._pending.append(_Asked(line, wait_s, answer))
        self._wire.say(line + b"\n")
        return answer

    def end_input(self) -> None:
        """Close this side."""
        if self._wire is not None and not self.is_over:
            self._wire.end_input()

    def cut(self) -> None:
        """Vanish."""
        if self._wire is not None and not self.is_over:
            self._wire.cut()
            self._lost()

    def check_patience(self, patience_s: float) -> None:
        """Raise `Violation` if the server owes a reply for too long."""
        if self._pending and not self.is_over:
            first = self._pending[0]
            late = self._loop.time() - self._first_since - first.wait_s
            if late > patience_s:
                raise Violation(f"no answer for {late:.1f} s to {first.line!r}")

    def _hear(self, data: bytes) -> None:
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            if line.startswith(b"* "):
                self._rows.append(line[2:])
                continue
            if not self._pending:
                if not line.startswith((b"ERR storage", b"ERR busy the server stops")):
                    raise Violation(f"a reply to nothing: {line!r}")
                continue
            asked = self._pending.popleft()
            rows, self._rows = tuple(self._rows), []
            self._first_since = self._loop.time()
            asked.answer.set_result(Reply(rows, line, self._loop.time()))

    def _lost(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        pending, self._pending = self._pending, deque()
        for asked in pending:
            asked.answer.set_result(None)
        self._ended.set_result(None)
