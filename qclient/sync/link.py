"""Requests over connections that may be lost, and what becomes of them then.

The same picture as in `qclient/link.py`, drawn by the thread that asks: nobody else reconnects.

    run(request) ──► sent ──► result, or the error of an `ERR`
       ▲              │
       │              └── connection lost ──┬── repeatable, or not sent yet ──► pause ──┐
       │                                    └── else ──► ConnectionLost(maybe_done)     │
       └────────────────────────────────────────────────────────────────────────────────┤
                                                 `retry_for` over ──► ConnectionLost ◄──┘

**Broken off** (Ctrl-C, a green thread's timeout) a request takes its connection with it. The
server may be leasing to a GET at that moment: so the client closes its own side, reads what still
comes, and releases it, before the exception goes on.
"""

import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar

import msgspec

from qclient import queues
from qclient.backoff import Backoff
from qclient.errors import Closed, ConnectionLost, Error, ProtocolError, StorageFailed
from qclient.replies import Reply, Request
from qclient.sync.connection import Connection
from qclient.sync.pool import Pool
from qclient.verbs import leased, release

T = TypeVar("T")

PART_S: Final = 1.0
"""How long a server may take to answer one who leaves."""

CLOSING: Final = (b"ERR storage", b"ERR too-long", b"ERR http", b"ERR busy")
"""What the server closes after."""


class Call(msgspec.Struct):
    """A request under way.

    Attributes:
        waits: it is a request that waits.
        patience_s: how long the server may be silent.
        waiting_since: when it first found no connection, by the link's clock.
        attempt: how often it was tried again.
        is_sent: it may have reached the server.
    """

    request: Request[Any]
    waits: bool
    patience_s: float
    waiting_since: float | None = None
    attempt: int = 0
    is_sent: bool = False


class Link:
    """Runs requests, for any number of threads.

    Args:
        pool: where connections come from.
        retry_for: seconds that a request tries to find a connection again.
        patience_s: how long the server may be silent while it owes a reply.
        backoff: delays between attempts.
        clock: seconds, ever growing.
        pause: lets so many of them pass.

    Attributes:
        backoff: the same.
        lost_gets: how many GETs lost their reply with a connection: each may have leased what
            nobody knows of.
    """

    def __init__(
        self,
        pool: Pool,
        *,
        retry_for: float,
        patience_s: float,
        backoff: Backoff,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.backoff = backoff
        self.lost_gets = 0
        self._pool = pool
        self._retry_for = retry_for
        self._patience_s = patience_s
        self._clock = clock
        self._pause = pause

    def run(self, request: Request[T]) -> T:
        """The result of a request.

        Raises:
            ReplyError: the server refused it.
            ConnectionLost: see the picture above.
        """
        call = Call(request, waits=False, patience_s=self._patience_s)
        with self._pool.places:
            while True:
                try:
                    replies = self._ask(call)
                except Error as error:
                    self._wait_again(call, error)
                    continue
                try:
                    return request.parse(replies)
                except StorageFailed as error:
                    if not request.is_repeatable:
                        raise
                    self._wait_again(call, error)

    def run_waiting(self, request: Callable[[float], Request[T]], wait_s: float) -> T:
        """The result of `request(seconds left)`, which waits, asked again after a lost connection.

        Raises:
            ReplyError: the server refused it.
            ConnectionLost: the server did not come back within `retry_for`.
        """
        ends_at = self._clock() + wait_s
        attempt = 0
        with self._pool.waiting:
            while True:
                left_s = max(ends_at - self._clock(), 0)
                asked = request(left_s)
                call = Call(asked, waits=True, patience_s=left_s + self._patience_s)
                try:
                    return asked.parse(self._ask(call))
                except (ConnectionLost, StorageFailed):
                    self.run(queues.ping())  # says when the server is back, or that it is not
                self._pause(self.backoff.delay_s(attempt))
                attempt += 1
                if ends_at <= self._clock():
                    return self.run(request(0))

    # ── leaves ──

    def _ask(self, call: Call) -> list[Reply]:
        """The replies to one attempt."""
        connection = self._pool.take(self._left_s(call), waits=call.waits)
        call.is_sent = True
        try:
            replies = connection.exchange(call.request, call.patience_s)
        except Error as error:
            self._pool.drop(connection)
            self.lost_gets += call.request.leases
            if isinstance(error, ProtocolError):
                raise ConnectionLost(str(error)) from error
            raise
        except BaseException:
            self._leave(connection, call.request)
            raise
        if replies[-1][1].startswith(CLOSING):
            self._pool.drop(connection)
        else:
            self._pool.give(connection)
        if call.request.leases and self._pool.is_closed and leased(replies):
            self._give_back(replies)
            raise Closed("the client was closed")
        return replies

    def _left_s(self, call: Call) -> float:
        """Seconds until a call gives up."""
        if call.waiting_since is None:
            return math.inf
        return call.waiting_since + self._retry_for - self._clock()

    def _wait_again(self, call: Call, error: Error) -> None:
        """Let time pass before the next attempt, or raise what a call ends with."""
        if self._pool.is_closed:
            raise Closed("the client was closed") from error
        if call.is_sent and not call.request.is_repeatable:
            text = f"{error}; whether the request was carried out is unknown"
            raise ConnectionLost(text, maybe_done=True) from error
        if call.waiting_since is None:
            call.waiting_since = self._clock()
        left_s = self._left_s(call)
        if left_s <= 0:
            text = f"no connection for {self._retry_for:g} s: {error}"
            raise ConnectionLost(text, maybe_done=call.is_sent) from error
        self._pause(min(self.backoff.delay_s(call.attempt), left_s))
        call.attempt += 1

    def _leave(self, connection: Connection, request: Request[Any]) -> None:
        """Break a request off; what was leased to it is given back."""
        try:
            if request.leases:
                self._give_back(connection.part(PART_S))
        finally:
            self._pool.drop(connection)

    def _give_back(self, replies: list[Reply]) -> None:
        """Release what nobody takes; where that fails it comes back when its lease ends."""
        receipts = leased(replies) if replies else []
        if not receipts:
            return
        with suppress(Error):
            connection = self._pool.dial(PART_S)
            try:
                connection.exchange(release(receipts), PART_S)
            finally:
                connection.close()
