"""What a broker should do, written so that it is obviously right: one dict, and a search each time.

Times are monotonic seconds, those that end in `_wall` wall-clock ones; `inf` is never. Durations
are multiples of 1/8 s in these tests: exact in binary, in the wheel's ticks and in milliseconds.
"""

from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import Any

Receipt = tuple[int, int]
Delivered = tuple[str, list[Receipt]]
Told = tuple[str, int, str, bytes]
"""Who is told of which message, its state, and its result."""

DEFAULTS: dict[str, Any] = {
    "lease": 30.0,
    "max_failures": 10,
    "max_losses": 10,
    "backoff": 1.0,
    "backoff_factor": 2.0,
    "backoff_max": 300.0,
    "requeue": "front",
    "dedup_window": 300.0,
    "ttl": 0.0,
    "expired": "drop",
    "retain": 0.0,
    "max_messages": 0,
    "max_bytes": 0,
}
HELD = ("leased", "done")
OVERHEAD = 320


class Full(Exception):
    """There is no room."""


@dataclass
class ModelMessage:
    id: int
    queue: str
    body: bytes
    put_wall: float
    priority: int
    place: tuple[int, int]
    state: str = "ready"
    lease: int = 0
    deliveries: int = 0
    failures: int = 0
    losses: int = 0
    until: float = inf
    until_wall: float = inf
    due_wall: float = 0.0
    expires: float = inf
    expires_wall: float = inf
    texts: dict[str, str | None] = field(default_factory=dict)
    session: str | None = None
    progress: bytes = b""
    result: bytes = b""


@dataclass
class ModelQueue:
    settings: dict[str, Any] = field(default_factory=DEFAULTS.copy)
    paused: bool = False
    keys: dict[str, tuple[int, float, float]] = field(default_factory=dict)


@dataclass
class ModelSession:
    grace: float
    connections: set[str] = field(default_factory=set)
    ends: float = inf


@dataclass
class ModelWaiter:
    client: str
    queues: list[str]
    count: int
    lease: float | None
    until: float


@dataclass
class ModelAsker:
    """A RESULT that waits."""

    client: str
    id: int
    until: float


class Model:
    """The tables, and what is put into them; `verbs.py` has the verbs."""

    def __init__(self, now: float, wall: float, memory_max: int, reply_max: int) -> None:
        self.now = now
        self.offset = wall - now
        self.memory_max = memory_max
        self.reply_max = reply_max
        self.messages: dict[int, ModelMessage] = {}
        self.queues: dict[str, ModelQueue] = {}
        self.sessions: dict[str, ModelSession] = {}
        self.session_of: dict[str, str] = {}
        self.waiters: list[ModelWaiter] = []
        self.askers: list[ModelAsker] = []
        self.told: list[Told] = []
        self.delivered: list[Delivered] = []
        self.last_id = self.last_lease = self.behind = 0
        self.counters: Counter[str] = Counter()

    def of(self, queue: str, *states: str) -> list[ModelMessage]:
        return [
            message
            for _, message in sorted(self.messages.items())
            if message.queue == queue and (not states or message.state in states)
        ]

    def ready(self, queue: str) -> list[ModelMessage]:
        """In the order of delivery."""
        if queue in self.queues and self.queues[queue].paused:
            return []
        return sorted(self.of(queue, "ready"), key=lambda m: (-m.priority, m.place))

    def open(self, queue: str) -> ModelQueue:
        return self.queues.setdefault(queue, ModelQueue())

    def setting(self, queue: str, name: str) -> Any:
        return self.queues[queue].settings[name] if queue in self.queues else DEFAULTS[name]

    def memory(self) -> int:
        return sum(
            len(m.body) + len(m.progress) + len(m.result) + OVERHEAD for m in self.messages.values()
        )

    def size(self, queue: str) -> int:
        return sum(len(m.body) for m in self.of(queue))

    def holder(self, receipt: Receipt) -> ModelMessage | None:
        message = self.messages.get(receipt[0])
        return message if message is not None and message.lease == receipt[1] else None

    def hold(self, message: ModelMessage, state: str, seconds: float) -> None:
        message.state = state
        message.until = self.now + seconds
        message.until_wall = message.until + self.offset

    def die(self, message: ModelMessage) -> None:
        message.state = "dead"
        self.counters["deads"] += 1

    def free(self, message: ModelMessage) -> None:
        message.lease = 0
        message.session = None

    def come_back(self, message: ModelMessage, pause: float, *, dead: bool) -> None:
        if dead:
            self.die(message)
            return
        if self.setting(message.queue, "requeue") == "back":
            self.send_behind(message)
        message.state = "delayed" if pause else "ready"
        message.due_wall = self.now + pause + self.offset
        self.expire_if_over(message)

    def send_behind(self, message: ModelMessage) -> None:
        self.behind += 1
        message.place = (self.last_id, self.behind)

    def expire_if_over(self, message: ModelMessage) -> bool:
        if message.state not in ("ready", "delayed") or message.expires > self.now:
            return False
        self.counters["expiries"] += 1
        if self.setting(message.queue, "expired") == "drop":
            del self.messages[message.id]
        else:
            message.texts["reason"] = "expired"
            self.die(message)
        return True

    def lose(self, message: ModelMessage) -> None:
        self.free(message)
        message.losses += 1
        self.counters["losses"] += 1
        limit = self.setting(message.queue, "max_losses")
        dead = 0 < limit <= message.losses
        if dead:
            message.texts["reason"] = "lost too often"
        self.come_back(message, self.backoff(message.queue, message.losses - 1), dead=dead)

    def backoff(self, queue: str, times: int) -> float:
        if not times:
            return 0.0
        grown = self.setting(queue, "backoff") * self.setting(queue, "backoff_factor") ** (
            times - 1
        )
        return float(min(grown, self.setting(queue, "backoff_max")))

    def deadline(self, message: ModelMessage) -> float:
        if message.state in HELD:
            return message.until
        if message.state == "dead":
            return inf
        due = message.due_wall - self.offset if message.state == "delayed" else inf
        return min(due, message.expires)

    def next_deadline(self) -> float:
        return min(
            [self.deadline(message) for message in self.messages.values()]
            + [session.ends for session in self.sessions.values()]
            + [waiter.until for waiter in self.waiters]
            + [asker.until for asker in self.askers],
            default=inf,
        )
