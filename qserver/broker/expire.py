"""The end of a ttl: the message is dropped, or becomes dead, by its queue's setting."""

from qserver.broker.broker import Broker
from qserver.broker.message import DELAYED, GONE, READY, Message

EXPIRED_REASON = "expired"


def expire_if_over(broker: Broker, now: float, message: Message) -> None:
    """Expire a message whose lease has ended, if its ttl has passed meanwhile."""
    expires_at = message.expires_at()
    if expires_at and expires_at <= now and message.state in (READY, DELAYED):
        expire(broker, message)


def expire(broker: Broker, message: Message) -> None:
    """Drop a ready or delayed message, or let it be dead."""
    broker.counters.expiries += 1
    if message.queue.settings.expired == "drop":
        broker.withdraw(message)
        broker.recorder.gone((message.id,))
        return
    if message.state == READY:
        message = replace_ready(broker, message)
    else:
        broker.let_go(message)
    message.detail().reason = EXPIRED_REASON
    broker.make_dead(message)
    broker.recorder.dead(message.id, EXPIRED_REASON)


def replace_ready(broker: Broker, message: Message) -> Message:
    """Take a message out of the ready ones, to live on in another state.

    Its old object stays in the lanes as a leftover, GONE for good; what lives on is a copy.
    """
    broker.wheel.cancel(message)
    copy = Message(
        message.id,
        message.queue,
        message.body,
        message.put_at,
        message.priority,
        message.segment,
        deliveries=message.deliveries,
        failures=message.failures,
        losses=message.losses,
        details=message.details,
    )
    broker.messages[message.id] = copy
    message.state = GONE
    message.body = b""
    message.details = None
    message.queue.ready.note_gone(message.priority)
    return copy
