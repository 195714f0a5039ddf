"""The way back: facts read from the journal become tables again.

Each method is the counterpart of one of `facts.Recorder`; folding them in order gives the state
at which the journal ends. Times come as wall-clock seconds, 0.0 for none. Nothing is recorded, no
clock is asked: what became due while the server was away is found by the first ticks, as ever.

While facts are told, a message is only its fields: where it stands in its queue, what timer it
has, which tables it is in, all that follows from them and is made once, in `furnish.py`. So most
facts cost a look-up and a few assignments, however much they moved when they happened. And no fact
leans on what a message was before: one that is missing (a repair gave it up) makes the next no
harder.
"""

from array import array
from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from typing import Any, Final

from qserver.broker.broker import Broker
from qserver.broker.dedup import Dedup
from qserver.broker.furnish import details_of, furnish, shift
from qserver.broker.message import DEAD, DELAYED, DONE, LEASED, READY, STATES, Details, Message
from qserver.broker.queue import DEFAULTS, Queue, Settings
from qserver.broker.session import Session
from qserver.broker.table import PAGE_BITS
from qserver.config import PRIORITY_DEFAULT
from qserver.errors import NewerFormat
from qserver.facts import Snapshot

_SETTINGS: Final = frozenset(field.name for field in fields(Settings))


class _Home:
    """A queue, and the ids of all messages that were ever told to be in it, for what is purged."""

    __slots__ = ("add", "ids", "queue")

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.ids = array("q")
        self.add = self.ids.append


