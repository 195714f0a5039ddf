"""What time alone brings about: leases and graces run out, delays and ttls are over."""

from qserver.broker.broker import Broker
from qserver.broker.expire import expire
from qserver.broker.get import serve, stop_waiting
from qserver.broker.message import DELAYED, DONE, LEASED, Message
from qserver.broker.put import expire_keys
from qserver.broker.queue import Queue
from qserver.broker.session import Session, Waiter
from qserver.broker.settle import lose

BUDGET = 1000
"""How much one tick does before it lets others have their turn: about 3 ms of work."""

SWEEP_S = 1.0
"""Dedup keys of a queue are forgotten this often at most."""

CLOCK_JUMP_S = 0.5
"""A wall clock that has moved by more than this against the monotonic one was set."""


def tick(broker: Broker, now: float, budget: int = BUDGET) -> bool:
    """Do what is due, up to `budget` things; answers whether more is due now."""
    fired, more = broker.wheel.advance(now, budget)
    due: list[int] = []
    for item in fired:
        if isinstance(item, Message):
            _message_fired(broker, now, item, due)
        elif isinstance(item, Waiter):
            stop_waiting(broker, item)
            item.client.delivered([])
        elif isinstance(item, Session):
            more |= _end_session(broker, now, item, budget)
        else:
            assert isinstance(item, Queue)
            _sweep_keys(broker, now, item)
    if due:
        broker.recorder.due(due)
    serve(broker, now)
    return more


def next_deadline(broker: Broker) -> float | None:
    """When `tick` is to be called next, in monotonic seconds; None if nothing waits."""
    return broker.wheel.next_deadline()


def clock_checked(broker: Broker, now: float, wall: float) -> float:
    """Compare the clocks; if the wall clock was set, move what follows it. Answers by how much.

    Delays and `at` follow the clock that people read. Leases, waits, ttls and graces don't care.
    """
    moved = wall - now - broker.offset
    if abs(moved) < CLOCK_JUMP_S:
        return 0.0
    broker.offset += moved
    for queue in broker.queues.values():
        for message in queue.delayed.values():
            _await_due(broker, message)
    return moved


def _await_due(broker: Broker, message: Message) -> None:
    detail = message.detail()
    due = detail.due_at - broker.offset
    broker.wheel.schedule(message, min(due, detail.expires_at) if detail.expires_at else due)


def _message_fired(broker: Broker, now: float, message: Message, due: list[int]) -> None:
    state = message.state
    if state == LEASED:
        lose(broker, now, message)
    elif state == DONE:
        broker.withdraw(message)
        broker.recorder.gone((message.id,))
    elif 0 < message.expires_at() <= now:
        expire(broker, message)
    else:
        assert state == DELAYED
        del message.queue.delayed[message.id]
        broker.make_ready(message)
        due.append(message.id)


def _end_session(broker: Broker, now: float, session: Session, budget: int) -> bool:
    """Give back what a vanished session holds, `budget` leases at a time."""
    if session.connections:
        return False
    for message_id in sorted(session.leases)[:budget]:
        lose(broker, now, session.leases[message_id])
    if session.leases:
        broker.wheel.schedule(session, now)
        return True
    del broker.sessions[session.name]
    return False


def _sweep_keys(broker: Broker, now: float, queue: Queue) -> None:
    expire_keys(broker, queue, now)
    assert queue.dedup is not None
    deadline = queue.dedup.next_deadline()
    if deadline is not None:
        broker.wheel.schedule(queue, max(deadline, now + SWEEP_S))
    else:
        queue.dedup = None
