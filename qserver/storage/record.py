"""Lines of JSON become facts again: the fields of each record, and whom they are told to.

`storage/recorder.py` writes them. A field that is missing has its default here. A record may speak
of a message that no record before it put: the segment of its PUT was dropped once it was gone.
"""

from typing import Final

import msgspec

from qserver.config import PRIORITY_DEFAULT
from qserver.errors import NewerFormat
from qserver.facts import Restorer, Snapshot
from qserver.ports import Progress, Source

_NOTHING: Final = msgspec.Raw(b"")
"""JSON that a record does not have."""


class _Record(msgspec.Struct, tag_field="op", gc=False):
    """One line; `op` says which."""

    def tell(self, restorer: Restorer) -> None:
        """Tell the fact."""
        raise NotImplementedError


class _Put(_Record, tag="put"):
    id: int
    queue: str
    at_ms: int
    body: msgspec.Raw

    def tell(self, restorer: Restorer) -> None:
        # The body is copied: the Raw would keep the whole segment in memory.
        restorer.put(self.queue, self.id, self.at_ms / 1000, bytes(self.body))


class _PutWith(_Put, tag="put_with"):
    """Apart, so that the many that have nothing but a body cost no look at what they lack."""

    priority: int = PRIORITY_DEFAULT
    due_ms: int = 0
    expires_ms: int = 0
    dedup_until_ms: int = 0
    key: str | None = None
    trace: str | None = None
    dedup: str | None = None

    def tell(self, restorer: Restorer) -> None:
        restorer.put_with(
            self.queue,
            self.id,
            self.at_ms / 1000,
            bytes(self.body),
            priority=self.priority,
            due=self.due_ms / 1000,
            expires=self.expires_ms / 1000,
            dedup_until=self.dedup_until_ms / 1000,
            key=self.key,
            trace=self.trace,
            dedup=self.dedup,
        )


class _Message(_Put, tag="message"):
    priority: int = PRIORITY_DEFAULT
    state: str = "ready"
    lease: int = 0
    until_ms: int = 0
    session: str | None = None
    deliveries: int = 0
    failures: int = 0
    losses: int = 0
    key: str | None = None
    trace: str | None = None
    dedup: str | None = None
    reason: str | None = None
    progress: msgspec.Raw = _NOTHING
    result: msgspec.Raw = _NOTHING
    due_ms: int = 0
    expires_ms: int = 0
    place: int = 0

    def tell(self, restorer: Restorer) -> None:
        snapshot = Snapshot(
            put_at=self.at_ms / 1000,
            priority=self.priority,
            state=self.state,
            lease=self.lease,
            until=self.until_ms / 1000,
            session=self.session,
            deliveries=self.deliveries,
            failures=self.failures,
            losses=self.losses,
            key=self.key,
            trace=self.trace,
            dedup=self.dedup,
            reason=self.reason,
            progress=bytes(self.progress),
            result=bytes(self.result),
            due=self.due_ms / 1000,
            expires=self.expires_ms / 1000,
            place=self.place,
        )
        restorer.message(self.queue, self.id, bytes(self.body), snapshot)


class _Dedup(_Record, tag="dedup"):
    queue: str
    key: str
    id: int
    until_ms: int

    def tell(self, restorer: Restorer) -> None:
        restorer.dedup(self.queue, self.key, self.id, self.until_ms / 1000)


class _Lease(_Record, tag="lease"):
    ids: list[int]
    lease: int
    until_ms: int
    session: str | None = None

    def tell(self, restorer: Restorer) -> None:
        restorer.lease(self.ids, self.lease, self.until_ms / 1000, self.session)


class _Ack(_Record, tag="ack"):
    ids: list[int]
    keep_until_ms: int = 0

    def tell(self, restorer: Restorer) -> None:
        restorer.ack(self.ids, self.keep_until_ms / 1000)


class _Done(_Record, tag="done"):
    id: int
    keep_until_ms: int
    result: msgspec.Raw

    def tell(self, restorer: Restorer) -> None:
        restorer.done(self.id, self.keep_until_ms / 1000, bytes(self.result))


