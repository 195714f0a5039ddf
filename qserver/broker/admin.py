"""QUEUE, PAUSE, RESUME, PURGE, DROP, REDRIVE: what operators do to whole queues."""

from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any

from qserver.broker.broker import Broker
from qserver.broker.message import READY, STATES, Message
from qserver.broker.queue import DEFAULTS, Queue, Settings

SLICE = 1000
"""How many ids one record names at most."""


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
    defaults = asdict(DEFAULTS)
    differing = {
        name: value for name, value in asdict(queue.settings).items() if value != defaults[name]
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


def redrive(
    broker: Broker,
    name: str,
    *,
    count: int | None,
    reason: str | None,
    to: str | None,
    dry: bool,
) -> int:
    """Make dead messages ready again, in order of id; answers how many that are.

    Raises:
        RequestError: `full`, the queue to move them to can't be created.
    """
    queue = broker.queues.get(name)
    if queue is None:
        return 0
    chosen = list(islice(_matching(queue, reason), count))
    if dry or not chosen:
        return len(chosen)
    target = queue if to is None else broker.open_queue(to)
    for start in range(0, len(chosen), SLICE):
        ids = chosen[start : start + SLICE]
        first = 0
        for message_id in ids:
            message = queue.dead[message_id]
            if target.settings.requeue == "back":
                place = broker.send_behind(message)
                first = first or place
            revive(broker, message, target)
        broker.recorder.redrive(ids, target.encoded, first)
    return len(chosen)


def _matching(queue: Queue, reason: str | None) -> list[int]:
    if reason is None:
        return sorted(queue.dead)
    return [
        message_id
        for message_id in sorted(queue.dead)
        if fnmatchcase(_reason(queue.dead[message_id]), reason)
    ]


def _reason(message: Message) -> str:
    return (message.details and message.details.reason) or ""


def revive(broker: Broker, message: Message, target: Queue) -> None:
    """Let a dead message be ready in the target queue, with a clean slate."""
    queue = message.queue
    broker.let_go(message)
    message.failures = message.losses = 0
    if message.details is not None:
        message.details.reason = None
        message.details.expires_at = 0.0
    if target is not queue:
        size = len(message.body)
        queue.bytes -= size
        target.bytes += size
        message.queue = target
        target.index.insert(message.id)
    broker.make_ready(message)
