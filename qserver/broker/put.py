"""PUT: a new message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qserver.broker.broker import MESSAGE_OVERHEAD, Broker
from qserver.broker.dedup import Dedup
from qserver.broker.message import Details, Message
from qserver.broker.queue import DEFAULTS, Queue
from qserver.config import PRIORITY_DEFAULT
from qserver.errors import RequestError

KEYS_OVER_MAX: Final = 128
"""Dedup keys that one PUT, or a run of them, forgets at most; the next ticks forget the rest."""


@dataclass(slots=True)
class Options:
    """What a PUT can ask for; durations in seconds, `at` in wall-clock seconds."""

    delay: float = 0.0
    at: float = 0.0
    priority: int = PRIORITY_DEFAULT
    ttl: float = 0.0
    dedup: str | None = None
    dedup_window: float | None = None
    key: str | None = None
    trace: str | None = None


def put(broker: Broker, now: float, name: str, body: bytes) -> int:
    """Store a message that has nothing but a body, and answer its id.

    Raises:
        RequestError: `full`.
    """
    if broker.memory + len(body) + MESSAGE_OVERHEAD > broker.memory_bytes_max:
        refuse_full(broker)
    queue = broker.queues.get(name)
    if queue is None:
        queue = broker.open_queue(name)
    if queue.settings is not DEFAULTS:
        return put_with(broker, now, name, body, Options())[0]
    recorder = broker.recorder
    message = Message(
        broker.new_id(), queue, body, broker.put_at(now), PRIORITY_DEFAULT, recorder.segment
    )
    broker.add(message)
    queue.index.add(message.id)
    queue.ready.put(message)
    recorder.put(queue.encoded, message)
    broker.counters.puts += 1
    if broker.waiters:
        broker.awaken(name)
    return message.id


def put_run(
    broker: Broker, now: float, name: str, bodies: list[bytes], keys: list[str] | None = None
) -> int:
    """Store messages that have a body, and perhaps a dedup key, at one stroke.

    It takes a third of what they take one by one.

    Returns:
        The id of the first, the others have those that follow; 0 when nothing was done, since each
        has to be looked at by itself: there may not be room for all, or one is a duplicate, or the
        queue has settings, or is not there yet.
    """
    queue = broker.queues.get(name)
    if queue is None or queue.settings is not DEFAULTS:
        return 0
    count = len(bodies)
    size = sum(map(len, bodies))
    memory = broker.memory + size + count * MESSAGE_OVERHEAD
    if memory > broker.memory_bytes_max or (keys is not None and not _are_new(queue, keys)):
        return 0
    recorder = broker.recorder
    put_at = broker.put_at(now)
    first = broker.new_ids(count)
    ids = range(first, first + count)
    segment = recorder.segment
    messages = [
        Message(message_id, queue, body, put_at, PRIORITY_DEFAULT, segment)
        for message_id, body in zip(ids, bodies, strict=True)
    ]
    broker.memory = memory
    _enter(broker, first, messages)
    queue.bytes += size
    queue.index.add_run(first, count)
    queue.ready.put_run(messages)
    if keys is None:
        recorder.put_run(queue.encoded, first, put_at, bodies)
    else:
        for message, key in zip(messages, keys, strict=True):
            message.details = Details(dedup=key)
        until = now + queue.settings.dedup_window
        remember_keys(broker, queue, keys, ids, until, now)
        recorder.put_run_with(queue.encoded, first, put_at, bodies, keys, broker.wall(until))
    if broker.waiters:
        broker.awaken(name)
    return first


def put_mixed(broker: Broker, now: float, names: list[str], bodies: list[bytes]) -> int:
    """As `put_run`, without dedup keys, each message in the queue of that name."""
    queues: list[Queue] = []
    for name in names:
        queue = broker.queues.get(name)
        if queue is None or queue.settings is not DEFAULTS:
            return 0
        queues.append(queue)
    count = len(bodies)
    memory = broker.memory + sum(map(len, bodies)) + count * MESSAGE_OVERHEAD
    if not count or memory > broker.memory_bytes_max:
        return 0
    recorder = broker.recorder
    segment, put_at, first = recorder.segment, broker.put_at(now), broker.new_ids(count)
    messages = [
        Message(message_id, queue, body, put_at, PRIORITY_DEFAULT, segment)
        for message_id, queue, body in zip(range(first, first + count), queues, bodies, strict=True)
    ]
    broker.memory = memory
    _enter(broker, first, messages)
    for message, queue in zip(messages, queues, strict=True):
        queue.bytes += len(message.body)
        queue.index.add(message.id)
        queue.ready.put(message)
        recorder.put(queue.encoded, message)
    if broker.waiters:
        for name in names:
            broker.awaken(name)
    return first


def _are_new(queue: Queue, keys: list[str]) -> bool:
    """Whether none of the dedup keys is known, or stands there twice."""
    return len(set(keys)) == len(keys) and (queue.dedup is None or queue.dedup.has_none(keys))


def _enter(broker: Broker, first: int, messages: list[Message]) -> None:
    """Enter new messages with consecutive ids into what holds those of all queues."""
    segment = broker.recorder.segment
    broker.messages.add_run(first, messages)
    broker.bases.put(segment, first)
    broker.live[segment] = broker.live.get(segment, 0) + len(messages)
    broker.counters.puts += len(messages)


def put_with(
    broker: Broker, now: float, name: str, body: bytes, options: Options
) -> tuple[int, bool]:
    """Store a message.

    Returns:
        Its id; and whether it is a duplicate, so that the id is the first one's.

    Raises:
        RequestError: `full`.
    """
    queue = broker.queues.get(name)
    if options.dedup is not None and queue is not None and queue.dedup is not None:
        first = queue.dedup.find(options.dedup, now)
        if first is not None:
            broker.counters.duplicates += 1
            return first, True
    if broker.memory + len(body) + MESSAGE_OVERHEAD > broker.memory_bytes_max:
        refuse_full(broker)
    if queue is None:
        queue = broker.open_queue(name)
    _check_room(queue, len(body))
    settings = queue.settings
    ttl = options.ttl or settings.ttl
    due = now + options.delay if options.delay else options.at and options.at - broker.offset
    message = Message(
        broker.new_id(),
        queue,
        body,
        broker.put_at(now),
        options.priority,
        broker.recorder.segment,
    )
    if options.key or options.trace or options.dedup or ttl:
        message.details = Details(
            key=options.key,
            trace=options.trace,
            dedup=options.dedup,
            expires_at=now + ttl if ttl else 0.0,
        )
    broker.add(message)
    queue.index.add(message.id)
    dedup_until = 0.0
    if options.dedup is not None:
        asked = options.dedup_window
        dedup_until = now + (settings.dedup_window if asked is None else asked)
        remember_key(broker, queue, options.dedup, message.id, dedup_until, now)
    broker.recorder.put_with(
        queue.encoded,
        message,
        due=broker.wall(due) if due > now else 0.0,
        expires=broker.wall(now + ttl) if ttl else 0.0,
        dedup_until=broker.wall(dedup_until) if dedup_until else 0.0,
        key=options.key,
        trace=options.trace,
        dedup=options.dedup,
    )
    broker.counters.puts += 1
    if due > now:
        broker.make_delayed(message, due)
    else:
        queue.ready.put(message)
        if ttl:
            broker.wheel.schedule(message, now + ttl)
        broker.awaken(name)
    return message.id, False


def remember_key(
    broker: Broker, queue: Queue, key: str, message_id: int, until: float, now: float
) -> None:
    """Let a dedup key of the queue hold until then, and forget those whose time is over."""
    dedup, segment = _keys_of(queue), broker.recorder.segment
    broker.live[segment] = broker.live.get(segment, 0) + 1
    replaced = dedup.add_one(key, message_id, until, segment)
    if replaced is not None:
        broker.live[replaced] -= 1
    _watch_keys(broker, queue, dedup, until, now)


def remember_keys(
    broker: Broker,
    queue: Queue,
    keys: Sequence[str],
    ids: Sequence[int],
    until: float,
    now: float,
) -> None:
    """The same for many, each with the id that was stored under it."""
    dedup, segment = _keys_of(queue), broker.recorder.segment
    broker.live[segment] = broker.live.get(segment, 0) + len(keys)
    for replaced in dedup.add(keys, ids, until, segment):
        broker.live[replaced] -= 1
    _watch_keys(broker, queue, dedup, until, now)


def _keys_of(queue: Queue) -> Dedup:
    if queue.dedup is None:
        queue.dedup = Dedup()
    return queue.dedup


def _watch_keys(broker: Broker, queue: Queue, dedup: Dedup, until: float, now: float) -> None:
    """Forget the keys whose time is over, and see to it that the new ones are forgotten then."""
    if dedup.has_over(now):
        expire_keys(broker, queue, now, KEYS_OVER_MAX)
    if queue.slot is None or now < until < queue.deadline:
        broker.wheel.schedule(queue, until)


def expire_keys(broker: Broker, queue: Queue, now: float, count: int) -> None:
    """Forget dedup keys whose time is over, up to about `count`."""
    assert queue.dedup is not None
    for segment in queue.dedup.expire(now, count):
        broker.live[segment] -= 1


def _check_room(queue: Queue, size: int) -> None:
    settings = queue.settings
    if settings.max_messages and len(queue) >= settings.max_messages:
        raise RequestError(
            "full",
            f"queue {queue.name} has {len(queue)} messages, "
            f"and max_messages={settings.max_messages}",
        )
    if settings.max_bytes and queue.bytes + size > settings.max_bytes:
        raise RequestError(
            "full",
            f"queue {queue.name} has {queue.bytes} bytes, this message {size}, "
            f"and max_bytes={settings.max_bytes}",
        )


def refuse_full(broker: Broker) -> None:
    """Say which has no room, the disk or the memory.

    Raises:
        RequestError: `full`.
    """
    if broker.memory_bytes_max < broker.limits.memory_bytes_max:
        raise RequestError(
            "full", "the disk has no room for new messages; GET, ACK and the like go on"
        )
    raise RequestError(
        "full",
        f"the messages take about {broker.memory} bytes of memory, "
        f"and memory_bytes_max={broker.limits.memory_bytes_max}",
    )
