"""One client's socket.

What it reads goes to the client's conversation, what that answers goes out: at once, if nothing
was changed and nothing is held before it, else when the journal has stored the change. The clock
is read once for each piece that comes in.

Everything that a client can pile up is bounded, by not reading from it for a while: lines that it
sent ahead, replies that are held for the journal, replies that it does not take.
"""

import asyncio
import fcntl
import struct
import termios
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from qserver.config import (
    HELD_BYTES_MAX,
    LINES_PER_LOOK,
    LINES_PER_TURN,
    LINGER_PAUSE_S,
    LINGER_S,
)
from qserver.dispatch.client import Seen
from qserver.dispatch.conversation import Conversation

if TYPE_CHECKING:
    from qserver.server.server import Server

STORAGE_ERROR: Final = b"ERR storage the journal could not be written: the server stops\n"


class Connection:
    """A client, between the loop and its conversation.

    An `asyncio.Protocol` by its methods, not by descent: what descends from a class that is not
    compiled can't be compiled either.

    Attributes:
        number: who connected later has the higher one; 0 where there is no room for it.
        connected_at: monotonic second.
    """

    def __init__(self, server: "Server") -> None:
        self.number = 0
        self.connected_at = self._heard_at = server.now()
        self._server = server
        self._conversation = Conversation(server.broker, server.grammar, server, self._woken)
        self._transport: asyncio.Transport | None = None
        self._held: deque[int] = deque()
        self._held_bytes = 0
        self._heard_bytes = 0
        self._is_reading = True
        self._is_closing = False
        self._may_write = True
        self._stall_timer: asyncio.TimerHandle | None = None
        self._sent_bytes = 0
        self._taken_bytes = 0

    # --- what the loop tells ------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=HELD_BYTES_MAX)
        connections = self._server.connections
        if not connections.add(self):
            self._send(connections.refusal)
            self._close()

    def data_received(self, data: bytes) -> None:
        """The client has sent something."""
        if self._is_closing:
            self._throw_away_slowly()
        else:
            self._heard_bytes += len(data)
            self._conversation.hear(data)
            self._heard_at = now = self._server.now()
            self.go_on(now)
            self._server.heard(now)

    def eof_received(self) -> bool:
        """The client has closed its side; answers whether the other stays open for replies."""
        if self._is_closing:
            return False
        self.stop_hearing()
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's call
        """Neither side can be used any more."""
        self._transport = None
        self._stop_stall_timer()
        self._conversation.end(self._server.now())
        self._server.disconnected(self)

    def pause_writing(self) -> None:
        """The client does not take its replies: it is not listened to until it does."""
        self._may_write = False
        self._watch_for_stall()

    def resume_writing(self) -> None:
        """The client has taken its replies."""
        self._may_write = True
        self._stop_stall_timer()
        self._server.go_on_soon(self)

    # --- what the server tells ------------------------------------------------------------------

    def go_on(self, now: float) -> None:
        """Answer what was heard, as far as the client's turn goes."""
        if self._transport is None or self._is_closing:
            return
        conversation = self._conversation
        client = conversation.client
        if self._may_write and self._held_bytes < HELD_BYTES_MAX:
            reply = conversation.go_on(now, LINES_PER_LOOK)
            if conversation.backlog:
                reply = self._go_on_longer(reply, now)
            if reply:
                self._send_or_hold(reply)
            client.wrote = False
        if not self._is_reading or not self._may_write or conversation.backlog or self._held_bytes:
            self._read_or_pause()
        if client.is_gone or client.is_leaving:
            self._close_if_over()

    def _go_on_longer(self, reply: bytes, now: float) -> bytes:
        """Answer more of what was heard, until the client's turn is over.

        A request can take a thousand times as long as another, and its reply be a million times as
        long: so a turn is measured in time and bytes.
        """
        conversation = self._conversation
        server = self._server
        over_at = server.now() + server.rota.share_s
        replies = [reply]
        size = len(reply)
        for _ in range(LINES_PER_LOOK, LINES_PER_TURN, LINES_PER_LOOK):
            if size >= HELD_BYTES_MAX or conversation.is_waiting or server.now() >= over_at:
                break
            replies.append(conversation.go_on(now, LINES_PER_LOOK))
            size += len(replies[-1])
            if not conversation.backlog:
                break
        if conversation.backlog and not conversation.is_waiting:
            server.go_on_soon(self)
        return b"".join(replies)

    def _send_or_hold(self, reply: bytes) -> None:
        """Send the reply, or let it wait for the journal, if that keeps anything.

        While it waits it counts with the requests that it answers, since they wait for the disk
        too: else one client with large bodies would make batches that everybody waits for.
        """
        size = len(reply)
        if not self._conversation.backlog:
            size += self._heard_bytes
            self._heard_bytes = 0
        if (self._conversation.client.wrote and self._server.keeps) or self._held:
            self._held.append(size)
            self._held_bytes += size
            self._server.hold(self, reply)
        else:
            self._send(reply)

    def seen(self) -> Seen:
        """What CLIENTS tells of it."""
        conversation = self._conversation
        return Seen(
            self.number,
            conversation.client,
            self.connected_at,
            self._heard_at,
            conversation.requests,
        )

    def release(self, reply: bytes) -> None:
        """A held reply may be sent: what it tells of is stored."""
        self._held_bytes -= self._held.popleft()
        if self._transport is not None and not self._is_closing:
            self._send(reply)
            if not self._is_reading or self._conversation.is_over:
                self._server.go_on_soon(self)

    def stop_hearing(self) -> None:
        """No more is heard from the client; it is answered what it has asked, then closed."""
        if self._transport is not None and not self._is_closing:
            self._conversation.stop_hearing()
            self._server.go_on_soon(self)

    def abandon(self) -> None:
        """The journal has failed while a reply was held: whether that was done is unknown."""
        self.part(STORAGE_ERROR)

    def part(self, error: bytes) -> None:
        """Say why, and close."""
        if self._transport is not None and not self._is_closing:
            self._send(error)
            self._close()

    @property
    def owes_token(self) -> bool:
        """Whether nothing is done for the client yet."""
        return self._conversation.client.is_stranger and not self._is_closing

    def abort(self) -> None:
        """Close now, whatever was not sent."""
        if self._transport is not None:
            self._transport.abort()

    # --- flow control -----------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        assert self._transport is not None
        self._sent_bytes += len(data)
        self._transport.write(data)

    def _woken(self) -> None:
        """The GET that waited is answered."""
        self._server.go_on_soon(self)

    def _read_or_pause(self) -> None:
        assert self._transport is not None
        conversation = self._conversation
        should_read = (
            self._may_write
            and self._held_bytes < HELD_BYTES_MAX
            and conversation.backlog_bytes < HELD_BYTES_MAX
            and (not conversation.backlog or conversation.is_waiting)
        )
        if should_read != self._is_reading and not self._transport.is_closing():
            self._is_reading = should_read
            if should_read:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _close_if_over(self) -> None:
        if self._conversation.is_over and not self._held:
            self._close()

    def _close(self) -> None:
        """Close behind the last reply.

        A socket that is closed with bytes unread is reset, and the reset can overtake the reply:
        so this side is closed first, and what still comes is read and thrown away for a moment.
        """
        assert self._transport is not None
        if self._is_closing:
            return
        self._is_closing = True
        if self._conversation.client.is_impostor:
            host, *_ = self._transport.get_extra_info("peername") or ("gone",)
            self._server.connections.note_unauthorized(host, self._server.now())
        if self._conversation.client.is_gone or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        if not self._is_reading:
            self._is_reading = True
            self._transport.resume_reading()
        asyncio.get_running_loop().call_later(LINGER_S, self._end_lingering)

    def _throw_away_slowly(self) -> None:
        """Read no more for a moment: else the loop would read whatever comes, and nothing else."""
        assert self._transport is not None
        if self._is_reading and not self._transport.is_closing():
            self._is_reading = False
            self._transport.pause_reading()
            asyncio.get_running_loop().call_later(LINGER_PAUSE_S, self._throw_away_more)

    def _throw_away_more(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._is_reading = True
            self._transport.resume_reading()

    def _end_lingering(self) -> None:
        """The socket is closed, when the client has taken its last replies or takes no more."""
        if self._transport is None:
            return
        self._transport.close()
        if self._stall_timer is None and self._transport.get_write_buffer_size():
            self._watch_for_stall()

    def _watch_for_stall(self) -> None:
        """Look again in a while: a client that takes something is slow, one that doesn't is cut."""
        assert self._transport is not None
        self._taken_bytes = self._count_taken(self._transport)
        self._stall_timer = asyncio.get_running_loop().call_later(
            self._server.config.stall_s_max, self._look_for_stall
        )

    def _count_taken(self, transport: asyncio.Transport) -> int:
        """Bytes that the client's machine has confirmed.

        The system's own buffer counts as not taken: it may hold megabytes, and makes room in large
        steps only.
        """
        waiting = transport.get_write_buffer_size()
        sock = transport.get_extra_info("socket")
        if sock is not None:
            waiting += struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0]
        return self._sent_bytes - waiting

    def _look_for_stall(self) -> None:
        self._stall_timer = None
        if self._transport is None:
            return
        if self._count_taken(self._transport) > self._taken_bytes:
            self._watch_for_stall()
        else:
            self._server.connections.note_stalled(self._server.config.stall_s_max)
            self.abort()

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
