"""Whether a broker holds what its model says, and whether its own books are in order."""

from collections import Counter
from copy import deepcopy
from dataclasses import asdict
from math import inf
from typing import Any

from qserver.broker.broker import MESSAGE_OVERHEAD, Broker
from qserver.broker.counters import COUNTED
from qserver.broker.message import DEAD, DELAYED, DONE, GONE, LEASED, READY, STATES, Message
from qserver.broker.queue import DEFAULTS, Queue
from tests.model.model import HELD, Model, ModelMessage

TEXTS = ("key", "trace", "dedup", "reason")
HELD_STATES = (LEASED, DELAYED, DEAD, DONE)


def check(broker: Broker, model: Model) -> None:
    check_same(broker, model)
    check_books(broker)
    check_nobody_waits_in_vain(broker)
    assert {name: getattr(broker.counters, name) for name in COUNTED} == {
        name: model.counters[name] for name in COUNTED
    }


def check_same(broker: Broker, model: Model) -> None:
    assert {i: shown(m) for i, m in broker.messages.items()} == {
        i: expected(m) for i, m in model.messages.items()
    }
    assert (broker.last_id, broker.last_lease) == (model.last_id, model.last_lease)
    _check_queues(broker, model)
    assert {i: len(line) for i, line in broker.result_waiters.items()} == Counter(
        asker.id for asker in model.askers
    )
    assert {name: set(session.leases) for name, session in broker.sessions.items()} == {
        name: {m.id for m in model.messages.values() if m.session == name}
        for name in model.sessions
    }
    assert {name: session.grace_s for name, session in broker.sessions.items()} == {
        name: session.grace for name, session in model.sessions.items()
    }


def _check_queues(broker: Broker, model: Model) -> None:
    for name, queue in broker.queues.items():
        assert in_order(queue) == [m.id for m in _ready(model, name)]
        for number, state in enumerate(STATES):
            assert queue.count(number) == len(model.of(name, state))
        if queue.is_plain():
            continue
        if name not in model.queues:  # dropped when only a key was left of it that is over
            assert (len(queue), queue.paused, queue.settings) == (0, False, DEFAULTS)
            continue
        assert asdict(queue.settings) == model.queues[name].settings
        assert queue.paused == model.queues[name].paused
        _check_keys(queue, model)
    plain = model.queues.keys() - broker.queues.keys()
    assert not any(model.of(name) or model.queues[name].paused for name in plain)


def _ready(model: Model, queue: str) -> list[ModelMessage]:
    return sorted(model.of(queue, "ready"), key=lambda m: (-m.priority, m.place))


def _check_keys(queue: Queue, model: Model) -> None:
    for key, (first, until, _) in model.queues[queue.name].keys.items():
        found = None if queue.dedup is None else queue.dedup.find(key, model.now)
        assert found == (first if until > model.now else None)


def shown(message: Message) -> dict[str, Any]:
    """A message's fields, as far as they mean something in its state."""
    return {
        "queue": message.queue.name,
        "body": message.body,
        "put_at": message.put_at,
        "priority": message.priority,
        "state": STATES[message.state],
        "counters": (message.lease, message.deliveries, message.failures, message.losses),
        "until": message.deadline if message.state in (LEASED, DONE) else inf,
        "due": message.detail().due_at if message.state == DELAYED else 0,
        "expires": message.expires_at() or inf,
        "texts": {name: text for name in TEXTS if (text := getattr(message.details, name, None))},
        "session": message.session and message.session.name,
        "kept": [getattr(message.details, name, b"") for name in ("progress", "result")],
    }


def expected(message: ModelMessage) -> dict[str, Any]:
    return {
        "queue": message.queue,
        "body": message.body,
        "put_at": message.put_wall,
        "priority": message.priority,
        "state": message.state,
        "counters": (message.lease, message.deliveries, message.failures, message.losses),
        "until": message.until if message.state in HELD else inf,
        "due": message.due_wall if message.state == "delayed" else 0,
        "expires": message.expires,
        "texts": {name: text for name in TEXTS if (text := message.texts.get(name))},
        "session": message.session,
        "kept": [message.progress, message.result],
    }


def in_order(queue: Queue) -> list[int]:
    """Ids of the ready messages in the order of delivery, without taking them."""
    ids = []
    for lane in queue.ready._lanes:
        entries = [(message.id << 40, message) for message in lane.fresh]
        entries += [(place, message) for place, _, message in lane.returned]
        entries.sort(key=lambda entry: entry[0])
        ids += [message.id for _, message in entries if message.state != GONE]
    return ids


def check_books(broker: Broker) -> None:
    """What is counted is what is there."""
    messages = list(broker.messages.values())
    live = Counter(message.segment for message in messages)
    assert broker.memory == sum(len(m.body) + _kept(m) + MESSAGE_OVERHEAD for m in messages)
    assert broker.names == sorted(broker.queues)
    for queue in broker.queues.values():
        live.update(queue.dedup.segments() if queue.dedup else ())
        _check_queue_books(queue, [message for message in messages if message.queue is queue])
    assert {segment: count for segment, count in broker.live.items() if count} == dict(live)
    for segment in {message.segment for message in messages}:
        asked = _asked(broker, segment)
        assert {message.id for message in messages if message.segment == segment} <= asked
    assert broker.counts[READY] == 0
    for state in HELD_STATES:
        assert broker.counts[state] == sum(message.state == state for message in messages)
    waiting = {waiter for line in broker.waiters.values() for waiter in line}
    assert broker.waiting == len(waiting)
    for session in broker.sessions.values():
        assert all(message.session is session for message in session.leases.values())


def _asked(broker: Broker, segment: int) -> set[int]:
    """The ids that compaction would ask, of those whose records may stand in a segment."""
    bases = deepcopy(broker.bases)
    asked: set[int] = set()
    while ids := bases.take(segment, broker.messages):
        asked.update(ids)
    return asked


def _kept(message: Message) -> int:
    return sum(len(getattr(message.details, name, b"")) for name in ("progress", "result"))


def _check_queue_books(queue: Queue, messages: list[Message]) -> None:
    assert queue.bytes == sum(len(message.body) for message in messages)
    assert len(queue) == len(messages)
    for state in HELD_STATES:
        expected = {m.id: m for m in messages if m.state == state}
        assert dict(queue.held(state).items()) == expected
    assert queue.ready.count == sum(message.state == READY for message in messages)
    for lane in queue.ready._lanes:
        entries = [*lane.fresh, *(entry[2] for entry in lane.returned)]
        assert lane.leftovers == sum(message.state == GONE for message in entries)
    ids = list(queue.ids_after(0))
    assert ids == sorted(set(ids)), "the index is out of order"
    assert {message.id for message in messages} <= set(ids)


def check_nobody_waits_in_vain(broker: Broker) -> None:
    for name in broker.waiters:
        queue = broker.queues.get(name)
        assert queue is None or queue.paused or not queue.ready.count


def bases(broker: Broker) -> dict[Any, int]:
    """The segment of every message and every dedup key."""
    found: dict[Any, int] = {m.id: m.segment for m in broker.messages.values()}
    for name, queue in broker.queues.items():
        if queue.dedup is not None:
            found |= {(name, key): entry[2] for key, entry in queue.dedup.items()}
    return found
