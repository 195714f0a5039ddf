"""What time alone brings about: leases and graces run out, delays and ttls are over."""

from itertools import islice

from qserver.broker.broker import Broker
from qserver.broker.expire import expire
from qserver.broker.following import Follower, await_due
from qserver.broker.get import is_others_turn, serve
from qserver.broker.message import DELAYED, DONE, LEASED, Message
from qserver.broker.ongoing import Ongoing
from qserver.broker.put import expire_keys
from qserver.broker.queue import Queue
from qserver.broker.session import Session
from qserver.broker.settle import lose
from qserver.broker.waiter import GetWaiter, Waiter
from qserver.broker.wheel import Timed

BUDGET = 250
"""How many things one tick does before it lets others have their turn: about 2 ms of work."""

SWEEP_S = 1.0
"""Dedup keys of a queue are forgotten this often at most."""

KEYS_MAX = 2000
"""And so many in one tick, of one queue: about 2 ms."""

STAYS_S = 1 / 16
"""A GET whose time is over while others are served before it stays in line so long, and again."""

CLOCK_JUMP_S = 0.5
"""A wall clock that has moved by more than this against the monotonic one was set."""


def tick(broker: Broker, now: float, budget: int = BUDGET) -> bool:
    """Do what is due, up to `budget` things; answers whether more is due now."""
    fired, more = broker.wheel.advance(now, budget)
    fired.sort(key=_order)
    staying = _who_stays(broker, fired) if broker.hungry else set[Timed]()
    due: list[int] = []
    going_on: list[Ongoing | Follower] = []
    to_sweep: list[Queue] = []
    for item in fired:
        if isinstance(item, Message):
            _message_fired(broker, now, item, due)
            budget -= 1
        elif isinstance(item, Session):
            budget -= _end_session(broker, now, item, budget)
            more |= item.slot is not None
        elif isinstance(item, (Ongoing, Follower)):
            going_on.append(item)
        elif item in staying:
            broker.wheel.schedule(item, now + STAYS_S)
        elif isinstance(item, Waiter):
            item.give_up(broker)
        else:
            assert isinstance(item, Queue)
            to_sweep.append(item)
    if due:
        broker.recorder.due(due)
    if to_sweep:
        more |= _sweep_keys(broker, now, to_sweep)
    if going_on:
        more |= _go_on(broker, going_on)
    serve(broker, now)
    return more


def _who_stays(broker: Broker, fired: list[Timed]) -> set[Timed]:
    """GETs whose time is over, but whose turn may yet come: those before them are being served."""
    waiters = [item for item in fired if isinstance(item, GetWaiter)]
    return {waiter for waiter in waiters if is_others_turn(broker, waiter.queues)}


def _go_on(broker: Broker, waiting: list[Ongoing | Follower]) -> bool:
    """Do a slice of what has waited longest; answers whether there is more to do."""
    waiting[0].go_on(broker)
    for item in waiting[1:]:
        broker.wheel.schedule(item, 0.0)
    return len(waiting) > 1 or waiting[0].slot is not None


def _order(item: Timed) -> tuple[int, float, int | str]:
    """What fires together does so in the order of ids and names, not of addresses in memory.

    Messages first: a session that ends loses the leases that it has, and one that has run out by
    itself must not be among them any more.
    """
    if isinstance(item, Message):
        return 0, item.deadline, item.id
    if isinstance(item, Session):
        return 1, item.deadline, item.name
    return 2, item.deadline, item.number if isinstance(item, Waiter) else 0


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
    broker.set_wall_clock(moved)
    if broker.boot:
        broker.recorder.clock(broker.boot, broker.offset)
    if sum(broker.counts):
        broker.follower.begin(broker)
    return moved


def _message_fired(broker: Broker, now: float, message: Message, due: list[int]) -> None:
    state = message.state
    if state == LEASED:
        lose(broker, now, message)
    elif state == DONE:
        broker.withdraw(message)
        broker.recorder.gone((message.id,))
    elif (expires_at := message.expires_at()) and expires_at <= now:
        expire(broker, message)
    elif message.detail().due_at - broker.offset > now + CLOCK_JUMP_S / 2:
        await_due(broker, message)  # the wall clock went back, and its turn has not come yet
    else:
        assert state == DELAYED
        broker.let_go(message)
        broker.make_ready(message)
        due.append(message.id)


def _end_session(broker: Broker, now: float, session: Session, budget: int) -> int:
    """Give back what a vanished session holds, up to `budget` leases; answers how many.

    If there are more, it stays due.
    """
    assert not session.connections
    ending = list(islice(session.leases.after(0), max(budget, 0)))
    for message_id in ending:
        lose(broker, now, session.leases[message_id])
    if session.leases:
        broker.wheel.schedule(session, session.deadline)
    else:
        del broker.sessions[session.name]
    return len(ending)


def _sweep_keys(broker: Broker, now: float, queues: list[Queue]) -> bool:
    """Forget dedup keys whose time is over; answers whether there are more of them."""
    left = KEYS_MAX
    for queue in queues:
        dedup = queue.dedup
        assert dedup is not None
        before = len(dedup)
        expire_keys(broker, queue, now, left)
        left -= before - len(dedup)
        deadline = dedup.next_deadline()
        if deadline is None:
            queue.dedup = None
        elif deadline <= now:
            left = 0
            broker.wheel.schedule(queue, deadline)
        else:
            broker.wheel.schedule(queue, max(deadline, now + SWEEP_S))
    return left <= 0
