"""Facts become lines of JSON: one record is one fact, one line, one JSON object.

    {"op":"put","id":1,"queue":"emails","at_ms":1763769600123,"body":{"to":"ada@example.com"}}
    {"op":"lease","ids":[1],"lease":1,"until_ms":1763769630123}
    {"op":"ack","ids":[1]}

The body is the client's JSON, byte for byte. Times are whole milliseconds since 1970, rounded so
that nothing happens early. Fields that say nothing are left out. Queues' names are of an alphabet
that needs no quoting; free text is quoted.
`storage/record.py` has each record's fields, and reads them back.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from math import ceil, floor
from typing import Any, Final

import msgspec

from qserver.config import PRIORITY_DEFAULT
from qserver.facts import Recorded, Snapshot
from qserver.ports import Journal

_json: Final = msgspec.json.Encoder().encode


def _ms(seconds: float) -> int:
    return ceil(seconds * 1000)


def _ids(ids: Iterable[int]) -> bytes:
    return _json(list(ids))  # in a tenth of the time that formatting each by itself takes


class JournalRecorder:
    """Writes facts into a journal. What each method tells, `facts.Recorder` says."""

    __slots__ = ("_extend", "_journal", "append", "live", "segment")

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.live: dict[int, int] = {}
        self.append = journal.append
        self._extend = journal.extend
        self.segment = journal.segment

    def begin_batch(self) -> bool:
        """A batch was handed over, the next one begins; answers whether in a new segment."""
        before = self.segment
        self.segment = self._journal.segment
        return self.segment != before

    def put(self, queue: bytes, message: Recorded) -> None:
        self.append(
            b'{"op":"put","id":%d,"queue":"%b","at_ms":%d,"body":%b}\n'
            % (message.id, queue, int(message.put_at * 1000), message.body)
        )

    def put_run(self, queue: bytes, first: int, put_at: float, bodies: Sequence[bytes]) -> None:
        record = b'{"op":"put","id":%%d,"queue":"%b","at_ms":%d,"body":%%b}\n' % (
            queue,
            int(put_at * 1000),
        )
        puts = chain.from_iterable(enumerate(bodies, first))
        self._extend(record * len(bodies) % tuple(puts), len(bodies))

    def put_run_with(
        self,
        queue: bytes,
        first: int,
        put_at: float,
        bodies: Sequence[bytes],
        keys: Sequence[str],
        dedup_until: float,
    ) -> None:
        record = (
            b'{"op":"put_with","id":%%d,"queue":"%b","at_ms":%d,"dedup":"%%b"'
            b',"dedup_until_ms":%d,"body":%%b}\n' % (queue, int(put_at * 1000), _ms(dedup_until))
        )
        count = len(bodies)
        ids = range(first, first + count)
        puts = chain.from_iterable(zip(ids, map(str.encode, keys), bodies, strict=True))
        self._extend(record * count % tuple(puts), count)

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
        # Spelt out, since `_fields` takes 2 µs more, and qclient gives every PUT a dedup key.
        priority = message.priority
        fields = b"" if priority == PRIORITY_DEFAULT else b',"priority":%d' % priority
        if due:
            fields += b',"due_ms":%d' % _ms(due)
        if expires:
            fields += b',"expires_ms":%d' % _ms(expires)
        if key is not None:
            fields += b',"key":%b' % _json(key)
        if trace is not None:
            fields += b',"trace":%b' % _json(trace)
        if dedup is not None:
            fields += b',"dedup":%b' % _json(dedup)
        if dedup_until:
            fields += b',"dedup_until_ms":%d' % _ms(dedup_until)
        self.append(
            b'{"op":"put_with","id":%d,"queue":"%b","at_ms":%d%b,"body":%b}\n'
            % (message.id, queue, int(message.put_at * 1000), fields, message.body)
        )

    def message(self, queue: bytes, message_id: int, body: bytes, what: Snapshot) -> None:
        rest = _fields(
            priority=None if what.priority == PRIORITY_DEFAULT else what.priority,
            state=None if what.state == "ready" else what.state,
            lease=what.lease or None,
            until_ms=_ms(what.until) or None,
            session=what.session,
            deliveries=what.deliveries or None,
            failures=what.failures or None,
            losses=what.losses or None,
            key=what.key,
            trace=what.trace,
            dedup=what.dedup,
            reason=what.reason,
            progress=msgspec.Raw(what.progress) if what.progress else None,
            result=msgspec.Raw(what.result) if what.result else None,
            due_ms=_ms(what.due) or None,
            expires_ms=_ms(what.expires) or None,
            place=what.place or None,
        )
        self.append(
            b'{"op":"message","id":%d,"queue":"%b","at_ms":%d%b,"body":%b}\n'
            % (message_id, queue, int(what.put_at * 1000), rest, body)
        )

    def dedup(self, queue: bytes, key: str, message_id: int, until: float) -> None:
        self.append(
            b'{"op":"dedup","queue":"%b","key":%b,"id":%d,"until_ms":%d}\n'
            % (queue, _json(key), message_id, _ms(until))
        )

    def lease(self, messages: Sequence[Recorded], until: float, session: str | None) -> None:
        self.append(
            b'{"op":"lease","ids":%b,"lease":%d,"until_ms":%d%b}\n'
            % (
                _json([message.id for message in messages]),
                messages[0].lease,
                _ms(until),
                b"" if session is None else _fields(session=session),
            )
        )

    def ack(self, ids: Iterable[int], keep_until: float) -> None:
        self.append(
            b'{"op":"ack","ids":%b%b}\n'
            % (_ids(ids), _fields(keep_until_ms=_ms(keep_until)) if keep_until else b"")
        )

    def done(self, message_id: int, keep_until: float, result: bytes) -> None:
        self.append(
            b'{"op":"done","id":%d,"keep_until_ms":%d,"result":%b}\n'
            % (message_id, _ms(keep_until), result)
        )

    def nack(
        self, message: Recorded, *, due: float, dead: bool, place: int, reason: str | None
    ) -> None:
        rest = _fields(
            due_ms=_ms(due) or None, dead=dead or None, place=place or None, reason=reason
        )
        self.append(
            b'{"op":"nack","id":%d,"failures":%d%b}\n' % (message.id, message.failures, rest)
        )

    def lost(
        self, message: Recorded, *, due: float, dead: bool, place: int, reason: str | None
    ) -> None:
        rest = _fields(
            due_ms=_ms(due) or None, dead=dead or None, place=place or None, reason=reason
        )
        self.append(b'{"op":"lost","id":%d,"losses":%d%b}\n' % (message.id, message.losses, rest))

    def release(self, message_id: int, *, due: float, place: int) -> None:
        rest = _fields(due_ms=_ms(due) or None, place=place or None)
        self.append(b'{"op":"release","id":%d%b}\n' % (message_id, rest))

    def progress(self, message_id: int, value: bytes) -> None:
        self.append(b'{"op":"progress","id":%d,"progress":%b}\n' % (message_id, value))

    def touch(self, ids: Iterable[int], until: float) -> None:
        self.append(b'{"op":"touch","ids":%b,"until_ms":%d}\n' % (_ids(ids), _ms(until)))

    def touch_session(self, name: str, until: float) -> None:
        self.append(
            b'{"op":"touch_session","session":%b,"until_ms":%d}\n' % (_json(name), _ms(until))
        )

    def due(self, ids: Iterable[int]) -> None:
        self.append(b'{"op":"due","ids":%b}\n' % _ids(ids))

    def gone(self, ids: Iterable[int]) -> None:
        self.append(b'{"op":"gone","ids":%b}\n' % _ids(ids))

    def dead(self, message_id: int, reason: str) -> None:
        self.append(b'{"op":"dead","id":%d%b}\n' % (message_id, _fields(reason=reason)))

    def redrive(self, ids: Sequence[int], queue: bytes, place: int) -> None:
        rest = _fields(place=place or None)
        self.append(b'{"op":"redrive","ids":%b,"queue":"%b"%b}\n' % (_ids(ids), queue, rest))

    def queue(self, name: bytes, settings: dict[str, Any], *, paused: bool) -> None:
        rest = _fields(settings=settings or None, paused=paused or None)
        self.append(b'{"op":"queue","queue":"%b"%b}\n' % (name, rest))

    def purge(self, name: bytes, states: Sequence[str]) -> None:
        self.append(b'{"op":"purge","queue":"%b"%b}\n' % (name, _fields(states=states)))

    def drop(self, name: bytes) -> None:
        self.append(b'{"op":"drop","queue":"%b"}\n' % name)

    def session(self, name: str, grace_s: float) -> None:
        self.append(b'{"op":"session","session":%b,"grace_ms":%d}\n' % (_json(name), _ms(grace_s)))

    def sequence(self, last_id: int, last_lease: int) -> None:
        self.append(b'{"op":"sequence","id":%d,"lease":%d}\n' % (last_id, last_lease))

    def stop(self, last_id: int, last_lease: int) -> None:
        self.append(b'{"op":"stop","id":%d,"lease":%d}\n' % (last_id, last_lease))

    def clock(self, boot: str, offset: float) -> None:
        # Rounded down: a deadline that is told by it is never early.
        self.append(
            b'{"op":"clock","boot":%b,"offset_ms":%d}\n' % (_json(boot), floor(offset * 1000))
        )


def _fields(**values: Any) -> bytes:
    """The fields that say something, each after a comma."""
    return b"".join(
        b',"%b":%b' % (name.encode(), _json(value))
        for name, value in values.items()
        if value is not None
    )


class ForgetfulRecorder(JournalRecorder):
    """For a journal that nobody reads back: what is told most often is not even written."""

    __slots__ = ()

    def put(self, queue: bytes, message: Recorded) -> None:
        pass

    def put_run(self, queue: bytes, first: int, put_at: float, bodies: Sequence[bytes]) -> None:
        pass

    def put_run_with(
        self,
        queue: bytes,
        first: int,
        put_at: float,
        bodies: Sequence[bytes],
        keys: Sequence[str],
        dedup_until: float,
    ) -> None:
        pass

    def lease(self, messages: Sequence[Recorded], until: float, session: str | None) -> None:
        pass

    def ack(self, ids: Iterable[int], keep_until: float) -> None:
        pass


def recorder_for(journal: Journal) -> JournalRecorder:
    """Who writes facts into that journal."""
    return JournalRecorder(journal) if journal.is_kept else ForgetfulRecorder(journal)