class _CameBack(_Record):
    id: int
    due_ms: int = 0
    dead: bool = False
    place: int = 0
    reason: str | None = None
    failures: int | None = None
    losses: int | None = None

    def tell(self, restorer: Restorer) -> None:
        restorer.came_back(
            self.id,
            due=self.due_ms / 1000,
            dead=self.dead,
            place=self.place,
            reason=self.reason,
            failures=self.failures,
            losses=self.losses,
        )


class _Nack(_CameBack, tag="nack"):
    pass


class _Lost(_CameBack, tag="lost"):
    pass


class _Release(_CameBack, tag="release"):
    pass


class _Progress(_Record, tag="progress"):
    id: int
    progress: msgspec.Raw

    def tell(self, restorer: Restorer) -> None:
        restorer.progress(self.id, bytes(self.progress))


class _Touch(_Record, tag="touch"):
    ids: list[int]
    until_ms: int

    def tell(self, restorer: Restorer) -> None:
        restorer.touch_ids(self.ids, self.until_ms / 1000)


class _TouchSession(_Record, tag="touch_session"):
    session: str
    until_ms: int

    def tell(self, restorer: Restorer) -> None:
        restorer.touch_session(self.session, self.until_ms / 1000)


class _Due(_Record, tag="due"):
    ids: list[int]

    def tell(self, restorer: Restorer) -> None:
        restorer.due(self.ids)


class _Gone(_Record, tag="gone"):
    ids: list[int]

    def tell(self, restorer: Restorer) -> None:
        restorer.gone(self.ids)


class _Dead(_Record, tag="dead"):
    id: int
    reason: str

    def tell(self, restorer: Restorer) -> None:
        restorer.dead(self.id, self.reason)


class _Redrive(_Record, tag="redrive"):
    ids: list[int]
    queue: str
    place: int = 0

    def tell(self, restorer: Restorer) -> None:
        restorer.redrive(self.ids, self.queue, self.place)


class _Queue(_Record, tag="queue"):
    queue: str
    settings: dict[str, int | float | str] = {}
    paused: bool = False

    def tell(self, restorer: Restorer) -> None:
        restorer.queue(self.queue, self.settings, paused=self.paused)


class _Purge(_Record, tag="purge"):
    queue: str
    states: list[str]

    def tell(self, restorer: Restorer) -> None:
        restorer.purge(self.queue, self.states)


class _Drop(_Record, tag="drop"):
    queue: str

    def tell(self, restorer: Restorer) -> None:
        restorer.drop(self.queue)


class _Session(_Record, tag="session"):
    session: str
    grace_ms: int

    def tell(self, restorer: Restorer) -> None:
        restorer.session(self.session, self.grace_ms / 1000)


class _Sequence(_Record, tag="sequence"):
    id: int
    lease: int

    def tell(self, restorer: Restorer) -> None:
        restorer.sequence(self.id, self.lease)


class _Stop(_Record, tag="stop"):
    id: int
    lease: int

    def tell(self, restorer: Restorer) -> None:
        restorer.stop(self.id, self.lease)


class _Clock(_Record, tag="clock"):
    boot: str
    offset_ms: int

    def tell(self, restorer: Restorer) -> None:
        restorer.clock(self.boot, self.offset_ms / 1000)


_decoder: Final = msgspec.json.Decoder(
    _Put
    | _PutWith
    | _Message
    | _Dedup
    | _Lease
    | _Ack
    | _Done
    | _Nack
    | _Lost
    | _Release
    | _Progress
    | _Touch
    | _TouchSession
    | _Due
    | _Gone
    | _Dead
    | _Redrive
    | _Queue
    | _Purge
    | _Drop
    | _Session
    | _Sequence
    | _Stop
    | _Clock
)


def replay(journal: Source, restorer: Restorer, progress: Progress | None = None) -> int:
    """Tell everything the journal holds, in order; answers how many records that were.

    Raises:
        NewerFormat: a record is of a kind that this version doesn't know.
        Damaged: see `Journal.replay`.
    """
    count = 0
    for segment, lines in journal.replay(progress):
        restorer.segment = segment
        try:
            records = _decoder.decode_lines(lines)
        except msgspec.MsgspecError as error:
            raise NewerFormat(
                f"segment {segment} holds a record that this version can't read ({error}): "
                "a later version wrote it; start that one"
            ) from error
        for record in records:
            record.tell(restorer)
        count += len(records)
    return count
