"""The broker's tables, and the steps of a message's life that the verbs are made of.

    put.py      PUT                      settle.py   ACK NACK RELEASE TOUCH, and leases that end
    get.py      GET, waiting, sessions   timers.py   what time alone brings about
    admin.py    QUEUE PAUSE PURGE …      view.py     PEEK LIST …: looks, changes nothing
    restore.py  the way back from facts to tables

Every rule of the queue lives in this package, and nothing else does: no byte of the wire, no file,
no socket, no clock. `now` is an argument: monotonic seconds. What people and the journal read is
wall-clock time, `now` plus an offset that the server measures.

A fact is recorded by whoever makes it, right after it has become true; the steps here record
nothing.
"""

from bisect import bisect_left, insort
from collections import OrderedDict

from qserver.broker.bases import Bases
from qserver.broker.counters import Counters
from qserver.broker.following import Follower
from qserver.broker.hungry import Hungry
from qserver.broker.message import DEAD, DELAYED, DONE, GONE, LEASED, READY, STATES, Message
from qserver.broker.queue import Queue
from qserver.broker.session import Session
from qserver.broker.table import Table
from qserver.broker.waiter import GetWaiter, ResultWaiter
from qserver.broker.wheel import Wheel
from qserver.config import Limits
from qserver.errors import RequestError
from qserver.facts import Recorder

MESSAGE_OVERHEAD = 320
"""Bytes that a queued message costs besides its body: measured by benchmarks.memory."""

LOOKS_MAX = 10_000
"""Queues that are looked at when room for another one is needed: about 4 ms."""

FORGOTTEN_MAX = 32
"""And so many of them are forgotten: about 2 ms, since the list of names is long."""


