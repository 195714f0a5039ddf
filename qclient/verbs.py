"""The verbs of a message's life, each as a Request: the line to send and how to read the reply.

No I/O here: the asynchronous client runs these requests, and a synchronous one can run the same.
`queues.py` beside it has the verbs that look after queues and the server.

PUT carries a `dedup` key so that it can be sent again after a lost connection; ACK, DONE, NACK,
RELEASE and TOUCH can always be, since a receipt settles once; so can PROGRESS, which says the same
again, and a GET: what the lost reply leased comes back when the lease ends, whether one asks
again or not.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final, TypeVar

import msgspec

from qclient.errors import BadRequest, ProtocolError, ReplyError, StorageFailed
from qclient.message import Stored, decoder
from qclient.replies import Reply, Request, closing_number, closing_words, first, refusal
from qclient.reports import Outcome, Put, Settled
from qclient.words import (
    Duration,
    body,
    duration,
    fields,
    instant,
    name,
    names,
    receipts,
    shorten,
    text,
    whole,
)

M = TypeVar("M")
T = TypeVar("T")

Make = Callable[[str, str, bytes, dict[str, Any] | None], M]
"""Makes a message: `make(receipt, queue, raw, metadata)`, which is None where the line has none."""

NO_OPTIONS: Final = (None,) * 7
"""Those of a plain PUT: a comparison with it costs half of calling `put_head` with all seven."""

_WHOLE_FIELDS = ("deliveries", "failures", "losses", "priority")
_whole_numbers = msgspec.json.Decoder(list[int]).decode
_FIELDS = (*_WHOLE_FIELDS, "key", "trace")


@lru_cache(maxsize=4096)
def plain_head(queue: str) -> bytes:
    """`put_head` without any option."""
    return b"PUT %b " % name(queue)


def put_head(
    queue: str,
    *,
    delay: Duration | None = None,
    at: datetime | None = None,
    priority: int | None = None,
    ttl: Duration | None = None,
    key: str | None = None,
    trace: str | None = None,
    dedup_window: Duration | None = None,
) -> bytes:
    """A PUT up to its `dedup` option and body: the same for every message of a batch."""
    head = plain_head(queue)
    if delay is not None:
        if at is not None:
            raise BadRequest("give delay= or at=, not both")
        head += b"delay=%b " % duration(delay, "delay")
    if at is not None:
        head += b"at=%b " % instant(at)
    if priority is not None:
        head += b"priority=%b " % whole(priority, "priority")
    if ttl is not None:
        head += b"ttl=%b " % duration(ttl, "ttl")
    if key is not None:
        head += b"key=%b " % text(key)
    if trace is not None:
        head += b"trace=%b " % text(trace)
    if dedup_window is not None:
        head += b"dedup_window=%b " % duration(dedup_window, "dedup_window")
    return head


def put(head: bytes, item: object, dedup: str | None = None) -> Request[Put]:
    """PUT with the caller's own key, which makes it say whether it was a duplicate, or none."""
    if dedup is None:
        return Request(b"%b%b\n" % (head, body(item)), _put, is_repeatable=False)
    return Request(b"%bdedup=%b %b\n" % (head, text(dedup), body(item)), _put)


def put_once(line: bytes) -> Request[Put]:
    """A PUT with a key that no other PUT has: `duplicate` then only says that it was sent twice."""
    return Request(line, _put_once)


def put_lines(lines: Sequence[bytes], *, is_repeatable: bool) -> Request[list[int | ReplyError]]:
    """Many PUTs as one request; the result has an id or an error for each."""
    parse = _put_each_again if is_repeatable else _put_each
    return Request(b"".join(lines), parse, len(lines), is_repeatable)


def _put(replies: Sequence[Reply]) -> Put:
    closing = replies[0][1]
    return Put(closing_number(closing), closing_words(closing)[1:2] == ["duplicate"])


def _put_once(replies: Sequence[Reply]) -> Put:
    return Put(closing_number(replies[0][1]))


