"""A connection that comes back, and what becomes of the requests that it had under way.

                      ┌──────── reply ────────► result, or the error of an `ERR`
                      │
    run(request) ──► sent ── connection lost ──┬── repeatable, or not sent yet ──► held ─┐
       ▲              ▲                        └── else ──► ConnectionLost(maybe_done)   │
       │              └──────────── connected again ◄────────────────────────────────────┤
       │                                                                                 │
       └ waits while too many are under way          `retry_for` over ──► ConnectionLost ◄┘

Reconnecting begins at once, whether somebody waits or not, so that a session's leases are kept; it
goes on until the link is closed. Each request gives it `retry_for` seconds of its own. An answer
`ERR storage` leaves in doubt what was done, and the server closes: it counts as a lost connection.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from qclient.backoff import Backoff
from qclient.connection import Call, Connection
from qclient.errors import Closed, ConnectionLost, Error, StorageFailed
from qclient.replies import Reply, Request
from qclient.verbs import leased, release

T = TypeVar("T")

CLOSE_S: Final = 1.0
"""How long a server that takes nothing may hold up closing."""

Dial = Callable[[], Awaitable[Connection]]
"""Connects and says HELLO. Raises ConnectionLost, or the refusal's ReplyError."""


class Link:
    """Runs requests over one connection at a time.

    Args:
        dial: makes a connection that has said HELLO.
        retry_for: seconds that a request waits for the connection to come back.
        in_flight_max: requests that may be under way; more wait.
        backoff: delays between attempts to connect.

    Attributes:
        lost_gets: how many GETs lost their reply with a connection: each may have leased what
            nobody knows of.
    """

    def __init__(
        self, dial: Dial, *, retry_for: float, in_flight_max: int, backoff: Backoff
    ) -> None:
        self.retry_for = retry_for
        self.backoff = backoff
        self.lost_gets = 0
        self._dial = dial
        self._in_flight_max = in_flight_max
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._held: deque[Call] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._redialling: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._last_error: Error | None = None
        self._is_closed = False

    async def open(self) -> None:
        """Connect for the first time.

        Raises:
            Error: what `dial` raised.
        """
        self._adopt(await self._dial())

    async def run(self, request: Request[T]) -> T:
        """The result of a request.

        Raises:
            ReplyError: the server refused it.
            ConnectionLost: see the picture above.
        """
        connection = self._connection
        most = self._in_flight_max
        if connection is None or connection.is_paused or len(connection.calls) >= most:
            await self._wait_room()
            connection = self._connection
        call = Call(request, self._loop.create_future())
        if connection is None:
            self._hold(call)
        else:
            connection.send(call)
        while True:
            try:
                return request.parse(await call.future)
            except asyncio.CancelledError:
                self.abandon(call)
                raise
            except StorageFailed as error:
                call = self._repeat(call, error)

    def abandon(self, call: Call) -> None:
        """The caller was cancelled; leases may have been on their way to it already."""
        future = call.future
        has_reply = future.done() and not future.cancelled() and future.exception() is None
        if has_reply and call.request.leases:
            self.on_orphan(future.result())

    async def close(self) -> None:
        """Close; what is under way fails with Closed."""
        self._is_closed = True
        if self._redialling is not None:
            self._redialling.cancel()
            await asyncio.wait([self._redialling])
        if self._expiry is not None:
            self._expiry.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            timer = self._loop.call_later(CLOSE_S, connection.fail, Closed("the client was closed"))
            await connection.closed
            timer.cancel()
        held, self._held = self._held, deque()
        for call in held:
            self._hold(call)
        self.on_room()

    # ── what a connection tells ──

    def on_lost(self, connection: Connection, calls: list[Call], error: Error) -> None:
        """Hold what can be repeated, fail the rest, connect again."""
        self._last_error = error
        if self._connection is connection:
            self._connection = None
        for call in calls:
            if call.request.leases and call.is_sent:
                self.lost_gets += 1
            if call.request.is_repeatable or not call.is_sent or self._is_closed:
                self._hold(call)
            else:
                text = f"{error}; whether the request was carried out is unknown"
                _fail(call, ConnectionLost(text, maybe_done=True), error)
        self._redial()
        self.on_room()

    def on_orphan(self, replies: list[Reply]) -> None:
        """Give back what was leased for a caller that was cancelled."""
        receipts = leased(replies)
        if receipts and not self._is_closed:
            future: asyncio.Future[list[Reply]] = self._loop.create_future()
            future.add_done_callback(_look_away)
            self._submit(Call(release(receipts), future))

    def on_room(self) -> None:
        """Wake as many as have room."""
        if not self._waiters:
            return
        room = len(self._waiters) if self._is_closed else self._room()
        while room > 0 and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                room -= 1

    # ── leaves ──

    def _is_full(self) -> bool:
        connection = self._connection
        if connection is None:
            return len(self._held) >= self._in_flight_max
        return connection.is_paused or len(connection.calls) >= self._in_flight_max

    def _room(self) -> int:
        connection = self._connection
        if connection is None:
            return self._in_flight_max - len(self._held)
        return 0 if connection.is_paused else self._in_flight_max - len(connection.calls)

    async def _wait_room(self) -> None:
        while self._is_full() and not self._is_closed:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if not waiter.cancelled():
                    self.on_room()  # the turn was given: pass it on
                raise

    def _submit(self, call: Call) -> None:
        connection = self._connection
        if connection is not None:
            connection.send(call)
        else:
            self._hold(call)

    def _repeat(self, call: Call, error: StorageFailed) -> Call:
        """The same request again, on another connection; raises `error` where it can't be."""
        if not call.request.is_repeatable:
            raise error
        again = Call(call.request, self._loop.create_future(), waiting_since=call.waiting_since)
        self._last_error = error
        if self._connection is not None:
            self._connection.fail(error)
            self._connection = None
        self._hold(again)
        return again

    def _hold(self, call: Call) -> None:
        """Keep a call until there is a connection, but not for ever."""
        if call.future.done():
            return
        now = self._loop.time()
        if call.waiting_since is None:
            call.waiting_since = now
        gives_up_at = call.waiting_since + self.retry_for
        if self._is_closed:
            _fail(call, Closed("the client is closed"))
        elif now >= gives_up_at:
            self._give_up(call)
        else:
            call.replies = None
            self._held.append(call)
            self._expire_at(gives_up_at)
            self._redial()

    def _expire_at(self, at: float) -> None:
        if math.isinf(at) or (self._expiry is not None and self._expiry.when() <= at):
            return
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = self._loop.call_at(at, self._expire)

    def _expire(self) -> None:
        """Fail the calls that have waited for `retry_for`."""
        self._expiry = None
        held, self._held = self._held, deque()
        for call in held:
            self._hold(call)
        self.on_room()

    def _give_up(self, call: Call) -> None:
        why = self._last_error
        text = f"no connection for {self.retry_for:g} s: {why}"
        _fail(call, ConnectionLost(text, maybe_done=call.is_sent), why)

    def _redial(self) -> None:
        is_under_way = self._redialling is not None and not self._redialling.done()
        if self._connection is None and not self._is_closed and not is_under_way:
            self._redialling = self._loop.create_task(self._connect_again())

    async def _connect_again(self) -> None:
        attempt = 0
        while True:
            await asyncio.sleep(self.backoff.delay_s(attempt))
            attempt += 1
            try:
                connection = await self._dial()
            except Error as error:
                self._last_error = error
                continue
            self._adopt(connection)
            return

    def _adopt(self, connection: Connection) -> None:
        connection.owner = self
        self._connection = connection
        held, self._held = self._held, deque()
        for call in held:
            if not call.future.done():
                connection.send(call)
        self.on_room()


def _fail(call: Call, error: Error, cause: BaseException | None = None) -> None:
    if not call.future.done():
        error.__cause__ = cause
        call.future.set_exception(error)


def _look_away(future: asyncio.Future[Any]) -> None:
    """Nobody waits for it; what is lost comes back when its lease ends."""
    if not future.cancelled():
        future.exception()
