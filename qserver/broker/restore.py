"""The way back: facts read from the journal become tables again.

Each method is the counterpart of one of `ports.Recorder`; folding them in order gives the state
at which the journal ends. Times come as wall-clock seconds, 0.0 for none. Nothing is recorded, no
clock is asked: what became due while the server was away is found by the first ticks, as ever.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any, Final

from qserver.broker.admin import remove_queue, revive, withdraw_all
from qserver.broker.broker import Broker, Counters
from qserver.broker.dedup import Dedup
from qserver.broker.expire import replace_ready
from qserver.broker.message import (
    DELAYED,
    DONE,
    LEASED,
    READY,
    STATES,
    Details,
    Message,
)
from qserver.broker.queue import DEFAULTS, Queue, Settings
from qserver.broker.session import Session
from qserver.config import PRIORITY_DEFAULT
from qserver.errors import NewerFormat

_SETTINGS: Final = frozenset(field.name for field in fields(Settings))


class Restorer:
    """Rebuilds a broker's tables.

    Attributes:
        segment: where what is told now was read from.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.segment = 0
        self._put_at = 0.0

    # --- messages -----------------------------------------------------------------------------

    def put(self, queue: str, message_id: int, put_at: float, body: bytes) -> None:
        """A message was stored."""
        broker = self.broker
        home = broker.queues.get(queue)
        if home is None:
            home = self._queue(queue)
        if put_at == self._put_at:
            put_at = self._put_at  # one object for all that were put at once
        self._put_at = put_at
        message = Message(message_id, home, body, put_at, PRIORITY_DEFAULT, self.segment)
        broker.add(message)
        home.ready.put(message)
        broker.last_id = max(broker.last_id, message_id)

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
        broker = self.broker
        home = self._queue(queue)
        message = Message(message_id, home, body, put_at, priority, self.segment)
        if key or trace or dedup or expires:
            message.details = Details(
                key=key,
                trace=trace,
                dedup=dedup,
                expires_at=expires - broker.offset if expires else 0.0,
            )
        broker.add(message)
        broker.last_id = max(broker.last_id, message_id)
        if dedup is not None:
            self._remember_key(home, dedup, message_id, dedup_until)
        if due:
            broker.make_delayed(message, due - broker.offset)
            return
        home.ready.put(message)
        if expires:
            broker.wheel.schedule(message, expires - broker.offset)

    def _remember_key(self, queue: Queue, key: str, message_id: int, until: float) -> None:
        broker = self.broker
        deadline = until - broker.offset
        if queue.dedup is None:
            queue.dedup = Dedup()
        broker.live[self.segment] += 1
        replaced = queue.dedup.add(key, message_id, deadline, self.segment)
        if replaced is not None:
            broker.live[replaced] -= 1
        if queue.slot is None:
            broker.wheel.schedule(queue, deadline)

    def lease(self, ids: list[int], first: int, until: float, session: str | None) -> None:
        """Messages were leased, with consecutive lease numbers."""
        broker = self.broker
        broker.last_lease = max(broker.last_lease, first + len(ids) - 1)
        owner = None if session is None else self._session(session)
        deadline = until - broker.offset
        slot = broker.wheel.slot_for(deadline)
        for number, message in enumerate(self._take(ids), first):
            if message is None:
                continue
            if message.slot is not None:
                message.slot.discard(message)
            message.state = LEASED
            message.lease = number
            message.deliveries += 1
            message.deadline = deadline
            message.slot = slot
            message.queue.leased[message.id] = message
            slot.add(message)
            if owner is not None:
                message.session = owner
                owner.leases[message.id] = message

    def _take(self, ids: list[int]) -> Sequence[Message | None]:
        """Take ready messages out of their queue; None for those that are gone.

        They come in the order in which they were taken when it happened, so as a rule they are
        just the first ones again.
        """
        messages = list(map(self.broker.messages.get, ids))
        head = messages[0]
        if head is not None:
            ready = head.queue.ready
            taken = ready.take(len(ids), 1 << 62)
            if taken == messages:
                return taken
            for message in taken:
                ready.put_back(message)
        return [message and replace_ready(self.broker, message) for message in messages]

    def ack(self, ids: Iterable[int], keep_until: float) -> None:
        """Messages were acked."""
        broker = self.broker
        for message in self._known(ids):
            broker.end_lease(message)
            if keep_until:
                message.state = DONE
                message.queue.done[message.id] = message
                broker.wheel.schedule(message, keep_until - broker.offset)
            else:
                broker.remove(message)

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
        """A lease ended without an ACK, and the message became dead, delayed or ready."""
        broker = self.broker
        message = broker.messages.get(message_id)
        if message is None:
            return
        broker.end_lease(message)
        if failures is not None:
            message.failures = failures
        if losses is not None:
            message.losses = losses
        if reason is not None:
            message.detail().reason = reason
        if place:
            self._stand(message, place)
        if dead:
            broker.make_dead(message)
        elif due:
            broker.make_delayed(message, due - broker.offset)
        else:
            broker.make_ready(message)

    def touch_ids(self, ids: Iterable[int], until: float) -> None:
        """Leases run until then."""
        deadline = until - self.broker.offset
        for message in self._known(ids):
            self.broker.wheel.schedule(message, deadline)

    def touch_session(self, name: str, until: float) -> None:
        """All leases of a session were extended, those that end before then."""
        deadline = until - self.broker.offset
        for message in self._session(name).leases.values():
            if deadline > message.deadline:
                self.broker.wheel.schedule(message, deadline)

    def due(self, ids: Iterable[int]) -> None:
        """Delayed messages became ready."""
        for message in self._known(ids):
            assert message.state == DELAYED
            del message.queue.delayed[message.id]
            self.broker.wheel.cancel(message)
            self.broker.make_ready(message)

    def gone(self, ids: Iterable[int]) -> None:
        """Messages were removed since their time was over."""
        for message in self._known(ids):
            self.broker.withdraw(message)

    def dead(self, message_id: int, reason: str) -> None:
        """A message that nobody held became dead."""
        for message in self._known((message_id,)):
            if message.state == READY:
                dying = replace_ready(self.broker, message)
            else:
                dying = message
                del message.queue.delayed[message_id]
            dying.detail().reason = reason
            self.broker.make_dead(dying)

    def redrive(self, ids: Iterable[int], queue: str, place: int) -> None:
        """Dead messages became ready, in that queue."""
        target = self._queue(queue)
        for number, message_id in enumerate(ids):
            for message in self._known((message_id,)):
                if place:
                    self._stand(message, place + number)
                revive(self.broker, message, target)

    def _stand(self, message: Message, place: int) -> None:
        """Let a message stand there in the order."""
        message.detail().place = place
        self.broker.last_place = max(self.broker.last_place, place)

    def _known(self, ids: Iterable[int]) -> Iterator[Message]:
        """The messages that there are.

        The journal may tell more of a message than its removal: the segment that began with its
        PUT may have been dropped, once it was gone, before the one that tells the rest.
        """
        for message_id in ids:
            message = self.broker.messages.get(message_id)
            if message is not None:
                yield message

    # --- queues, sessions, numbers ----------------------------------------------------------------

    def queue(self, name: str, settings: dict[str, Any], *, paused: bool) -> None:
        """A queue was created or changed.

        Raises:
            NewerFormat: it has a setting that this version doesn't know.
        """
        unknown = settings.keys() - _SETTINGS
        if unknown:
            raise NewerFormat(
                f"queue {name} has a setting that this version doesn't know "
                f"({', '.join(sorted(unknown))}): a later version wrote it; start that one"
            )
        queue = self._queue(name)
        queue.settings = replace(DEFAULTS, **settings) if settings else DEFAULTS
        queue.paused = paused

    def purge(self, name: str, states: list[str]) -> None:
        """All messages of a queue in these states were removed."""
        withdraw_all(self.broker, self._queue(name), [STATES.index(state) for state in states])

    def drop(self, name: str) -> None:
        """A queue was removed with all it had."""
        remove_queue(self.broker, self._queue(name))

    def session(self, name: str, grace_s: float) -> None:
        """A session began or changed its grace."""
        self._session(name).grace_s = grace_s

    def sequence(self, last_id: int, last_lease: int) -> None:
        """No number up to these may be given out again."""
        broker = self.broker
        broker.last_id = max(broker.last_id, last_id)
        broker.last_lease = max(broker.last_lease, last_lease)

    def stop(self, last_id: int, last_lease: int) -> None:
        """No number above these was given out, whatever was reserved."""
        self.broker.last_id = last_id
        self.broker.last_lease = last_lease

    def finish(self, now: float) -> None:
        """All facts are told: what concerns only the past is forgotten, graces begin."""
        broker = self.broker
        broker.counters = Counters()
        for session in list(broker.sessions.values()):
            if session.leases:
                broker.wheel.schedule(session, now + session.grace_s)
            else:
                del broker.sessions[session.name]
        for segment in [segment for segment, count in broker.live.items() if not count]:
            del broker.live[segment]

    def _queue(self, name: str) -> Queue:
        broker = self.broker
        queue = broker.queues.get(name)
        if queue is None:
            queue = broker.queues[name] = Queue(name, broker.messages)
            insort(broker.names, name)
        return queue

    def _session(self, name: str) -> Session:
        session = self.broker.sessions.get(name)
        if session is None:
            session = self.broker.sessions[name] = Session(name, 0.0)
        return session
