"""One socket: requests out, replies back to whoever asked, in order.

All that was sent within one turn of the event loop goes out in one write. Replies come in the
order of the requests, so a queue of the calls under way is all the bookkeeping there is. A call
whose caller was cancelled stays in its place and its reply is passed over; if that reply hands out
leases, they are given back (`Owner.on_orphan`).

A connection is never mended: when it is lost it says so once, with the calls that had no reply,
and a new one takes its place (`link.py`).
"""

import asyncio
from collections import deque
from typing import Any, Final, Protocol, cast

import msgspec

from qclient.errors import ConnectionLost, Error, ProtocolError, TimedOut
from qclient.replies import Reply, ReplyReader, Request, refusal

TURN_BYTES_MAX: Final = 1 << 18
"""What is gathered in one turn of the loop; more is written at once."""


class Call(msgspec.Struct, eq=False):
    """A request under way.

    Attributes:
        future: gets the replies, or what went wrong.
        replies: those that have come, of a request that has several.
        waiting_since: when it first found no connection, by the loop's clock.
        is_sent: it may have reached the server.
    """

    request: Request[Any]
    future: asyncio.Future[list[Reply]]
    replies: list[Reply] | None = None
    waiting_since: float | None = None
    is_sent: bool = False


class Owner(Protocol):
    """Who is told what becomes of a connection."""

    def on_lost(self, connection: "Connection", calls: list[Call], error: Error) -> None:
        """It is gone; these calls, in order, had no reply."""

    def on_orphan(self, replies: list[Reply]) -> None:
        """Leases came for a caller that was cancelled."""

    def on_room(self) -> None:
        """Replies came or the send buffer emptied: more can be sent."""


class Connection(asyncio.Protocol):
    """A connected socket. Made by `link.Dialler`.

    Args:
        owner: see `Owner`; another one can take it over.
        patience_s: how long the server may be silent while it owes a reply.
    """

    def __init__(self, owner: Owner, patience_s: float) -> None:
        self.owner = owner
        self.calls: Final[deque[Call]] = deque()
        self.is_paused = False
        self.patience_s = patience_s
        self.closed: asyncio.Future[None]
        self._reader = ReplyReader()
        self._loop: asyncio.AbstractEventLoop
        self._transport: asyncio.Transport | None = None
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._is_lone = False
        self._heard_at = 0.0
        self._watch: asyncio.TimerHandle | None = None
        self._error: Error | None = None

    # ── what the owner calls ──

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, call: Call) -> None:
        """Put a call in line; its bytes leave at the end of this turn of the loop, or before.

        One that finds nothing under way leaves at once, if the last one left alone as well: then
        there is nothing to gather, and the turn of the loop is saved.
        """
        line = call.request.line
        calls = self.calls
        if not calls:
            self._heard_at = self._loop.time()
            if self._watch is None:
                self._watch = self._loop.call_later(self.patience_s, self._look)
            transport = self._transport
            if self._is_lone and transport is not None and not transport.is_closing():
                calls.append(call)
                transport.write(line)
                return
        calls.append(call)
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(line)
        self._outgoing_bytes += len(line)
        if self._outgoing_bytes > TURN_BYTES_MAX:  # so that `is_paused` is told in time
            self._flush()

    def part(self, within_s: float) -> None:
        """Say that nothing more will be asked, and take what still comes.

        The server answers what it has read, ends a GET that waits, and closes.
        """
        self._flush()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write_eof()
        self._loop.call_later(within_s, self.fail, TimedOut("the server did not close"))

    def fail(self, error: Error) -> None:
        """Give the connection up at once."""
        if self._error is None:
            self._error = error
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Send what is to be sent, then close."""
        self._flush()
        if self._transport is not None:
            self._transport.close()

    # ── what the loop calls ──

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the loop."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._loop = asyncio.get_running_loop()
        self._heard_at = self._loop.time()
        self.closed = self._loop.create_future()

    def data_received(self, data: bytes) -> None:
        """Give each reply to its call."""
        try:
            replies = self._reader.feed(data)
        except ProtocolError as error:
            self.fail(error)
            return
        calls = self.calls
        if len(replies) == len(calls) == 1 and calls[0].request.replies == 1:
            self._deliver(calls.popleft(), replies)  # nothing else is under way
            self.owner.on_room()
            return
        self._heard_at = self._loop.time()
        at = 0
        while at < len(replies):
            if not calls:
                self._unasked(replies[at])
                return
            call = calls[0]
            if call.request.replies != 1:
                at += self._gather(call, replies[at:] if at else replies)
                continue
            calls.popleft()
            self._deliver(call, [replies[at]])
            at += 1
        self.owner.on_room()

    def eof_received(self) -> bool:
        """The server has said all; the transport closes itself."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once by the loop, whoever closed it."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        unsent = len(self._outgoing)
        self._outgoing.clear()
        calls = list(self.calls)
        self.calls.clear()
        for call in calls[: len(calls) - unsent]:
            call.is_sent = True
        self._transport = None
        self.closed.set_result(None)
        error = self._error or ConnectionLost(f"connection lost: {exc or 'closed by the server'}")
        self.owner.on_lost(self, calls, error)

    def pause_writing(self) -> None:
        """The send buffer is full."""
        self.is_paused = True

    def resume_writing(self) -> None:
        """The send buffer has room again."""
        self.is_paused = False
        self.owner.on_room()

    # ── leaves ──

    def _flush(self) -> None:
        if self._outgoing and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._outgoing))
            self._is_lone = len(self.calls) == 1
            self._outgoing.clear()
            self._outgoing_bytes = 0

    def _deliver(self, call: Call, replies: list[Reply]) -> None:
        if not call.future.done():
            call.future.set_result(replies)
        elif call.request.leases:
            self.owner.on_orphan(replies)

    def _gather(self, call: Call, replies: list[Reply]) -> int:
        """Give a call of several replies what there is for it; returns how many it took."""
        had = call.replies or []
        taken = replies[: call.request.replies - len(had)]
        call.replies = [*had, *taken] if had else taken
        if len(call.replies) == call.request.replies:
            self.calls.popleft()
            self._deliver(call, call.replies)
        return len(taken)

    def _unasked(self, reply: Reply) -> None:
        """A refusal that comes unasked says why the server closes: it has no room, say."""
        error: Error | None = refusal(reply[1])
        self.fail(error or ProtocolError(f"a reply that nobody asked for: {reply[1][:60]!r}"))

    def _look(self) -> None:
        """Has the server been silent for too long? One timer, not one for each request."""
        self._watch = None
        if not self.calls:
            return
        silent_s = self._loop.time() - self._heard_at
        if silent_s >= self.patience_s:
            self.fail(TimedOut(f"no reply for {silent_s:.0f} s", maybe_done=True))
        else:
            self._watch = self._loop.call_later(self.patience_s - silent_s, self._look)
