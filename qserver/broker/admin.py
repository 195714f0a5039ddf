"""QUEUE, PAUSE, RESUME; PURGE and DROP of few messages: what operators do to whole queues."""

from dataclasses import asdict, replace
from typing import Any, Final

from qserver.broker.broker import Broker
from qserver.broker.message import READY, STATES
from qserver.broker.queue import DEFAULTS, Queue, Settings

_DEFAULTS: Final = asdict(DEFAULTS)


def configure(broker: Broker, name: str, changes: dict[str, Any]) -> Settings:
    """Create the queue or change its settings; answers all of them."""
    queue = broker.open_queue(name)
    settings = replace(queue.settings, **changes)
    if settings == DEFAULTS:
        settings = DEFAULTS
    if settings != queue.settings:
        queue.settings = settings
        record_queue(broker, queue)
    return settings


def record_queue(broker: Broker, queue: Queue) -> None:
    """Record a queue's settings and whether it is paused."""
    settings = queue.settings
    differing = {
        name: value
        for name, default in _DEFAULTS.items()
        if (value := getattr(settings, name)) != default
    }
    broker.recorder.queue(queue.encoded, differing, paused=queue.paused)


def pause(broker: Broker, name: str, *, paused: bool) -> bool:
    """Pause or resume a queue; answers whether that changed anything."""
    if not paused and name not in broker.queues:
        return False
    queue = broker.open_queue(name)
    if queue.paused == paused:
        return False
    queue.paused = paused
    record_queue(broker, queue)
    if not paused:
        broker.awaken(name)
    return True


def purge(broker: Broker, name: str, states: list[int]) -> int:
    """Remove all messages of the queue that are in these states; answers how many."""
    queue = broker.queues.get(name)
    if queue is None:
        return 0
    count = sum(queue.count(state) for state in states)
    if count:
        withdraw_all(broker, queue, states)
        broker.recorder.purge(queue.encoded, [STATES[state] for state in states])
    return count


def withdraw_all(broker: Broker, queue: Queue, states: list[int]) -> None:
    """Remove all messages of the queue that are in these states."""
    for state in states:
        if state == READY:
            for message in queue.ready.take(queue.ready.count, 1 << 62):
                broker.remove(message)
        else:
            for message in list(queue.held(state).values()):
                broker.withdraw(message)
    queue.index.shrink()


def drop(broker: Broker, name: str) -> int:
    """Remove the queue with all it has; answers how many messages that were."""
    queue = broker.queues.get(name)
    if queue is None:
        return 0
    count = len(queue)
    remove_queue(broker, queue)
    broker.recorder.drop(queue.encoded)
    return count


def remove_queue(broker: Broker, queue: Queue) -> None:
    """Remove the queue with its messages and keys."""
    withdraw_all(broker, queue, list(range(len(STATES))))
    if queue.dedup is not None:
        for segment in queue.dedup.segments():
            broker.live[segment] -= 1
    broker.close_queue(queue)