def _put_each(replies: Sequence[Reply]) -> list[int | ReplyError]:
    numbers = _numbers(replies)
    if numbers is not None:
        return list(numbers)
    outcomes: list[int | ReplyError] = []
    for _, closing in replies:
        digits = closing[3:]
        if closing.startswith(b"OK ") and digits.isdigit():
            outcomes.append(int(digits))
        else:
            outcomes.append(refusal(closing) or closing_number(closing))
    return outcomes


def _numbers(replies: Sequence[Reply]) -> list[int] | None:
    """The ids where all closing lines are `OK <id>`, read as one list of JSON; else None."""
    lines = b"\n" + b"\n".join([closing for _, closing in replies])
    words = lines.split(b"\nOK ")
    if words.pop(0) or not b"".join(words).isdigit():
        return None
    try:
        return _whole_numbers(b"[%b]" % b",".join(words))
    except msgspec.DecodeError:  # digits that are no number of JSON: none, or a zero before others
        return None


def _put_each_again(replies: Sequence[Reply]) -> list[int | ReplyError]:
    """Raises what leaves the others in doubt: the keys make it safe to repeat them all."""
    outcomes = _put_each(replies)
    for outcome in outcomes:
        if isinstance(outcome, StorageFailed):
            raise outcome
    return outcomes


def get(
    queues: Iterable[str],
    make: Make[M],
    *,
    count: int = 1,
    wait: Duration = 0,
    lease: Duration | None = None,
) -> Request[list[M]]:
    """GET; its result is one `make(…)` for each message."""
    line = b"GET %b" % names(queues)
    if count != 1:
        line += b" count=%b" % whole(count, "count")
    if wait:
        line += b" wait=%b" % duration(wait, "wait")
    if lease is not None:
        line += b" lease=%b" % duration(lease, "lease")
    return Request(line + b"\n", partial(_messages, make), leases=True)


def _messages(make: Make[M], replies: Sequence[Reply]) -> list[M]:
    data, closing = replies[0]
    error = refusal(closing)
    if error is not None:
        raise error
    made = []
    for line in data:
        words = line.split(b" ", 3)
        if len(words) != 4:  # noqa: PLR2004  "*", receipt, queue, the rest
            raise ProtocolError(f"not a message: {shorten(line)}")
        _, receipt, queue, rest = words
        if rest[0] in b'{["':  # no metadata: nearly always
            made.append(make(receipt.decode(), queue.decode(), rest, None))
        else:
            known, raw = _metadata(rest)
            made.append(make(receipt.decode(), queue.decode(), raw, known))
    return made


def _metadata(rest: bytes) -> tuple[dict[str, Any], bytes]:
    info, raw = fields(rest)
    known: dict[str, Any] = {word: info[word] for word in _FIELDS if word in info}
    for word in _WHOLE_FIELDS:
        if word in known:
            known[word] = int(known[word])
    return known, raw


def leased(replies: Sequence[Reply]) -> list[str]:
    """The receipts that a GET's reply hands out, whatever else it holds."""
    return [line.split(b" ", 2)[1].decode() for line in replies[0][0]]


def ack(values: Iterable[str]) -> Request[Settled]:
    """ACK."""
    return Request(b"ACK %b\n" % receipts(values), _settled)


def release(values: Iterable[str], *, delay: Duration = 0) -> Request[Settled]:
    """RELEASE."""
    line = b"RELEASE %b" % receipts(values)
    if delay:
        line += b" delay=%b" % duration(delay, "delay")
    return Request(line + b"\n", _settled)


def nack(
    values: Iterable[str],
    *,
    delay: Duration | None = None,
    reason: str | None = None,
    dead: bool = False,
) -> Request[Settled]:
    """NACK."""
    line = b"NACK %b" % receipts(values)
    if delay is not None:
        line += b" delay=%b" % duration(delay, "delay")
    if reason is not None:
        line += b" reason=%b" % text(reason)
    if dead:
        line += b" dead=yes"
    return Request(line + b"\n", _settled)


