"""GET: messages leased, at once or when there are some; and the sessions leases belong to."""

from collections import OrderedDict
from typing import Final

from qserver.broker.broker import Broker
from qserver.broker.message import LEASED, Message
from qserver.broker.queue import Queue
from qserver.broker.session import Client, Session
from qserver.broker.waiter import GetWaiter

SERVINGS_MAX: Final = 100
"""What serving GETs that waited may take of a turn, about 1 ms, and their replies as long: one for
each GET, and one for each `MESSAGES_PER_SERVING` messages."""

MESSAGES_PER_SERVING: Final = 10


def get(
    broker: Broker,
    now: float,
    client: Client,
    names: list[str],
    count: int = 1,
    lease_s: float | None = None,
) -> list[Message]:
    """Lease up to `count` messages of the queues, of the first one first.

    GETs that waited longer are served before, if something has come for them meanwhile. While that
    takes more than one turn, their queue has nothing for others: `is_others_turn`.
    """
    if broker.hungry:
        names = _before_others_turn(broker, now, names)
    return _take(broker, now, client, names, count, lease_s)


def _before_others_turn(broker: Broker, now: float, names: list[str]) -> list[str]:
    """Those of the queues that come before one from which others are still to be served."""
    if any(name in broker.hungry for name in names):
        _serve_some(broker, now)
    for at, name in enumerate(names):
        if name in broker.hungry and _next_to_serve(broker, name) is not None:
            return names[:at]
    return names


def _take(
    broker: Broker,
    now: float,
    client: Client,
    names: list[str],
    count: int,
    lease_s: float | None,
) -> list[Message]:
    found: list[Message] = []
    size = broker.limits.reply_bytes_max
    for name in names:
        queue = broker.queues.get(name)
        if queue is None or queue.paused or not queue.ready.count:
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
    if broker.hungry:  # a queue behind one that others are served from may have something for it
        for name in names:
            if _next_to_serve(broker, name) is waiter:
                broker.awaken(name)
    return waiter


def is_others_turn(broker: Broker, names: list[str]) -> bool:
    """Whether GETs that waited longer are still to be served from one of these queues."""
    hungry = broker.hungry
    return any(name in hungry and _next_to_serve(broker, name) is not None for name in names)


def serve(broker: Broker, now: float) -> None:
    """Give what has become ready to those who wait for it, first come first served.

    To be called when a turn's requests are done, and again in the next turn while there are
    `hungry` queues. Then a GET that waits for many messages gets all that came in the turn, and
    each message wakes one waiter, never a crowd.
    """
    broker.servings = SERVINGS_MAX
    _serve_some(broker, now)


def _serve_some(broker: Broker, now: float) -> None:
    hungry = broker.hungry
    while hungry:
        number, name = hungry.first()
        waiter = _next_to_serve(broker, name)
        if waiter is None:
            hungry.remove_first()
        elif waiter.number > number:
            hungry.move(waiter.number)
        elif broker.servings <= 0:
            return
        else:
            waiter.forget(broker)
            client = waiter.client
            messages = _take(broker, now, client, waiter.queues, waiter.count, waiter.lease_s)
            broker.servings -= 1 + len(messages) // MESSAGES_PER_SERVING
            client.delivered(messages)
    broker.servings = SERVINGS_MAX  # that was all: what comes next in the turn is new


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
