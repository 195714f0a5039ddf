"""The facts that the broker and its journal tell each other.

Recorder   is told of each change when it has happened: `storage/recorder.py` writes it down.
Restorer   is told the same again at the next start: `broker/restore.py`, by `storage/record.py`.
Snapshot   one message as it stands, when it is told apart from its history.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Recorded(Protocol):
    """What a recorder reads of a message."""

    id: int
    body: bytes
    put_at: float
    priority: int
    lease: int
    failures: int
    losses: int


@dataclass(slots=True)
class Snapshot:
    """A message as it stands: what a record tells that needs none before it.

    Times are wall-clock seconds, 0.0 for none.

    Attributes:
        state: its name on the wire.
        until: when its lease ends, or its being kept as done.
        due: when its delay is over.
        progress: the JSON that a holder left last, b"" if none did.
        result: the JSON that it was done with, b"" if there is none.
        place: where it stands in the order, 0 at its own place.
    """

    put_at: float
    priority: int
    state: str
    lease: int = 0
    until: float = 0.0
    session: str | None = None
    deliveries: int = 0
    failures: int = 0
    losses: int = 0
    key: str | None = None
    trace: str | None = None
    dedup: str | None = None
    reason: str | None = None
    progress: bytes = b""
    result: bytes = b""
    due: float = 0.0
    expires: float = 0.0
    place: int = 0


class Recorder(Protocol):
    """Told every fact that changes what the broker holds, in order, when it has happened.

    Folding the facts in the same order gives the same state again: no fact needs a clock to be
    understood, and what happens by time alone (a lease runs out, a delay is over) is a fact too.
    Times are wall-clock seconds, 0.0 for none. Nothing here fails or waits.
    """

    @property
    def segment(self) -> int:
        """Where the journal keeps what is told now."""
        ...

    @property
    def live(self) -> dict[int, int]:
        """How many messages and dedup keys can be rebuilt from each segment only.

        The broker counts up and down in it: a call for each message would cost too much.
        """
        ...

    def put(self, queue: bytes, message: Recorded) -> None:
        """A message was stored that has nothing but a body."""
        ...

    def put_run(self, queue: bytes, first: int, put_at: float, bodies: Sequence[bytes]) -> None:
        """Messages that have nothing but a body were stored, with consecutive ids."""
        ...

    def put_run_with(
        self,
        queue: bytes,
        first: int,
        put_at: float,
        bodies: Sequence[bytes],
        keys: Sequence[str],
        dedup_until: float,
    ) -> None:
        """The same, each with a dedup key that is ASCII and needs no quoting."""
        ...

    def put_with(
        self,
        queue: bytes,
        message: Recorded,
        *,
        due: float,
        expires: float,
        dedup_until: float,
        key: str | None,
        trace: str | None,
        dedup: str | None,
    ) -> None:
        """A message was stored, with all it has."""
        ...

    def message(self, queue: bytes, message_id: int, body: bytes, what: Snapshot) -> None:
        """A message is told again as it stands; what was told of it before is not needed."""
        ...

    def dedup(self, queue: bytes, key: str, message_id: int, until: float) -> None:
        """A dedup key is told again."""
        ...

    def lease(self, messages: Sequence[Recorded], until: float, session: str | None) -> None:
        """Messages were leased, with consecutive lease numbers."""
        ...

    def ack(self, ids: Iterable[int], keep_until: float) -> None:
        """Messages were acked; kept as done until then, or removed."""
        ...

    def done(self, message_id: int, keep_until: float, result: bytes) -> None:
        """A message was acked with a result, and is kept as done until then."""
        ...

    def nack(
        self, message: Recorded, *, due: float, dead: bool, place: int, reason: str | None
    ) -> None:
        """A lease ended in failure, and the message became delayed, dead or ready."""
        ...

    def lost(
        self, message: Recorded, *, due: float, dead: bool, place: int, reason: str | None
    ) -> None:
        """A lease ended by itself, and the message became delayed, dead or ready."""
        ...

    def release(self, message_id: int, *, due: float, place: int) -> None:
        """A lease was given back, and the message became delayed or ready."""
        ...

    def progress(self, message_id: int, value: bytes) -> None:
        """A holder told how far it got."""
        ...

    def touch(self, ids: Iterable[int], until: float) -> None:
        """Leases run until then."""
        ...

    def touch_session(self, name: str, until: float) -> None:
        """All leases of a session were extended, those that end before then."""
        ...

    def due(self, ids: Iterable[int]) -> None:
        """Delayed messages became ready."""
        ...

    def gone(self, ids: Iterable[int]) -> None:
        """Messages were removed since their time was over."""
        ...

    def dead(self, message_id: int, reason: str) -> None:
        """A message that nobody held became dead."""
        ...

    def redrive(self, ids: Sequence[int], queue: bytes, place: int) -> None:
        """Dead messages became ready, in that queue; at places from that one on, unless it is 0."""
        ...

    def queue(self, name: bytes, settings: dict[str, Any], *, paused: bool) -> None:
        """A queue was created or changed; the settings are those that are not default."""
        ...

    def purge(self, name: bytes, states: Sequence[str]) -> None:
        """All messages of a queue in these states were removed."""
        ...

    def drop(self, name: bytes) -> None:
        """A queue was removed with all it had."""
        ...

    def session(self, name: str, grace_s: float) -> None:
        """A session began or changed its grace."""
        ...

    def sequence(self, last_id: int, last_lease: int) -> None:
        """No id and no lease number up to these may be given out again."""
        ...

    def stop(self, last_id: int, last_lease: int) -> None:
        """The server stopped in good order; no number above these was given out."""
        ...

    def clock(self, boot: str, offset: float) -> None:
        """The wall clock is so many seconds ahead of the monotonic one, which began with that boot.

        What is told from here on has its times by that.
        """
        ...


class Restorer(Protocol):
    """Told the facts again, in the same order, to rebuild what the broker held.

    The counterpart of `Recorder`; `segment` is where what is told now was read from.
    """

    segment: int

    def put(self, queue: str, message_id: int, put_at: float, body: bytes) -> None:
        """A message was stored that has nothing but a body."""
        ...

    def put_with(
        self,
        queue: str,
        message_id: int,
        put_at: float,
        body: bytes,
        *,
        priority: int,
        due: float,
        expires: float,
        dedup_until: float,
        key: str | None,
        trace: str | None,
        dedup: str | None,
    ) -> None:
        """A message was stored, with all it has."""
        ...

    def message(self, queue: str, message_id: int, body: bytes, what: Snapshot) -> None:
        """A message was told again as it stood; it replaces what was told of it before."""
        ...

    def dedup(self, queue: str, key: str, message_id: int, until: float) -> None:
        """A dedup key was told again; it replaces what was told of it before."""
        ...

    def lease(self, ids: list[int], first: int, until: float, session: str | None) -> None:
        """Messages were leased, with consecutive lease numbers from `first`."""
        ...

    def ack(self, ids: list[int], keep_until: float) -> None:
        """Messages were acked."""
        ...

    def done(self, message_id: int, keep_until: float, result: bytes) -> None:
        """A message was acked with a result."""
        ...

    def came_back(
        self,
        message_id: int,
        *,
        due: float,
        dead: bool,
        place: int,
        reason: str | None,
        failures: int | None,
        losses: int | None,
    ) -> None:
        """A lease ended without an ACK; a counter that is None stays as it is."""
        ...

    def progress(self, message_id: int, value: bytes) -> None:
        """A holder told how far it got."""
        ...

    def touch_ids(self, ids: list[int], until: float) -> None:
        """Leases run until then."""
        ...

    def touch_session(self, name: str, until: float) -> None:
        """All leases of a session were extended."""
        ...

    def due(self, ids: list[int]) -> None:
        """Delayed messages became ready."""
        ...

    def gone(self, ids: list[int]) -> None:
        """Messages were removed since their time was over."""
        ...

    def dead(self, message_id: int, reason: str) -> None:
        """A message that nobody held became dead."""
        ...

    def redrive(self, ids: list[int], queue: str, place: int) -> None:
        """Dead messages became ready, in that queue; at places from that one on, unless it is 0."""
        ...

    def queue(self, name: str, settings: dict[str, Any], *, paused: bool) -> None:
        """A queue was created or changed."""
        ...

    def purge(self, name: str, states: list[str]) -> None:
        """All messages of a queue in these states were removed."""
        ...

    def drop(self, name: str) -> None:
        """A queue was removed with all it had."""
        ...

    def session(self, name: str, grace_s: float) -> None:
        """A session began or changed its grace."""
        ...

    def sequence(self, last_id: int, last_lease: int) -> None:
        """No number up to these may be given out again."""
        ...

    def stop(self, last_id: int, last_lease: int) -> None:
        """No number above these was given out, whatever was reserved."""
        ...

    def clock(self, boot: str, offset: float) -> None:
        """What is told next had its times by a wall clock so far ahead of that boot's monotonic."""
        ...
