"""GET: messages leased, at once or when there are some; and the sessions leases belong to."""

from collections import OrderedDict
from heapq import heappop, heapreplace
from typing import Final

from qserver.broker.broker import Broker
from qserver.broker.message import LEASED, Message
from qserver.broker.queue import Queue
from qserver.broker.session import Client, Session
from qserver.broker.waiter import GetWaiter

SERVED_MAX: Final = 100
"""GETs that waited are served so many at a time, in about 1 ms, and their replies take as long."""


def get(
    broker: Broker,
    now: float,
    client: Client,
    names: list[str],
    count: int = 1,
    lease_s: float | None = None,
) -> list[Message]:
    """Lease up to `count` messages of the queues, of the first one first.

    GETs that waited longer are served before, if something has come for them meanwhile. While it
    takes more than one call to serve these, their queues have nothing for others: `is_others_turn`.
    """
    if broker.hungry:
        serve(broker, now)
    spoken_for = broker.hungry
    found: list[Message] = []
    size = broker.limits.reply_bytes_max
    for name in names:
        queue = broker.queues.get(name)
        if queue is None or queue.paused or not queue.ready.count or name in spoken_for:
            continue
        taken = queue.ready.take(count, size)
        _lease(broker, now, queue, taken, lease_s, client.session)
        found += taken
        count -= len(taken)
        if not count or name is names[-1]:
            break
        size -= sum([len(message.body) for message in taken])
        if size <= 0:
            break
    return found


def _lease(
    broker: Broker,
    now: float,
    queue: Queue,
    messages: list[Message],
    lease_s: float | None,
    session: Session | None,
) -> None:
    """Lease messages that were just taken out of the ready ones."""
    deadline = now + (queue.settings.lease if lease_s is None else lease_s)
    number = broker.new_leases(len(messages))
    slot = broker.wheel.slot_for(deadline)
    for lease, message in enumerate(messages, number):
        if message.slot is not None:
            message.slot.discard(message)
        message.state = LEASED
        message.lease = lease
        message.deadline = deadline
        message.slot = slot
        message.deliveries += 1
    queue.leased.add_all(messages)
    slot.update(messages)
    if session is not None:
        for message in messages:
            message.session = session
        session.leases.add_all(messages)
    broker.recorder.lease(
        messages, deadline + broker.offset, None if session is None else session.name
    )
    broker.counters.leases += len(messages)
    broker.counts[LEASED] += len(messages)


# --- waiting ----------------------------------------------------------------------------------


def wait(
    broker: Broker,
    now: float,
    client: Client,
    names: list[str],
    count: int,
    lease_s: float | None,
    wait_s: float,
) -> GetWaiter:
    """Let the client wait for a message that `get` did not find.

    It is told by `client.delivered`, within `serve` or a tick.
    """
    broker.last_waiter += 1
    waiter = GetWaiter(broker.last_waiter, client, names, count, lease_s)
    for name in names:
        broker.waiters.setdefault(name, OrderedDict())[waiter] = None
    broker.waiting += 1
    broker.wheel.schedule(waiter, now + wait_s)
    return waiter


def is_others_turn(broker: Broker, names: list[str]) -> bool:
    """Whether GETs that waited longer are still being served from one of these queues."""
    return not broker.hungry.keys().isdisjoint(names)


def serve(broker: Broker, now: float, budget: int = SERVED_MAX) -> None:
    """Give what has become ready to those who wait for it, first come first served.

    To be called when a turn's requests are done, and again soon while there are `hungry` queues.
    Then a GET that waits for many messages gets all that came in the turn, and each message wakes
    one waiter, never a crowd.
    """
    if not broker.hungry:
        return
    lines = [(0, name) for name in sorted(broker.hungry)]  # too low a number is corrected below
    broker.hungry = {}
    while lines and budget > 0:
        number, name = lines[0]
        waiter = _next_to_serve(broker, name)
        if waiter is None:
            heappop(lines)
        elif waiter.number > number:
            heapreplace(lines, (waiter.number, name))
        else:
            budget -= 1
            waiter.forget(broker)
            messages = get(broker, now, waiter.client, waiter.queues, waiter.count, waiter.lease_s)
            waiter.client.delivered(messages)
    for _, name in lines:
        if _next_to_serve(broker, name) is not None:
            broker.hungry[name] = None


def _next_to_serve(broker: Broker, name: str) -> GetWaiter | None:
    """Who waits longest for that queue, if there is something to be had in it."""
    queue = broker.queues.get(name)
    if queue is None or queue.paused or not queue.ready.count or name not in broker.waiters:
        return None
    return next(iter(broker.waiters[name]))


# --- sessions ---------------------------------------------------------------------------------


def join(broker: Broker, now: float, client: Client, name: str, grace_s: float) -> Session:
    """Let the client's leases belong to that session from now on, and to no other."""
    session = broker.sessions.get(name)
    if session is None:
        session = broker.sessions[name] = Session(name, grace_s)
        broker.recorder.session(name, grace_s)
    elif session.grace_s != grace_s:
        session.grace_s = grace_s
        broker.recorder.session(name, grace_s)
    if client.session is not session:
        leave(broker, now, client)
        session.connections += 1
        client.session = session
    broker.wheel.cancel(session)
    return session


def leave(broker: Broker, now: float, client: Client) -> None:
    """The client is gone, or goes to another session; its session's grace may begin."""
    session = client.session
    client.session = None
    if session is not None:
        session.connections -= 1
        if not session.connections:
            broker.wheel.schedule(session, now + session.grace_s)
