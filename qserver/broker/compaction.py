"""Compaction: what keeps an old segment of the journal alive is told again at its end.

Each message knows the segment of the record it can be rebuilt from, and `bases.py` which ids to
ask: so moving the end of the journal costs nothing for messages that stay where they are. When
nothing needs a segment any more it is dropped, with all the later records of messages that have
gone: the rest of the journal says of them what nobody asks for.

How much is moved, and when, is the server's concern: `server/compactor.py`.
"""

from qserver.broker.broker import MESSAGE_OVERHEAD, Broker
from qserver.broker.message import DELAYED, DONE, LEASED, READY, STATES, Message
from qserver.broker.queue import Queue
from qserver.config import PRIORITY_DEFAULT
from qserver.facts import Snapshot

RECORD_OVERHEAD = 80
"""Bytes that the record of a message takes besides its body, or that of a dedup key: about."""

LOOKS_MAX = 4096
"""So many messages are looked at in one call, most of which may have gone: about 0.5 ms."""


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
    moved, looks = 0, LOOKS_MAX
    while moved < budget and (looks > 0 or not moved):
        ids = broker.bases.take(segment, broker.messages)
        if not ids:
            break
        looks -= len(ids)
        moved += _move_messages(broker, segment, ids, budget - moved)
    if moved or not broker.live.get(segment):
        return moved  # and no queue need be asked for its keys
    return _move_keys(broker, segment, budget)


def _move_messages(broker: Broker, segment: int, ids: list[int], budget: int) -> int:
    """Of these, move those that need the segment; answers how many bytes."""
    messages, recorder, bases = broker.messages, broker.recorder, broker.bases
    target = recorder.segment
    moved = count = 0
    for at, message_id in enumerate(ids):
        if moved >= budget:
            bases.give_back(segment, ids[at:])
            break
        message = messages.get(message_id)
        if message is None or message.segment != segment:
            continue
        moved += len(message.body) + message.kept_bytes() + RECORD_OVERHEAD
        count += 1
        message.segment = target
        bases.tell_again(target, message_id)
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


def forget_before(broker: Broker, segment: int) -> None:
    """Older segments are dropped: nothing is asked of them any more."""
    broker.bases.forget_before(segment)
    live = broker.live
    for older in [number for number in live if number < segment]:
        del live[older]


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
