"""Messages and queues as lines of a reply: protocol.md says what stands in them."""

from collections.abc import Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, Final

from qserver.broker.message import DELAYED, DONE, GONE, LEASED, READY, STATES, Details, Message
from qserver.broker.queue import Queue, Settings
from qserver.broker.waiter import GetWaiter, ResultWaiter
from qserver.config import PRIORITY_DEFAULT
from qserver.errors import RequestError
from qserver.wire.words import number, text, timestamp

if TYPE_CHECKING:
    from qserver.dispatch.client import Seen

OK: Final = b"OK\n"
NOTHING: Final = b"OK 0\n"
_STATES: Final = tuple(name.encode() for name in STATES)


def ok(count: int, *more: bytes) -> bytes:
    """The closing line of a reply that counts something."""
    return b"OK %d%b\n" % (count, b"".join(b" " + word for word in more))


def error(failure: RequestError) -> bytes:
    """The closing line of a reply that says no."""
    return f"ERR {failure.word} {failure}\n".encode("utf-8", "backslashreplace")


def refused(receipts: Iterable[tuple[int, int]]) -> bytes:
    """A data line for each receipt that settles nothing."""
    return b"".join([b"* %d.%d not-leased\n" % receipt for receipt in receipts])


def delivery(messages: list[Message]) -> bytes:
    """The reply of a GET."""
    out = [
        b"* %d.%d %b %b\n" % (m.id, m.lease, m.queue.encoded, m.body)
        if m.deliveries == 1
        and m.priority == PRIORITY_DEFAULT
        and (m.details is None or _is_silent(m.details))
        else b"* %d.%d %b%b %b\n" % (m.id, m.lease, m.queue.encoded, _delivery_words(m), m.body)
        for m in messages
    ]
    out.append(b"OK %d\n" % len(messages))
    return b"".join(out)


def _is_silent(details: Details) -> bool:
    """Whether these are none that a delivery tells; a dedup key is not."""
    return not (details.key or details.trace)


def _delivery_words(message: Message) -> bytes:
    words = _counter_words(message, deliveries_from=2)
    details = message.details
    if details is not None:
        words += _text_words(key=details.key, trace=details.trace)
    return words


def _counter_words(message: Message, deliveries_from: int) -> bytes:
    words = b""
    if message.priority != PRIORITY_DEFAULT:
        words += b" priority=%d" % message.priority
    if message.deliveries >= deliveries_from:
        words += b" deliveries=%d" % message.deliveries
    if message.failures:
        words += b" failures=%d" % message.failures
    if message.losses:
        words += b" losses=%d" % message.losses
    return words


def _text_words(**texts: str | None) -> bytes:
    return b"".join(
        b" %b=%b" % (name.encode(), text(value)) for name, value in texts.items() if value
    )


def _seconds(name: str, value: float) -> bytes:
    return f" {name}={number(max(value, 0.0))}".encode()


def listed(message: Message, now: float, wall: float) -> bytes:
    """A message's line in a LIST."""
    return b"* %d %b%b%b%b %b\n" % (
        message.id,
        _STATES[message.state],
        _state_words(message, now, wall),
        _counter_words(message, deliveries_from=1),
        _all_texts(message, now),
        message.body,
    )


def peeked(message: Message, now: float, wall: float) -> bytes:
    """A message's line in a PEEK: with everything there is to say."""
    words = (
        f" put_at={timestamp(message.put_at)} age={number(max(wall - message.put_at, 0.0))}"
        f" priority={message.priority} deliveries={message.deliveries}"
        f" failures={message.failures} losses={message.losses}"
    )
    return b"* %d %b queue=%b%b%b%b %b\n" % (
        message.id,
        _STATES[message.state],
        message.queue.encoded,
        _state_words(message, now, wall),
        words.encode(),
        _all_texts(message, now),
        message.body,
    )


def lease_listed(message: Message, now: float) -> bytes:
    """A lease's line in a LEASES."""
    return b"* %d.%d %b%b\n" % (
        message.id,
        message.lease,
        message.queue.encoded,
        _seconds("expires_in", message.deadline - now),
    )


def outcome(message: Message) -> bytes:
    """The reply of a RESULT."""
    if message.state == GONE:
        return b"ERR not-found message %d was removed\n" % message.id
    words, result = b"", b"null"
    if message.details is not None:
        words = _text_words(
            reason=message.details.reason, progress=message.details.progress.decode()
        )
        result = message.details.result or result
    return b"* %d %b%b%b %b\nOK 1\n" % (
        message.id,
        _STATES[message.state],
        _counter_words(message, deliveries_from=1),
        words,
        result,
    )


def _state_words(message: Message, now: float, wall: float) -> bytes:
    """What only a message in its state has."""
    state = message.state
    if state == LEASED:
        session = message.session
        words = b" receipt=%d.%d" % (message.id, message.lease)
        words += _seconds("expires_in", message.deadline - now)
        return words + (b"" if session is None else b" session=" + session.name.encode())
    if state == DELAYED:
        return _seconds("due_in", message.detail().due_at - wall)
    if state == DONE:
        return _seconds("kept_for", message.deadline - now)
    return b""


def _all_texts(message: Message, now: float) -> bytes:
    details = message.details
    if details is None:
        return b""
    words = b""
    if details.expires_at and message.state in (READY, DELAYED, LEASED):
        words = _seconds("ttl_left", details.expires_at - now)
    return words + _text_words(
        key=details.key,
        dedup=details.dedup,
        trace=details.trace,
        reason=details.reason,
        progress=details.progress.decode(),
    )


def queue_listed(queue: Queue, wall: float, waiting: int) -> bytes:
    """A queue's line in a LIST."""
    oldest = queue.oldest()
    words = (
        f" ready={queue.ready.count} leased={len(queue.leased)} delayed={len(queue.delayed)}"
        f" dead={len(queue.dead)} done={len(queue.done)} bytes={queue.bytes}"
    )
    words += f" oldest={number(max(wall - oldest.put_at, 0.0)) if oldest else 0}"
    if queue.paused:
        words += " paused=yes"
    if waiting:
        words += f" waiting={waiting}"
    return b"* %b%b\n" % (queue.encoded, words.encode())


def connection_listed(seen: "Seen", now: float) -> bytes:
    """A connection's line in a CLIENTS."""
    client = seen.client
    words = _seconds("connected", now - seen.connected_at)
    words += _seconds("idle", now - seen.heard_at)
    words += b" requests=%d" % seen.requests + _text_words(client=client.name)
    if client.session is not None:
        words += b" session=%b leases=%d" % (
            client.session.name.encode(),
            len(client.session.leases),
        )
    if isinstance(client.waiter, GetWaiter):
        words += b" waiting=" + ",".join(client.waiter.queues).encode()
    elif isinstance(client.waiter, ResultWaiter):
        words += b" result=%d" % client.waiter.message_id
    return b"* %d%b\n" % (seen.number, words)


def settings_listed(name: str, settings: Settings) -> bytes:
    """A queue's settings, all of them."""
    words = []
    for field in fields(Settings):
        value = getattr(settings, field.name)
        words.append(f"{field.name}={value if isinstance(value, str) else number(value)}")
    return f"* {name} {' '.join(words)}\n".encode()


def figures(values: dict[str, int | float | str]) -> bytes:
    """A data line for each figure."""
    return b"".join(
        b"* %b=%b\n"
        % (name.encode(), text(number(value) if isinstance(value, float) else str(value)))
        for name, value in values.items()
    )
