"""PEEK, LIST, LEASES, STATS: looks at the tables and changes nothing."""

from bisect import bisect_right
from collections.abc import Iterator
from heapq import merge
from itertools import islice
from typing import NamedTuple

from qserver.broker.broker import Broker
from qserver.broker.counters import COUNTED
from qserver.broker.message import READY, STATES, Message
from qserver.broker.queue import Queue
from qserver.broker.session import Session


class QueuePage(NamedTuple):
    """Some queues; `more_after` is where to go on, None at the end."""

    rows: list[Queue]
    more_after: str | None


class MessagePage(NamedTuple):
    """Some messages; `more_after` is where to go on, None at the end."""

    rows: list[Message]
    more_after: int | None


def list_queues(broker: Broker, count: int, after: str) -> QueuePage:
    """Queues in order of name, from behind `after`."""
    start = bisect_right(broker.names, after)
    names = broker.names[start : start + count]
    more = start + count < len(broker.names)
    return QueuePage([broker.queues[name] for name in names], names[-1] if more else None)


def list_messages(
    broker: Broker,
    name: str,
    *,
    states: list[int] | None,
    key: str | None,
    count: int,
    after: int,
) -> MessagePage:
    """Messages of a queue in order of id, from behind `after`.

    It looks at `list_scan_max` messages at most, so that a page costs the same in a queue of
    millions; unless ready ones are asked for, at those in the states asked for alone.
    """
    queue = broker.queues.get(name)
    if queue is None:
        return MessagePage([], None)
    rows: list[Message] = []
    size = broker.limits.reply_bytes_max
    for looked_at, message_id in enumerate(_candidates(queue, states, after)):
        if len(rows) == count or size <= 0 or looked_at == broker.limits.list_scan_max:
            return MessagePage(rows, after)
        after = message_id
        message = broker.messages.get(message_id)
        if (
            message is not None
            and message.queue is queue
            and (states is None or message.state in states)
            and (key is None or (message.details is not None and message.details.key == key))
        ):
            rows.append(message)
            size -= len(message.body)
    return MessagePage(rows, None)


def _candidates(queue: Queue, states: list[int] | None, after: int) -> Iterator[int]:
    """Ids above `after` in order, among them all of the messages in those states."""
    if states is not None and READY not in states:
        return merge(*[queue.held(state).after(after) for state in states])
    return queue.ids_after(after)


def list_leases(session: Session, count: int, after: int) -> MessagePage:
    """Messages that a session holds, in order of id, from behind `after`."""
    held = session.leases
    ids = list(islice(held.after(after), count + 1))
    rows = [held[message_id] for message_id in ids[:count]]
    return MessagePage(rows, rows[-1].id if len(ids) > count else None)


def stats(broker: Broker) -> dict[str, int]:
    """Figures of the whole broker, by name."""
    counters = broker.counters
    figures = {"queues": len(broker.queues), "messages": len(broker.messages)}
    figures |= zip(STATES, broker.counts, strict=True)
    figures["ready"] = len(broker.messages) - sum(broker.counts)
    figures["waiting"] = broker.waiting
    figures["waiting_results"] = sum(map(len, broker.result_waiters.values()))
    figures["sessions"] = len(broker.sessions)
    figures["message_memory_bytes"] = broker.memory
    for name in COUNTED:
        figures[f"{name}_total"] = getattr(counters, name)
    return figures
