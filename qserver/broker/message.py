"""A message and the states of its life.

Millions of these are alive at once, so they are msgspec structs outside the garbage collector's
sight (`gc=False`): 136 bytes each, and a full collection does not walk them. The price is that
nothing may leave a message in a cycle: whoever removes one from the broker clears `slot` and
`session` (`Broker.remove` and `end_lease` do).

What few messages have stands in `Details`, so that the many don't pay for it.
"""

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from qserver.broker.queue import Queue
    from qserver.broker.session import Session
    from qserver.broker.wheel import Slot

READY: Final = 0
LEASED: Final = 1
DELAYED: Final = 2
DEAD: Final = 3
DONE: Final = 4
GONE: Final = 5
"""Removed: only a leftover in some lazy structure can still show it."""

STATES: Final = ("ready", "leased", "delayed", "dead", "done")
"""The names on the wire, by number."""

PLACE_BITS: Final = 40
"""A place in the order is `id << PLACE_BITS`; the low bits order those sent behind that id."""


class Details(msgspec.Struct, gc=False, eq=False):
    """What only some messages have. Times are monotonic seconds unless said; 0 is none.

    Attributes:
        progress: the JSON that a holder left last, b"" if none did.
        result: the JSON that it was done with, b"" if there is none.
    """

    key: str | None = None
    trace: str | None = None
    dedup: str | None = None
    reason: str | None = None
    progress: bytes = b""
    result: bytes = b""
    expires_at: float = 0.0
    due_at: float = 0.0
    """When a delayed message is due, in wall-clock seconds: delays follow the clock people read."""
    place: int = 0
    """Where it stands in the order if not at its own place."""


class Message(msgspec.Struct, gc=False, eq=False):
    """One message.

    Attributes:
        put_at: wall-clock seconds.
        lease: number of the current lease, 0 when it is not leased.
        deadline: monotonic second at which its timer is due, whatever that means in its state.
        slot: where the timer wheel keeps it, if it does.
        segment: the journal's segment that holds the record it can be rebuilt from.
    """

    id: int
    queue: "Queue"
    body: bytes
    put_at: float
    priority: int
    segment: int
    state: int = READY
    lease: int = 0
    deliveries: int = 0
    failures: int = 0
    losses: int = 0
    deadline: float = 0.0
    slot: "Slot | None" = None
    session: "Session | None" = None
    details: Details | None = None

    def place(self) -> int:
        """Where it stands in the order of its priority."""
        if self.details is None or not self.details.place:
            return self.id << PLACE_BITS
        return self.details.place

    def expires_at(self) -> float:
        """Monotonic second at which its ttl has passed; 0 if it has none."""
        return 0.0 if self.details is None else self.details.expires_at

    def kept_bytes(self) -> int:
        """Bytes that it keeps besides its body."""
        if self.details is None:
            return 0
        return len(self.details.progress) + len(self.details.result)

    def detail(self) -> Details:
        """Its details, to be changed."""
        if self.details is None:
            self.details = Details()
        return self.details
