"""What a new segment begins with: the small facts that no message carries.

Old segments are dropped when no message or dedup key needs them. What else they told (queues'
settings, sessions, the numbers given out) must then stand in a later one: each segment tells it
again at its beginning.
"""

from qserver.broker.admin import record_queue
from qserver.broker.broker import Broker
from qserver.broker.queue import DEFAULTS


def checkpoint(broker: Broker) -> None:
    """Record everything that is not a message or a dedup key."""
    recorder = broker.recorder
    recorder.sequence(
        max(broker.last_id, broker.reserved_id), max(broker.last_lease, broker.reserved_lease)
    )
    if broker.boot:
        recorder.clock(broker.boot, broker.offset)
    for session in broker.sessions.values():
        recorder.session(session.name, session.grace_s)
    for queue in broker.queues.values():
        if queue.settings is not DEFAULTS or queue.paused:
            record_queue(broker, queue)


def record_stop(broker: Broker) -> None:
    """Record that no number above these was given out: none need be skipped at the next start."""
    broker.recorder.stop(broker.last_id, broker.last_lease)
