"""What a new segment begins with: the small facts that no message carries.

Old segments are dropped when no message or dedup key needs them. What else they told (queues'
settings, sessions, the numbers given out) must then stand in a later one: each segment tells it
again at its beginning. Where there are very many queues that is a slice with each batch, and no old
segment is dropped until all is told: what changes meanwhile is told when it does.
"""

from qserver.broker.admin import record_queue
from qserver.broker.broker import Broker
from qserver.broker.queue import DEFAULTS

SLICE = 500
"""Queues and sessions that are told at once, in about 2 ms."""

LOOKS_MAX = 20_000
"""Queues that are looked at for that, since most need not be told: about 1 ms."""


class Checkpoint:
    """Everything that is not a message or a dedup key, as it is told.

    Attributes:
        segment: where it begins.
    """

    __slots__ = ("_broker", "_queues", "_sessions", "segment")

    def __init__(self, broker: Broker) -> None:
        recorder = broker.recorder
        self.segment = recorder.segment
        self._broker = broker
        self._sessions = list(broker.sessions.values())
        self._queues = list(broker.queues.values())
        recorder.sequence(
            max(broker.last_id, broker.reserved_id), max(broker.last_lease, broker.reserved_lease)
        )
        if broker.boot:
            recorder.clock(broker.boot, broker.offset)

    def tell_some(self, count: int = SLICE) -> bool:
        """Tell so many sessions and queues; answers whether that was all."""
        broker = self._broker
        while self._sessions and count:
            session = self._sessions.pop()
            if broker.sessions.get(session.name) is session:
                broker.recorder.session(session.name, session.grace_s)
                count -= 1
        looks = LOOKS_MAX
        while self._queues and count and looks:
            looks -= 1
            queue = self._queues.pop()
            if queue.settings is DEFAULTS and not queue.paused:
                continue
            if broker.queues.get(queue.name) is queue:
                record_queue(broker, queue)
                count -= 1
        return not self._sessions and not self._queues


def checkpoint(broker: Broker) -> None:
    """Record everything that is not a message or a dedup key, at once."""
    telling = Checkpoint(broker)
    while not telling.tell_some():
        pass


def record_stop(broker: Broker) -> None:
    """Record that no number above these was given out: none need be skipped at the next start."""
    broker.recorder.stop(broker.last_id, broker.last_lease)
