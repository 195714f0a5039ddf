"""Requests that wait, each on a connection of its own: GET, and RESULT.

One that waits holds up everything behind it on its connection, other ones that wait included. So
each borrows one for as long as it waits, from a small pool that grows as needed.

**When the caller is cancelled**, the server may be leasing to it at that very moment. Closing the
socket would leave those messages held by nobody until the lease ends. So the client closes only
its own side: the server then answers at once, with `OK 0` or with the messages it had just leased,
and closes; and what was leased is released, through the link, at once.

**When the connection is lost**, the GET is asked again for what is left of its time. Its lost
reply may have leased something; that comes back when the lease ends, whether one asks again or
reports an error. One lost connection can cost each GET under way one such reply, not more.
A RESULT leases nothing: it is asked again, and that is all.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from qclient import queues
from qclient.connection import Call, Connection
from qclient.errors import Closed, ConnectionLost, Error, StorageFailed
from qclient.link import Dial, Link
from qclient.replies import Reply, Request

T = TypeVar("T")

PART_S = 1.0
"""How long a connection that was parted from may take to close."""


class WaitingPool:
    """Runs GETs that wait.

    Args:
        dial: makes a connection of the link's session.
        link: for everything that must not wait: it tells when the server is back, and releases.
        connections_max: GETs that can wait at once; more wait for their turn.
        patience_s: how long the server may be silent after the GET's time is over.
    """

    def __init__(self, dial: Dial, link: Link, *, connections_max: int, patience_s: float) -> None:
        self._dial = dial
        self._link = link
        self._patience_s = patience_s
        self._places = asyncio.Semaphore(connections_max)
        self._idle: list[Connection] = []
        self._lent: set[Connection] = set()
        self._parted: set[Connection] = set()
        self._is_closed = False

    async def run(self, request: Callable[[float], Request[T]], wait_s: float) -> T:
        """The result of `request(seconds left)`, asked again after a lost connection.

        Raises:
            ReplyError: the server refused it.
            ConnectionLost: the server did not come back within the link's `retry_for`.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + wait_s
        attempt = 0
        async with self._places:
            while True:
                left_s = ends_at - loop.time()
                try:
                    return await self._ask(request(max(left_s, 0)), left_s)
                except (ConnectionLost, StorageFailed):
                    if self._is_closed:
                        raise Closed("the client was closed") from None
                await self._link.run(queues.ping())  # the link knows when the server is back
                await asyncio.sleep(self._link.backoff.delay_s(attempt))
                attempt += 1
                if ends_at <= loop.time():
                    return await self._link.run(request(0))

    async def close(self) -> None:
        """Part from every connection, so that nothing stays leased to a GET that is gone."""
        self._is_closed = True
        for connection in [*self._idle, *self._lent]:
            self._part(connection)
        if self._parted:
            await asyncio.wait([connection.closed for connection in self._parted])

    # ── what a connection tells ──

    def on_lost(self, connection: Connection, calls: list[Call], error: Error) -> None:
        """Its request is told."""
        self._parted.discard(connection)
        self._lent.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        for call in calls:
            if call.is_sent and call.request.leases:
                self._link.lost_gets += 1
            if not call.future.done():
                lost = ConnectionLost(str(error), maybe_done=call.is_sent)
                lost.__cause__ = error
                call.future.set_exception(lost)

    def on_orphan(self, replies: list[Reply]) -> None:
        """Messages came for a GET that is gone."""
        self._link.on_orphan(replies)

    def on_room(self) -> None:
        """A connection here has one request at a time."""

    # ── leaves ──

    async def _ask(self, request: Request[T], left_s: float) -> T:
        connection = await self._borrow()
        call = Call(request, asyncio.get_running_loop().create_future())
        connection.patience_s = max(left_s, 0) + self._patience_s
        connection.send(call)
        try:
            result = request.parse(await call.future)
        except asyncio.CancelledError:
            self._link.abandon(call)
            self._part(connection)
            raise
        finally:
            self._lent.discard(connection)
        if connection.is_open and not self._is_closed:
            self._idle.append(connection)
        return result

    async def _borrow(self) -> Connection:
        if self._is_closed:
            raise Closed("the client is closed")
        if self._idle:
            connection = self._idle.pop()
        else:
            connection = await self._dial()
            connection.owner = self
        self._lent.add(connection)
        return connection

    def _part(self, connection: Connection) -> None:
        if connection.is_open:
            self._parted.add(connection)
            connection.part(PART_S)
