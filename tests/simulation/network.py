"""A network: bytes under way, late and in pieces, until a connection is cut.

    client ── say ──► pieces, one after the other ──► the server's protocol
           ◄── hear ── pieces ◄── write ── the server's transport (a `Wire`)

Either side can vanish at any time, with bytes under way in both directions. A server whose process
is killed leaves what it has written to the system, which still delivers it; one whose machine lost
power doesn't.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from random import Random
from typing import Any

from tests.simulation.loop import SimLoop

Hear = Callable[[bytes], None]


class Network:
    """Where one server listens and clients connect.

    Attributes:
        wires: the connections that there are.
    """

    def __init__(self, loop: SimLoop, chance: Random) -> None:
        self.wires: dict[Wire, None] = {}
        self._loop = loop
        self._chance = chance
        self._factory: Callable[[], asyncio.Protocol] | None = None
        self._context = copy_context()
        loop.network = self

    def listen(self, factory: Callable[[], asyncio.Protocol]) -> "Listener":
        """The process that calls this is connected to from now on."""
        self._factory = factory
        self._context = copy_context()
        return Listener(self)

    def stop_listening(self) -> None:
        """Connections are refused."""
        self._factory = None

    def connect(self, hear: Hear, lost: Callable[[], None]) -> "Wire | None":
        """A client's new connection; None if nobody listens."""
        if self._factory is None:
            return None
        wire = Wire(self, self._loop, self._chance, self._factory, self._context, hear, lost)
        self.wires[wire] = None
        return wire

    def server_died(self, *, delivers: bool) -> None:
        """The server's process is gone; what it wrote still arrives, or doesn't."""
        self.stop_listening()
        for wire in list(self.wires):
            wire.server_died(delivers=delivers)


class Listener:
    """As asyncio's server."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.sockets = [self]

    def getsockname(self) -> tuple[str, int]:
        """Where that is."""
        return "simulated", 7711

    def close(self) -> None:
        """No new connections."""
        self._network.stop_listening()


class _Lane:
    """One direction: things arrive in the order in which they were sent."""

    def __init__(self, loop: SimLoop, chance: Random, context: Context) -> None:
        self._loop = loop
        self._chance = chance
        self._context = context
        self._last = 0.0

    def carry(self, arrive: Callable[..., object], *args: object) -> None:
        latency = self._chance.choice((0.0, 1e-4, 1e-4, 1e-3, 2e-2))
        self._last = max(self._loop.time() + latency, self._last + 1e-6)
        self._loop.call_at(self._last, arrive, *args, context=self._context)


class Wire(asyncio.Transport):
    """One connection: a transport to the server, and a few calls to its client."""

    def __init__(
        self,
        network: Network,
        loop: SimLoop,
        chance: Random,
        factory: Callable[[], asyncio.Protocol],
        context: Context,
        hear: Hear,
        lost: Callable[[], None],
    ) -> None:
        super().__init__()
        self._network = network
        self._chance = chance
        self._hear = hear
        self._lost = lost
        self._factory = factory
        self._protocol: asyncio.Protocol | None = None
        self._to_server = _Lane(loop, chance, context)
        self._to_client = _Lane(loop, chance, copy_context())
        self._inbox: deque[bytes] = deque()
        self._is_reading = True
        self._is_closing = False
        self._is_over = False
        self._is_cut = False
        self._drops = False
        self._unread = 0
        self._unread_max = 1 << 16
        self._is_paused = False
        self._to_server.carry(self._accept)

    # --- the client's end ------------------------------------------------------------------------

    def say(self, data: bytes) -> None:
        """Send something, which may arrive in pieces."""
        while data:
            size = len(data) if self._chance.random() < 0.8 else self._chance.randint(1, len(data))
            self._to_server.carry(self._arrive, data[:size])
            data = data[size:]

    def end_input(self) -> None:
        """Close this side: the server may still answer."""
        self._to_server.carry(self._arrive, b"")

    def cut(self) -> None:
        """Vanish; what is under way may get lost."""
        self._is_cut = True
        if self._chance.random() < 0.5:
            self._drops = True
        self._to_server.carry(self._reset)

    # --- the server's end ------------------------------------------------------------------------

    def write(self, data: Any) -> None:
        """As asyncio.Transport."""
        if self._is_over:
            return
        self._unread += len(data)
        self._to_client.carry(self._reach_client, bytes(data))
        if self._unread > self._unread_max and not self._is_paused and self._protocol:
            self._is_paused = True
            self._protocol.pause_writing()

    def write_eof(self) -> None:
        """As asyncio.Transport."""
        self._to_client.carry(self._tell_lost)

    def can_write_eof(self) -> bool:
        """As asyncio.Transport."""
        return True

    def close(self) -> None:
        """As asyncio.Transport."""
        if not self._is_closing:
            self._is_closing = True
            self._to_client.carry(self._tell_lost)
            self._to_server.carry(self._end, None)

    def abort(self) -> None:
        """As asyncio.Transport."""
        self._drops = True
        self.close()

    def is_closing(self) -> bool:
        """As asyncio.Transport."""
        return self._is_closing

    def pause_reading(self) -> None:
        """As asyncio.Transport."""
        self._is_reading = False

    def resume_reading(self) -> None:
        """As asyncio.Transport."""
        self._is_reading = True
        self._to_server.carry(self._read_on)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """As asyncio.Transport."""
        self._unread_max = high or 0

    def get_write_buffer_size(self) -> int:
        """As asyncio.Transport."""
        return self._unread

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """There is no socket."""
        return default

    def server_died(self, *, delivers: bool) -> None:
        """The process at the other end is gone."""
        self._drops |= not delivers
        self._is_over = True
        self._to_client.carry(self._tell_lost)
        self._network.wires.pop(self, None)

    # --- what arrives ----------------------------------------------------------------------------

    def _accept(self) -> None:
        self._protocol = self._factory()
        self._protocol.connection_made(self)

    def _arrive(self, data: bytes) -> None:
        if not self._is_over and not (self._is_cut and self._drops):
            self._inbox.append(data)
            self._read_on()

    def _read_on(self) -> None:
        while self._inbox and self._is_reading and not self._is_over and self._protocol:
            data = self._inbox.popleft()
            if data:
                self._protocol.data_received(data)
            elif not self._protocol.eof_received():
                self.close()

    def _reset(self) -> None:
        self._is_closing = True
        self._end(ConnectionResetError("reset by the simulated client"))

    def _end(self, error: Exception | None) -> None:
        if not self._is_over and self._protocol:
            self._is_over = True
            self._network.wires.pop(self, None)
            self._protocol.connection_lost(error)

    def _reach_client(self, data: bytes) -> None:
        self._unread -= len(data)
        if not self._is_cut and not self._drops:
            self._hear(data)
        if self._is_paused and self._unread <= self._unread_max // 4 and not self._is_over:
            self._is_paused = False
            self._to_server.carry(self._resume_writing)

    def _resume_writing(self) -> None:
        if not self._is_over and self._protocol:
            self._protocol.resume_writing()

    def _tell_lost(self) -> None:
        if not self._is_cut:
            self._lost()
