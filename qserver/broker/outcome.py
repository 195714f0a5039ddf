"""PROGRESS, DONE, RESULT: what a holder leaves of its work, and who waits for that.

A message that nobody waits for costs nothing here: the broker's steps that end one look whether
anybody waits for any result, and no further.
"""

from typing import Final

from qserver.broker.broker import Broker
from qserver.broker.message import DEAD, DONE, GONE, Message
from qserver.broker.put import refuse_full
from qserver.broker.session import Client
from qserver.broker.waiter import ResultWaiter

ENDS: Final = (DONE, DEAD, GONE)
"""What a RESULT waits for."""


def progress(broker: Broker, receipt: tuple[int, int], value: bytes) -> bool:
    """Leave a JSON value with a leased message, in place of the last one.

    It stays when the message comes back: it tells how far the last attempt got.

    Returns:
        Whether the receipt is that of a lease.

    Raises:
        RequestError: `full`.
    """
    message = _leased(broker, receipt)
    if message is None:
        return False
    grown = len(value) - (0 if message.details is None else len(message.details.progress))
    if broker.memory + grown > broker.memory_bytes_max:
        refuse_full(broker)
    broker.memory += grown
    message.detail().progress = value
    broker.recorder.progress(message.id, value)
    return True


def done(
    broker: Broker, now: float, receipt: tuple[int, int], result: bytes, retain_s: float | None
) -> bool:
    """Let the work be done, and keep its result with the message for `retain_s`.

    None takes the queue's setting. With 0 nothing is kept.

    Returns:
        Whether the receipt is that of a lease.

    Raises:
        RequestError: `full`; the lease goes on.
    """
    message = _leased(broker, receipt)
    if message is None:
        return False
    if retain_s is None:
        retain_s = message.queue.settings.retain
    if retain_s and broker.memory + len(result) > broker.memory_bytes_max:
        refuse_full(broker)
    broker.end_lease(message)
    broker.counters.acks += 1
    if not retain_s:
        broker.remove(message)
        broker.recorder.ack((message.id,), 0.0)
        return True
    broker.memory += len(result)
    message.detail().result = result
    broker.make_done(message, now + retain_s)
    broker.recorder.done(message.id, broker.wall(now + retain_s), result)
    return True


def _leased(broker: Broker, receipt: tuple[int, int]) -> Message | None:
    message = broker.messages.get(receipt[0])
    return message if message is not None and message.lease == receipt[1] else None


def wait(
    broker: Broker, now: float, client: Client, message: Message, wait_s: float
) -> ResultWaiter:
    """Let the client wait for the end of a message that has not ended.

    It is told by `client.told`, within whatever call ends the message, or a tick.
    """
    assert message.state not in ENDS
    broker.last_waiter += 1
    waiter = ResultWaiter(broker.last_waiter, client, message.id)
    broker.result_waiters.setdefault(message.id, {})[waiter] = None
    broker.wheel.schedule(waiter, now + wait_s)
    return waiter