class Restorer:
    """Rebuilds a broker's tables.

    Attributes:
        segment: where what is told now was read from.
    """

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.segment = 0
        self._put_at = 0.0
        self._homes: dict[str, _Home] = {}
        self._is_out_of_order = False
        self._is_clock_told = False
        self._other_boot = "", 0.0

    # --- messages -----------------------------------------------------------------------------

    def put(self, queue: str, message_id: int, put_at: float, body: bytes) -> None:
        """A message was stored."""
        broker = self.broker
        home = self._homes.get(queue) or self._home(queue)
        if put_at == self._put_at:
            put_at = self._put_at  # one object for all that were put at once
        self._put_at = put_at
        if message_id > broker.last_id:
            broker.last_id = message_id
            if self.segment != broker.bases.newest:
                broker.bases.put(self.segment, message_id)
        else:  # told again, by compaction or behind numbers that were reserved
            self._replace(message_id)
            broker.bases.tell_again(self.segment, message_id)
        broker.messages.add(
            Message(message_id, home.queue, body, put_at, PRIORITY_DEFAULT, self.segment)
        )
        home.add(message_id)

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
        home = self._home(queue)
        message = Message(message_id, home.queue, body, put_at, priority, self.segment)
        if key or trace or dedup or expires or due:
            message.details = Details(
                key=key,
                trace=trace,
                dedup=dedup,
                expires_at=expires - broker.offset if expires else 0.0,
                due_at=due,
            )
        if due:
            message.state = DELAYED
        broker.messages[message_id] = message
        home.add(message_id)
        if message_id > broker.last_id:
            broker.last_id = message_id
            broker.bases.put(self.segment, message_id)
        else:
            broker.bases.tell_again(self.segment, message_id)
        if dedup is not None:
            self.dedup(queue, dedup, message_id, dedup_until)

    def message(self, queue: str, message_id: int, body: bytes, what: Snapshot) -> None:
        """A message was told again as it stood; it replaces what was told of it before."""
        broker = self.broker
        self._replace(message_id)
        home = self._home(queue)
        message = Message(
            message_id,
            home.queue,
            body,
            what.put_at,
            what.priority,
            self.segment,
            state=STATES.index(what.state),
            lease=what.lease,
            deliveries=what.deliveries,
            failures=what.failures,
            losses=what.losses,
            deadline=what.until - broker.offset if what.until else 0.0,
        )
        message.details = details_of(what, broker.offset)
        if what.session is not None:
            self._own(self._session(what.session), message)
        broker.messages[message_id] = message
        broker.bases.tell_again(self.segment, message_id)
        home.add(message_id)
        broker.last_id = max(broker.last_id, message_id)
        broker.last_lease = max(broker.last_lease, what.lease)

    def dedup(self, queue: str, key: str, message_id: int, until: float) -> None:
        """A dedup key holds until then."""
        home = self._home(queue).queue
        if home.dedup is None:
            home.dedup = Dedup()
        home.dedup.add_one(key, message_id, until - self.broker.offset, self.segment)

    def lease(self, ids: list[int], first: int, until: float, session: str | None) -> None:
        """Messages were leased, with consecutive lease numbers."""
        broker = self.broker
        broker.last_lease = max(broker.last_lease, first + len(ids) - 1)
        owner = None if session is None else self._session(session)
        deadline = until - broker.offset
        pages = broker.messages.pages
        for number, message_id in enumerate(ids, first):
            page = pages.get(message_id >> PAGE_BITS)
            message = None if page is None else page.get(message_id)
            if message is None:
                continue
            if message.session is not None:
                self._disown(message)
            message.state = LEASED
            message.lease = number
            message.deliveries += 1
            message.deadline = deadline
            if owner is not None:
                self._own(owner, message)

    def ack(self, ids: Iterable[int], keep_until: float) -> None:
        """Messages were acked."""
        if not keep_until:
            self.gone(ids)
            return
        for message in self._known(ids):
            self._settle(message, DONE)
            message.deadline = keep_until - self.broker.offset

    def done(self, message_id: int, keep_until: float, result: bytes) -> None:
        """A message was acked with a result."""
        for message in self._known((message_id,)):
            self._settle(message, DONE)
            message.deadline = keep_until - self.broker.offset
            message.detail().result = result

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
        for message in self._known((message_id,)):
            self._settle(message, DEAD if dead else DELAYED if due else READY)
            if failures is not None:
                message.failures = failures
            if losses is not None:
                message.losses = losses
            if reason is not None:
                message.detail().reason = reason
            if place:
                message.detail().place = place
            if due:
                message.detail().due_at = due

    def progress(self, message_id: int, value: bytes) -> None:
        """A holder told how far it got."""
        for message in self._known((message_id,)):
            message.detail().progress = value

    def touch_ids(self, ids: Iterable[int], until: float) -> None:
        """Leases run until then."""
        deadline = until - self.broker.offset
        for message in self._known(ids):
            message.deadline = deadline

    def touch_session(self, name: str, until: float) -> None:
        """All leases of a session were extended, those that end before then."""
        deadline = until - self.broker.offset
        for message in self._session(name).leases.values():
            message.deadline = max(message.deadline, deadline)

    def due(self, ids: Iterable[int]) -> None:
        """Delayed messages became ready."""
        for message in self._known(ids):
            self._settle(message, READY)

    def gone(self, ids: Iterable[int]) -> None:
        """Messages were removed since their time was over."""
        for message in self.broker.messages.pop_known(ids):
            if message.session is not None:
                self._disown(message)

    def dead(self, message_id: int, reason: str) -> None:
        """A message that nobody held became dead."""
        for message in self._known((message_id,)):
            self._settle(message, DEAD)
            message.detail().reason = reason

    def redrive(self, ids: Iterable[int], queue: str, place: int) -> None:
        """Dead messages became ready, in that queue."""
        target = self._home(queue)
        for number, message_id in enumerate(ids):
            for message in self._known((message_id,)):
                self._settle(message, READY)
                message.failures = message.losses = 0
                if message.details is not None:
                    message.details.reason = None
                    message.details.expires_at = 0.0
                if place:
                    message.detail().place = place + number
                if message.queue is not target.queue:
                    self._move(message, target)

    def _replace(self, message_id: int) -> None:
        """What is told next of that message replaces what was told of it before."""
        self._is_out_of_order = True
        self.gone((message_id,))

    def _move(self, message: Message, target: _Home) -> None:
        message.queue = target.queue
        target.add(message.id)
        self._is_out_of_order = True

    def _settle(self, message: Message, state: int) -> None:
        """Let a message be in a state that is no lease, whatever it was in.

        Behind a gap that a repair left, it need not be in the state that its next record presumes.
        """
        message.state = state
        message.lease = 0
        if message.session is not None:
            self._disown(message)

    @staticmethod
    def _own(session: Session, message: Message) -> None:
        message.session = session
        session.leases[message.id] = message

    @staticmethod
    def _disown(message: Message) -> None:
        assert message.session is not None
        del message.session.leases[message.id]
        message.session = None

    def _known(self, ids: Iterable[int]) -> Iterator[Message]:
        """The messages that there are.

        The journal may tell more of a message than its removal: the segment that began with its
        PUT may have been dropped, once it was gone, before the one that tells the rest.
        """
        messages = self.broker.messages
        for message_id in ids:
            message = messages.get(message_id)
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
        queue = self._home(name).queue
        queue.settings = replace(DEFAULTS, **settings) if settings else DEFAULTS
        queue.paused = paused

    def purge(self, name: str, states: list[str]) -> None:
        """All messages of a queue in these states were removed."""
        home = self._home(name)
        chosen = {STATES.index(state) for state in states}
        messages = self.broker.messages
        has = home.queue.has
        self.gone(
            [number for number in home.ids if has(number) and messages[number].state in chosen]
        )
        if len(chosen) == len(STATES):
            del home.ids[:]

    def drop(self, name: str) -> None:
        """A queue was removed with all it had."""
        self.purge(name, list(STATES))
        self.broker.close_queue(self._homes.pop(name).queue)

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

    def clock(self, boot: str, offset: float) -> None:
        """What is told next had its times by another wall clock than now, but by this boot.

        What was told before the first such fact was by the same: it comes late in its batch. Of
        another boot's clocks only this can be told: by how much the one was set against the other.
        """
        broker = self.broker
        if boot != broker.boot:
            earlier, self._other_boot = self._other_boot, (boot, offset)
            if earlier[0] == boot and earlier[1] != offset:
                shift(broker, offset - earlier[1])
            return
        if not self._is_clock_told:
            self._is_clock_told = True
            shift(broker, broker.offset - offset)
        broker.set_wall_clock(offset - broker.offset)

    def _home(self, name: str) -> _Home:
        home = self._homes.get(name)
        if home is None:
            queue = self.broker.queues[name] = Queue(name, self.broker.messages)
            insort(self.broker.names, name)
            home = self._homes[name] = _Home(queue)
        return home

    def _session(self, name: str) -> Session:
        session = self.broker.sessions.get(name)
        if session is None:
            session = self.broker.sessions[name] = Session(name, 0.0)
        return session

    def finish(self, now: float) -> None:
        """All facts are told: put every message in its place, and let graces begin."""
        messages = self.broker.messages
        in_order: Iterable[Message] = messages.values()
        if self._is_out_of_order:
            in_order = [messages[message_id] for message_id in sorted(messages)]
        furnish(self.broker, in_order, now)
