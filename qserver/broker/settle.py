"""ACK, NACK, RELEASE, TOUCH; and the ends that a lease comes to by itself."""

from typing import Final

from qserver.broker.broker import Broker
from qserver.broker.expire import expire_if_over
from qserver.broker.finish import finish, finish_run
from qserver.broker.message import Message

RUN_MIN: Final = 8
"""From so many receipts on it is worth trying to settle them at one stroke."""

LOST_REASON = "lost too often"
FAILED_REASON = "failed too often"

Receipts = list[tuple[int, int]]
"""Pairs of a message id and a lease number."""


def ack(broker: Broker, now: float, receipts: Receipts) -> list[tuple[int, int]]:
    """Let the work be done; answers the receipts that settle nothing."""
    if len(receipts) >= RUN_MIN:
        ids = [message_id for message_id, _ in receipts]
        if finish_run(broker, ids, [lease for _, lease in receipts]):
            broker.recorder.ack(ids, 0.0)
            broker.counters.acks += len(ids)
            return []
    refused: list[tuple[int, int]] = []
    settled: list[int] = []
    for receipt in receipts:
        message = broker.messages.get(receipt[0])
        if message is None or message.lease != receipt[1]:
            refused.append(receipt)
            continue
        broker.counters.acks += 1
        retain_s = message.queue.settings.retain
        if retain_s:
            broker.end_lease(message)
            broker.make_done(message, now + retain_s)
            broker.recorder.ack((message.id,), broker.wall(now + retain_s))
        else:
            finish(broker, message)
            settled.append(message.id)
    if settled:
        broker.recorder.ack(settled, 0.0)
    return refused


def nack(
    broker: Broker,
    now: float,
    receipts: Receipts,
    *,
    delay_s: float | None = None,
    reason: str | None = None,
    dead: bool = False,
) -> list[tuple[int, int]]:
    """Let the work have failed; answers the receipts that settle nothing."""
    refused: list[tuple[int, int]] = []
    for receipt in receipts:
        message = broker.messages.get(receipt[0])
        if message is None or message.lease != receipt[1]:
            refused.append(receipt)
            continue
        broker.end_lease(message)
        message.failures += 1
        settings = message.queue.settings
        is_dead = dead or bool(settings.max_failures and message.failures >= settings.max_failures)
        why = FAILED_REASON if is_dead and not dead and reason is None else reason
        if why is not None:
            message.detail().reason = why
        pause_s = settings.backoff_s(message.failures) if delay_s is None else delay_s
        due, place = _come_back(broker, now, message, pause_s, dead=is_dead)
        broker.recorder.nack(message, due=due, dead=is_dead, place=place, reason=why)
        broker.counters.nacks += 1
        expire_if_over(broker, now, message)
    return refused


def release(
    broker: Broker, now: float, receipts: Receipts, delay_s: float = 0.0
) -> list[tuple[int, int]]:
    """Take messages back untouched; answers the receipts that settle nothing."""
    refused: list[tuple[int, int]] = []
    for receipt in receipts:
        message = broker.messages.get(receipt[0])
        if message is None or message.lease != receipt[1]:
            refused.append(receipt)
            continue
        broker.end_lease(message)
        due, place = _come_back(broker, now, message, delay_s, dead=False)
        broker.recorder.release(message.id, due=due, place=place)
        broker.counters.releases += 1
        expire_if_over(broker, now, message)
    return refused


def lose(broker: Broker, now: float, message: Message) -> None:
    """End a lease that ran out, or whose session vanished."""
    broker.end_lease(message)
    message.losses += 1
    settings = message.queue.settings
    is_dead = bool(settings.max_losses and message.losses >= settings.max_losses)
    reason = LOST_REASON if is_dead else None
    if reason is not None:
        message.detail().reason = reason
    pause_s = settings.backoff_s(message.losses - 1)
    due, place = _come_back(broker, now, message, pause_s, dead=is_dead)
    broker.recorder.lost(message, due=due, dead=is_dead, place=place, reason=reason)
    broker.counters.losses += 1
    expire_if_over(broker, now, message)


def touch(
    broker: Broker, now: float, receipts: Receipts, lease_s: float | None = None
) -> list[tuple[int, int]]:
    """Extend leases to run that long from now; answers the receipts that extend nothing."""
    refused: list[tuple[int, int]] = []
    extended: dict[float, list[int]] = {}
    for receipt in receipts:
        message = broker.messages.get(receipt[0])
        if message is None or message.lease != receipt[1]:
            refused.append(receipt)
            continue
        deadline = now + (message.queue.settings.lease if lease_s is None else lease_s)
        if deadline > message.deadline:
            message.deadline = deadline  # the wheel deals it again when its old slot comes up
            extended.setdefault(deadline, []).append(message.id)
    for deadline, ids in extended.items():
        broker.recorder.touch(ids, broker.wall(deadline))
    return refused


def _come_back(
    broker: Broker, now: float, message: Message, pause_s: float, *, dead: bool
) -> tuple[float, int]:
    """Let a message whose lease has ended be dead, delayed or ready.

    Returns:
        The wall-clock time at which it is due, 0.0 if it isn't delayed; and its place in the
        order, 0 if that is unchanged.
    """
    if dead:
        broker.make_dead(message)
        return 0.0, 0
    place = broker.send_behind(message) if message.queue.settings.requeue == "back" else 0
    if pause_s > 0:
        broker.make_delayed(message, now + pause_s)
        return broker.wall(now + pause_s), place
    broker.make_ready(message)
    return 0.0, place