class Broker:
    """Everything the server remembers.

    Attributes:
        offset: wall-clock seconds minus monotonic seconds.
        boot: with what the monotonic clock began; empty if that is unknown.
        bases: what compaction asks: which messages' records stand in which segment.
        counts: how many messages are in each state, by its number; all others are ready.
        names: of all queues, sorted.
        waiters: GETs that wait, by the name of each queue they wait for, first come first; so that
            the first is found, and any one leaves, at once, however many there are.
        waiting: how many these are.
        result_waiters: RESULTs that wait, by message id, first come first.
        hungry: queues in which something became ready while GETs wait for it.
        servings: what serving these may still take of this turn: `get.py`.
        memory: bytes that the messages take, estimated.
        memory_bytes_max: how many they may take: as many as the limits say, or fewer when the disk
            has room for fewer; 0 when it is full.
        reserve: how many numbers to reserve ahead in the journal, for a sync policy under which
            a number can be handed out before its record is safe; 0 if it can't.
        reservations: how often that was done.
    """

    __slots__ = (
        "_put_at",
        "_put_now",
        "_to_look_at",
        "bases",
        "boot",
        "counters",
        "counts",
        "follower",
        "hungry",
        "last_id",
        "last_lease",
        "last_place",
        "last_waiter",
        "limits",
        "live",
        "memory",
        "memory_bytes_max",
        "messages",
        "names",
        "offset",
        "queues",
        "recorder",
        "reservations",
        "reserve",
        "reserved_id",
        "reserved_lease",
        "result_waiters",
        "servings",
        "sessions",
        "waiters",
        "waiting",
        "wheel",
    )

    def __init__(
        self,
        recorder: Recorder,
        limits: Limits,
        *,
        now: float,
        wall: float,
        reserve: int = 0,
        boot: str = "",
    ) -> None:
        self.recorder = recorder
        self.live = recorder.live
        self.limits = limits
        self.offset = wall - now
        self.boot = boot
        self.messages = Table()
        self.bases = Bases()
        self.queues: dict[str, Queue] = {}
        self.names: list[str] = []
        self.sessions: dict[str, Session] = {}
        self._to_look_at: list[Queue] = []
        self.counts = [0] * len(STATES)
        self.waiters: dict[str, OrderedDict[GetWaiter, None]] = {}
        self.waiting = 0
        self.result_waiters: dict[int, dict[ResultWaiter, None]] = {}
        self.hungry = Hungry()
        self.servings = 1
        self.wheel = Wheel(now)
        self.follower = Follower()
        self.counters = Counters()
        self.memory = 0
        self.memory_bytes_max = limits.memory_bytes_max
        self.last_id = 0
        self.last_lease = 0
        self.last_place = 0
        self.last_waiter = 0
        self.reserve = reserve
        self.reserved_id = 0
        self.reserved_lease = 0
        self.reservations = 0
        self._put_now = now
        self._put_at = wall

    def wall(self, now: float) -> float:
        """The wall-clock time of a monotonic one."""
        return now + self.offset

    def put_at(self, now: float) -> float:
        """The same, as one object for all messages put at one `now`: a million share few."""
        if now is not self._put_now:
            self._put_now = now
            self._put_at = now + self.offset
        return self._put_at

    def set_wall_clock(self, moved: float) -> None:
        """The wall clock was set, by so many seconds."""
        self.offset += moved
        self._put_at += moved

    # --- queues -----------------------------------------------------------------------------

    def open_queue(self, name: str) -> Queue:
        """The queue of that name, created if it isn't there.

        Raises:
            RequestError: `full`, there are too many.
        """
        queue = self.queues.get(name)
        if queue is not None:
            return queue
        if len(self.queues) >= self.limits.queues_max:
            self._forget_plain_queues()
            if len(self.queues) >= self.limits.queues_max:
                raise RequestError(
                    "full", f"there are {len(self.queues)} queues, and queues_max allows no more"
                )
        queue = self.queues[name] = Queue(name, self.messages)
        insort(self.names, name)
        return queue

    def close_queue(self, queue: Queue) -> None:
        """Remove a queue that has no messages."""
        self.wheel.cancel(queue)
        queue.index.forget()
        queue.ready.forget()
        del self.queues[queue.name]
        del self.names[bisect_left(self.names, queue.name)]

    def _forget_plain_queues(self) -> None:
        """Forget some queues that would not be missed: all at once would hold everyone up.

        It goes on where it left off, so who is refused and asks again finds room if there is any.
        """
        if not self._to_look_at:
            self._to_look_at = list(self.queues.values())[::-1]
        forgotten = 0
        for _ in range(min(LOOKS_MAX, len(self._to_look_at))):
            queue = self._to_look_at.pop()
            if queue.is_plain() and self.queues.get(queue.name) is queue:
                self.close_queue(queue)
                forgotten += 1
                if forgotten == FORGOTTEN_MAX:
                    return

    # --- the steps of a message's life ----------------------------------------------------------

    def new_id(self) -> int:
        """The next message id."""
        self.last_id += 1
        if self.reserve and self.last_id + self.reserve // 2 > self.reserved_id:
            self._reserve()
        return self.last_id

    def new_ids(self, count: int) -> int:
        """The first of `count` message ids."""
        first = self.last_id + 1
        self.last_id += count
        if self.reserve and self.last_id + self.reserve // 2 > self.reserved_id:
            self._reserve()
        return first

    def new_leases(self, count: int) -> int:
        """The first of `count` lease numbers."""
        first = self.last_lease + 1
        self.last_lease += count
        if self.reserve and self.last_lease + self.reserve // 2 > self.reserved_lease:
            self._reserve()
        return first

    def _reserve(self) -> None:
        self.reserved_id = self.last_id + self.reserve
        self.reserved_lease = self.last_lease + self.reserve
        self.reservations += 1
        self.recorder.sequence(self.reserved_id, self.reserved_lease)

    def add(self, message: Message) -> None:
        """Enter a new message into the tables; its place in its queue comes next."""
        queue = message.queue
        size = len(message.body)
        queue.bytes += size
        self.memory += size + MESSAGE_OVERHEAD
        self.messages.add(message)
        if message.segment != self.bases.newest:
            self.bases.put(message.segment, message.id)
        live = self.live
        live[message.segment] = live.get(message.segment, 0) + 1

    def remove(self, message: Message) -> None:
        """Remove a message that no state's table holds any more."""
        if message.slot is not None:
            message.slot.discard(message)
            message.slot = None
        queue = message.queue
        size = len(message.body)
        queue.bytes -= size
        self.memory -= size + MESSAGE_OVERHEAD
        if message.details is not None:
            self.memory -= message.kept_bytes()
        message.state = GONE
        del self.messages[message.id]
        self.live[message.segment] -= 1
        if self.result_waiters:
            self.tell_end(message)

    def hold(self, message: Message) -> None:
        """Enter a message into its queue's table of its state, which is not ready."""
        message.queue.held(message.state)[message.id] = message
        self.counts[message.state] += 1

    def let_go(self, message: Message) -> None:
        """Take a message out of its queue's table of its state, which is not ready."""
        del message.queue.held(message.state)[message.id]
        self.counts[message.state] -= 1

    def make_ready(self, message: Message) -> None:
        """Let a message that was somewhere else be ready, at its place."""
        message.state = READY
        message.queue.ready.put_back(message)
        expires_at = message.expires_at()
        if expires_at:
            self.wheel.schedule(message, expires_at)
        self.awaken(message.queue.name)

    def make_delayed(self, message: Message, due: float) -> None:
        """Let a message be delayed until then, or until its ttl has passed, if that is sooner."""
        message.state = DELAYED
        self.hold(message)
        detail = message.detail()
        detail.due_at = due + self.offset
        self.wheel.schedule(message, min(due, detail.expires_at) if detail.expires_at else due)

    def make_dead(self, message: Message) -> None:
        """Let a message be dead."""
        self.wheel.cancel(message)
        message.state = DEAD
        self.hold(message)
        self.counters.deads += 1
        if self.result_waiters:
            self.tell_end(message)

    def make_done(self, message: Message, until: float) -> None:
        """Let a message be done, and kept until then."""
        message.state = DONE
        self.hold(message)
        self.wheel.schedule(message, until)
        if self.result_waiters:
            self.tell_end(message)

    def end_lease(self, message: Message) -> None:
        """Take a message out of its lease."""
        assert message.state == LEASED
        message.lease = 0
        self.let_go(message)
        if message.session is not None:
            del message.session.leases[message.id]
            message.session = None
        self.wheel.cancel(message)

    def withdraw(self, message: Message) -> None:
        """Remove a message, whatever its state."""
        state = message.state
        if state == READY:
            message.state = GONE
            message.queue.ready.note_gone(message.priority)
            self.remove(message)
            message.body = b""  # a leftover need not hold it
            message.details = None
            return
        if state == LEASED:
            self.end_lease(message)
        else:
            self.let_go(message)
        self.remove(message)

    def send_behind(self, message: Message) -> int:
        """Give a message the place behind everything that there is now."""
        self.last_place = max(self.last_place + 1, (self.last_id << 40) + 1)
        message.detail().place = self.last_place
        return self.last_place

    def tell_end(self, message: Message) -> None:
        """A message is done, dead or gone: tell everyone who waits for that."""
        for waiter in self.result_waiters.pop(message.id, ()):
            self.wheel.cancel(waiter)
            waiter.client.told(message)

    def awaken(self, name: str) -> None:
        """Something may be had in a queue: remember it, if anyone waits there."""
        line = self.waiters.get(name)
        if line is not None:
            self.hungry.add(next(iter(line)).number, name)
