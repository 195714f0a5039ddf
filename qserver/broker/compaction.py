"""Compaction: what keeps an old segment of the journal alive is told again at its end.

Messages stand in the broker's table in the order of the records they can be rebuilt from, since a
message that is told again goes to the table's end. So those that need the oldest segment are the
first ones, and moving the journal's end costs nothing for messages that stay where they are. When
nothing needs a segment any more it is dropped, with all the later records of messages that have
gone: the rest of the journal says of them what nobody asks for.

How much is moved, and when, is the server's concern: `server/compactor.py`.
"""

from collections import deque
from itertools import islice

from qserver.broker.broker import MESSAGE_OVERHEAD, Broker
from qserver.broker.message import DELAYED, DONE, LEASED, READY, STATES, Message
from qserver.broker.queue import Queue
from qserver.config import PRIORITY_DEFAULT
from qserver.facts import Snapshot

RECORD_OVERHEAD = 80
"""Bytes that the record of a message takes besides its body, or that of a dedup key: about."""

FRONT = 10_000
"""So many ids are taken from the front of the table in one go."""


def live_bytes(broker: Broker) -> int:
    """What the records would take that are needed to rebuild everything: about."""
    messages = len(broker.messages)
    kept = broker.memory - messages * MESSAGE_OVERHEAD
    return kept + sum(broker.live.values()) * RECORD_OVERHEAD


def move(broker: Broker, segment: int, budget: int, front: deque[int] | None = None) -> int:
    """Tell again what needs that segment, the oldest one: about `budget` bytes of records.

    Who moves again and again keeps a `front`, empty at first: ids at the front of the table, filled
    here. It spares the way over the places of what has gone, which a dict keeps: milliseconds at
    each call in a table of millions.

    Returns:
        How many bytes that were; 0 if nothing needs the segment.
    """
    front = deque() if front is None else front
    moved = 0
    while moved < budget:
        if not front:
            front.extend(islice(broker.messages, FRONT))
        moved += _move_first(broker, front, segment, budget - moved)
        if front or not broker.messages:
            break
    return moved or _move_keys(broker, segment, budget)


def _move_first(broker: Broker, front: deque[int], segment: int, budget: int) -> int:
    """Of these, move the first ones that need the segment; answers how many bytes."""
    messages, recorder = broker.messages, broker.recorder
    target = recorder.segment
    moved = count = 0
    while front and moved < budget:
        message = messages.get(front[0])
        if message is not None and message.segment != segment:
            break
        message_id = front.popleft()
        if message is None:
            continue
        moved += len(message.body) + message.kept_bytes() + RECORD_OVERHEAD
        count += 1
        del messages[message_id]
        messages[message_id] = message
        message.segment = target
        if (
            message.state == READY
            and not message.deliveries
            and message.priority == PRIORITY_DEFAULT
            and message.details is None
        ):
            recorder.put(message.queue.encoded, message)
        else:
            recorder.message(
                message.queue.encoded, message_id, message.body, snapshot(broker, message)
            )
    if count:
        broker.live[segment] -= count
        broker.live[target] = broker.live.get(target, 0) + count
    return moved


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
