"""A client that asks for whatever it may, sends ahead, and comes back whenever it is cut off.

Everything that it asked and heard is in its ledger.
"""

import contextlib
import socket
import struct
import threading
import time
from random import Random
from typing import BinaryIO, Final

from tests.e2e.ledger import Delivery, Ledger, Presence, Put, Settling

GRACE_S: Final = 0.6
LEASES_S: Final = (0.3, 1.0, 5.0)
VERBS: Final = (
    b"PUT",
    b"PUT",
    b"PUT",
    b"GET",
    b"GET",
    b"ACK",
    b"ACK",
    b"NACK",
    b"RELEASE",
    b"TOUCH",
)
AHEAD_MAX: Final = 12
HELD_MAX: Final = 20

Asked = Put | Settling | tuple[str, float, float]
"""A request under way; a GET is its queue, when it was asked, and the lease."""


class RestlessClient(threading.Thread):
    """One session, one connection after the other, until `stop` is set."""

    def __init__(self, name: str, port: int, queues: list[str], seed: int) -> None:
        super().__init__(name=name)
        self.ledger = Ledger()
        self.stop = threading.Event()
        self.fault: BaseException | None = None
        self._port = port
        self._queues = queues
        self._chance = Random(f"{seed}-{name}")
        self._held: list[tuple[int, int]] = []
        self._puts = 0

    def run(self) -> None:
        """Come back again and again."""
        try:
            while not self.stop.is_set():
                with contextlib.suppress(OSError):
                    self._visit()
                # Mostly well within the grace, sometimes past it.
                away_s = 2 * GRACE_S if self._chance.random() < 0.03 else 0.02
                self.stop.wait(away_s)
        except BaseException as fault:  # noqa: BLE001 - told where the test looks
            self.fault = fault

    def _visit(self) -> None:
        with (
            socket.create_connection(("127.0.0.1", self._port), timeout=5) as sock,
            sock.makefile("rb") as replies,
        ):
            sock.sendall(b"HELLO session=%b grace=%.1f\n" % (self.name.encode(), GRACE_S))
            if not replies.readline().startswith(b"OK "):
                return
            now = time.monotonic()
            presence = Presence(self.name, GRACE_S, now, now)
            self.ledger.presences.append(presence)
            while not self.stop.is_set():
                asked, lines = self._requests()
                sock.sendall(lines)
                for request in asked:
                    self._hear(request, replies)
                    presence.last = request[1] if isinstance(request, tuple) else request.asked_at
                if self._chance.random() < 0.01:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return

    # --- what it asks ---------------------------------------------------------------------------

    def _requests(self) -> tuple[list[Asked], bytes]:
        asked: list[Asked] = []
        lines = []
        for _ in range(self._chance.randint(1, AHEAD_MAX)):
            verb = self._chance.choice(VERBS)
            if verb == b"PUT":
                request, line = self._put()
            elif verb == b"GET" and len(self._held) < HELD_MAX:
                request, line = self._get()
            elif verb not in (b"PUT", b"GET") and self._held:
                request, line = self._settle(verb)
            else:
                continue
            asked.append(request)
            lines.append(line)
        return asked, b"".join(lines)

    def _put(self) -> tuple[Asked, bytes]:
        self._puts += 1
        pad = "x" * self._chance.choice((0, 10, 100, 2000))
        body = f'{{"by": "{self.name}", "n": {self._puts}, "pad": "{pad}"}}'.encode()
        put = Put(self._chance.choice(self._queues), body, time.monotonic())
        self.ledger.puts.append(put)
        return put, b"PUT %b %b\n" % (put.queue.encode(), body)

    def _get(self) -> tuple[Asked, bytes]:
        queue = self._chance.choice(self._queues)
        lease_s = self._chance.choice(LEASES_S)
        count = self._chance.randint(1, 5)
        line = b"GET %b count=%d lease=%.1f\n" % (queue.encode(), count, lease_s)
        return (queue, time.monotonic(), lease_s), line

    def _settle(self, verb: bytes) -> tuple[Asked, bytes]:
        message, number = self._chance.choice(self._held)
        settling = Settling(verb.decode(), message, number, time.monotonic())
        option = b""
        if verb == b"TOUCH":
            settling.lease_s = self._chance.choice(LEASES_S)
            option = b" lease=%.1f" % settling.lease_s
        else:
            self._held.remove((message, number))
            option = b" delay=0" if verb == b"NACK" else b""
        self.ledger.settlings.append(settling)
        return settling, b"%b %d.%d%b\n" % (verb, message, number, option)

    # --- what it hears --------------------------------------------------------------------------

    def _hear(self, request: Asked, replies: BinaryIO) -> None:
        rows, end = read_reply(replies)
        now = time.monotonic()
        if end.startswith(b"ERR "):
            self.ledger.oddities.append(f"{request} was answered {end!r}")
        elif isinstance(request, Put):
            request.message = int(end.split()[1])
        elif isinstance(request, Settling):
            request.heard_at = now
            request.is_done = end == b"OK 1\n"
        else:
            queue, asked_at, lease_s = request
            for row in rows:
                delivery = read_delivery(row, queue, self.name, asked_at, now, lease_s)
                self.ledger.deliveries.append(delivery)
                self._held.append((delivery.message, delivery.number))


def read_reply(replies: BinaryIO) -> tuple[list[bytes], bytes]:
    """The data lines of the next reply, and its last line.

    Raises:
        ConnectionError: it did not come.
    """
    rows = []
    while (line := replies.readline()).startswith(b"* "):
        rows.append(line)
    if not line.endswith(b"\n"):
        raise ConnectionError("cut off within a reply")
    return rows, line


def read_delivery(
    row: bytes, queue: str, session: str, asked_at: float, heard_at: float, lease_s: float
) -> Delivery:
    """A data line of a GET's reply."""
    body_at = row.index(b' {"')
    _, receipt, said, *words = row[:body_at].split()
    assert said.decode() == queue
    message, number = map(int, receipt.split(b"."))
    is_first = not any(word.startswith(b"deliveries=") for word in words)
    body = row[body_at + 1 : -1]
    return Delivery(queue, message, number, body, session, asked_at, heard_at, lease_s, is_first)