def touch(values: Iterable[str], *, lease: Duration | None = None) -> Request[Settled]:
    """TOUCH of some leases."""
    return _touch(receipts(values), lease)


def touch_all(*, lease: Duration | None = None) -> Request[Settled]:
    """TOUCH of every lease of the connection's session."""
    return _touch(b"*", lease)


def _touch(what: bytes, lease: Duration | None) -> Request[Settled]:
    line = b"TOUCH %b" % what
    if lease is not None:
        line += b" lease=%b" % duration(lease, "lease")
    return Request(line + b"\n", _settled)


def _settled(replies: Sequence[Reply]) -> Settled:
    data, closing = replies[0]
    count = closing_number(closing)
    if not data:
        return Settled(count)
    words = [line.decode().split(" ", 3) for line in data]
    return Settled(count, tuple(word[1] for word in words if word[2:3] == ["not-leased"]))


def progress(receipt: str, value: object) -> Request[Settled]:
    """PROGRESS: leaves a JSON value with the message."""
    return Request(b"PROGRESS %b %b\n" % (receipts([receipt]), body(value)), _settled)


def done(receipt: str, result: object, *, retain: Duration | None = None) -> Request[Settled]:
    """DONE: an ACK that leaves a result."""
    line = b"DONE %b " % receipts([receipt])
    if retain is not None:
        line += b"retain=%b " % duration(retain, "retain")
    return Request(b"%b%b\n" % (line, body(result)), _settled)


def done_lines(lines: Sequence[bytes]) -> Request[list[Settled | ReplyError]]:
    """Many DONEs as one request; the result has what became of each."""
    return Request(b"".join(lines), _done_each, len(lines))


def _done_each(replies: Sequence[Reply]) -> list[Settled | ReplyError]:
    """Raises what leaves the others in doubt, so that all are sent again."""
    outcomes: list[Settled | ReplyError] = []
    for reply in replies:
        try:
            outcomes.append(_settled([reply]))
        except StorageFailed:
            raise
        except ReplyError as error:
            outcomes.append(error)
    return outcomes


def result(number: int, wanted: object, *, wait: Duration = 0) -> Request[Outcome[Any]]:
    """RESULT of one message."""
    line = b"RESULT %b" % whole(number, "id")
    if wait:
        line += b" wait=%b" % duration(wait, "wait")
    return Request(line + b"\n", partial(_outcome, wanted))


def _outcome(wanted: object, replies: Sequence[Reply]) -> Outcome[Any]:
    data, _ = first(replies)
    if not data:
        raise ProtocolError("a RESULT was answered without a message")
    number, state, info, raw = _standing(data[0])
    return Outcome(number, state, raw, info, decoder(wanted))


def peek(number: int, wanted: object) -> Request[Stored[Any]]:
    """PEEK at one message."""
    return Request(b"PEEK %b\n" % whole(number, "id"), partial(_peeked, wanted))


def _peeked(wanted: object, replies: Sequence[Reply]) -> Stored[Any]:
    data, _ = first(replies)
    if not data:
        raise ProtocolError("a PEEK was answered without a message")
    return stored(data[0], "", wanted)


def stored(line: bytes, queue: str, wanted: object) -> Stored[Any]:
    """A message of LIST or PEEK from its line; `queue` where the line doesn't say it."""
    number, state, info, raw = _standing(line)
    queue = info.pop("queue", queue)
    return Stored(number, state, queue, raw, info, decoder(wanted))


def _standing(line: bytes) -> tuple[int, str, dict[str, str], bytes]:
    """The id, the state, the options and the JSON of a line that shows a message."""
    words = line.split(b" ", 3)
    if len(words) != 4 or not words[1].isdigit():  # noqa: PLR2004  "*", id, state, the rest
        raise ProtocolError(f"not a message: {shorten(line)}")
    info, raw = fields(words[3])
    return int(words[1]), words[2].decode(), info, raw
