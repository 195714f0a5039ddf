"""Compaction: what keeps an old segment of the journal alive is told again at its end.

Messages stand in the broker's table in the order of the records they can be rebuilt from, since a
message that is told again goes to the table's end. So those that need the oldest segment are the
first ones, and moving the journal's end costs nothing for messages that stay where they are. When
nothing needs a segment any more it is dropped, with all the later records of messages that have
gone: the rest of the journal says of them what nobody asks for.

How much is moved, and when, is the server's concern: `server/compactor.py`.
"""

from itertools import islice

from qserver.broker.broker import MESSAGE_OVERHEAD, Broker
from qserver.broker.message import DELAYED, DONE, LEASED, READY, STATES, Message
from qserver.broker.queue import Queue
from qserver.config import PRIORITY_DEFAULT
from qserver.facts import Snapshot

RECORD_OVERHEAD = 80
"""Bytes that the record of a message takes besides its body, or that of a dedup key: about."""

SLICE = 1000
"""So many messages are looked at in one go."""


def live_bytes(broker: Broker) -> int:
    """What the records would take that are needed to rebuild everything: about."""
    messages = len(broker.messages)
    kept = broker.memory - messages * MESSAGE_OVERHEAD
    return kept + sum(broker.live.values()) * RECORD_OVERHEAD


def move(broker: Broker, segment: int, budget: int) -> int:
    """Tell again what needs that segment, the oldest one: about `budget` bytes of records.

    Returns:
        How many bytes that were; 0 if nothing needs the segment.
    """
    moved = 0
    while moved < budget:
        batch = list(islice(broker.messages.values(), SLICE))
        for message in batch:
            if message.segment != segment or moved >= budget:
                break
            moved += len(message.body) + message.kept_bytes() + RECORD_OVERHEAD
            _move_message(broker, message)
        else:
            if batch:
                continue
        break
    return moved or _move_keys(broker, segment, budget)


def _move_message(broker: Broker, message: Message) -> None:
    messages = broker.messages
    del messages[message.id]
    messages[message.id] = message
    broker.live[message.segment] -= 1
    message.segment = segment = broker.recorder.segment
    broker.live[segment] = broker.live.get(segment, 0) + 1
    if (
        message.state == READY
        and not message.deliveries
        and message.priority == PRIORITY_DEFAULT
        and message.details is None
    ):
        broker.recorder.put(message.queue.encoded, message)
    else:
        broker.recorder.message(
            message.queue.encoded, message.id, message.body, snapshot(broker, message)
        )


def snapshot(broker: Broker, message: Message) -> Snapshot:
    """A message as it stands."""
    state = message.state
    what = Snapshot(
        put_at=message.put_at,
        priority=message.priority,
        state=STATES[state],
        lease=message.lease,
        until=broker.wall(message.deadline) if state in (LEASED, DONE) else 0.0,
        session=None if message.session is None else message.session.name,
        deliveries=message.deliveries,
        failures=message.failures,
        losses=message.losses,
    )
    details = message.details
    if details is not None:
        what.key = details.key
        what.trace = details.trace
        what.dedup = details.dedup
        what.reason = details.reason
        what.progress = details.progress
        what.result = details.result
        what.due = details.due_at if state == DELAYED else 0.0
        what.expires = broker.wall(details.expires_at) if details.expires_at else 0.0
        what.place = details.place
    return what


def _move_keys(broker: Broker, segment: int, budget: int) -> int:
    """The same for dedup keys, which can outlive their messages."""
    moved = 0
    for queue in list(broker.queues.values()):
        if queue.dedup is not None:
            moved += _move_keys_of(broker, queue, segment, budget - moved)
            if moved >= budget:
                break
    return moved


def _move_keys_of(broker: Broker, queue: Queue, segment: int, budget: int) -> int:
    assert queue.dedup is not None
    target = broker.recorder.segment
    moved = 0
    for key, message_id, until in queue.dedup.move(segment, target, budget // RECORD_OVERHEAD):
        broker.live[segment] -= 1
        broker.live[target] = broker.live.get(target, 0) + 1
        broker.recorder.dedup(queue.encoded, key, message_id, broker.wall(until))
        moved += len(key) + RECORD_OVERHEAD
    return moved
