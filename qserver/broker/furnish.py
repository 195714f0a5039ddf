"""The end of a restore: messages that are only their fields are put where these say they belong."""

from collections.abc import Iterable

from qserver.broker.broker import MESSAGE_OVERHEAD, Broker
from qserver.broker.message import DEAD, DELAYED, READY, Details, Message
from qserver.facts import Snapshot


def furnish(broker: Broker, messages: Iterable[Message], now: float) -> None:
    """Enter messages, which come in order of id, into their queues and the books; set every timer.

    Graces begin: a restart counts as every connection gone. What concerns only the past goes.
    """
    live = broker.live
    for message in messages:
        queue = message.queue
        size = len(message.body)
        queue.bytes += size
        broker.memory += size + MESSAGE_OVERHEAD
        live[message.segment] = live.get(message.segment, 0) + 1
        queue.index.add(message.id)
        if message.state == READY and message.details is None:
            queue.ready.put(message)
        else:
            _place(broker, message)
    for queue in broker.queues.values():
        if queue.dedup is not None:
            for segment in queue.dedup.segments():
                live[segment] = live.get(segment, 0) + 1
            queue.dedup.sort()
            deadline = queue.dedup.next_deadline()
            broker.wheel.schedule(queue, now if deadline is None else deadline)
    for session in list(broker.sessions.values()):
        if session.leases:
            broker.wheel.schedule(session, now + session.grace_s)
        else:
            del broker.sessions[session.name]


def _place(broker: Broker, message: Message) -> None:
    details = message.details
    if details is not None:
        broker.last_place = max(broker.last_place, details.place)
        broker.memory += message.kept_bytes()
    state = message.state
    if state == READY:
        _place_ready(broker, message)
        return
    broker.hold(message)
    if state == DELAYED:
        detail = message.detail()
        due = detail.due_at - broker.offset
        broker.wheel.schedule(message, min(due, detail.expires_at or due))
    elif state != DEAD:
        broker.wheel.schedule(message, message.deadline)


def _place_ready(broker: Broker, message: Message) -> None:
    details = message.detail()
    if details.place:
        message.queue.ready.put_back(message)
    else:
        message.queue.ready.put(message)
    if details.expires_at:
        broker.wheel.schedule(message, details.expires_at)


def shift(broker: Broker, seconds: float) -> None:
    """Let every deadline that was told so far be so much later."""
    for message in broker.messages.values():
        if message.deadline:
            message.deadline += seconds
        if message.details is not None and message.details.expires_at:
            message.details.expires_at += seconds
    for queue in broker.queues.values():
        if queue.dedup is not None:
            queue.dedup.shift(seconds)


def details_of(what: Snapshot, offset: float) -> Details | None:
    """What a snapshot tells besides the fields that every message has."""
    texts = (what.key, what.trace, what.dedup, what.reason, what.progress, what.result)
    if not any(texts) and not (what.expires or what.due or what.place):
        return None
    return Details(
        key=what.key,
        trace=what.trace,
        dedup=what.dedup,
        reason=what.reason,
        progress=what.progress,
        result=what.result,
        expires_at=what.expires - offset if what.expires else 0.0,
        due_at=what.due,
        place=what.place,
    )
