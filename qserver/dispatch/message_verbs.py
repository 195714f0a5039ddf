"""PUT, GET, ACK, NACK, RELEASE, TOUCH, LEASES, PEEK: the verbs of a message's life."""

import re
from typing import Final

from qserver.broker import get as getting
from qserver.broker import put as putting
from qserver.broker import settle, view
from qserver.broker.session import Session
from qserver.broker.touching import TouchAll
from qserver.config import (
    DURATION_S_MAX,
    LIST_COUNT_DEFAULT,
    QUEUES_PER_GET_MAX,
    TEXT_BYTES_MAX,
    YEAR_S,
)
from qserver.dispatch import lines
from qserver.dispatch.client import Client
from qserver.dispatch.grammar import (
    BLANKS,
    JSON_BLANKS,
    JSON_STARTS,
    read_json,
    refuse_rest,
    split_receipts,
    split_word,
)
from qserver.errors import RequestError
from qserver.wire.words import (
    check_json,
    read_id,
    read_options,
    read_receipts,
    shown,
    timestamp,
)

_KEYED: Final = re.compile(rb'dedup=([!#-\[\]-~]{1,%d}) (?=[{["\-0-9])' % TEXT_BYTES_MAX)
"""The one option that programs give each PUT, as a bare word of ASCII."""


def put(client: Client, rest: bytes, now: float) -> bytes:
    """PUT <queue> [option=value…] <json>."""
    word, _, body = rest.partition(b" ")
    if not body or not word or word.find(b"\t") >= 0:
        return _put_with(client, rest, now)
    key = None
    if body[0] not in JSON_STARTS:
        key = _KEYED.match(body)
        if key is None:
            return _put_with(client, rest, now)
        body = body[key.end() :]
    body = body.rstrip(JSON_BLANKS)
    check_json(body)
    name = client.grammar.queue_name(word)
    if key is not None:
        return _put(client, name, body, putting.Options(dedup=key[1].decode("ascii")), now)
    message_id = putting.put(client.broker, now, name, body)
    client.wrote = True  # a refusal changes nothing: it does not wait for a disk that is full
    return b"OK %d\n" % message_id


def _put_with(client: Client, rest: bytes, now: float) -> bytes:
    word, rest = split_word(rest)
    if not word:
        raise RequestError("bad-request", "a queue is missing: PUT <queue> [name=value…] <json>")
    name = client.grammar.queue_name(word)
    values, left = read_options(rest, client.grammar.put)
    body = read_json(left, "PUT <queue> [name=value…] <json>")
    if b"delay" in values and b"at" in values:
        raise RequestError("bad-request", "delay and at exclude each other")
    _check_at(values.get(b"at", 0.0), client.broker.wall(now))
    options = putting.Options()
    for option, value in values.items():
        setattr(options, option.decode(), value)
    return _put(client, name, body, options, now)


def _put(client: Client, name: str, body: bytes, options: putting.Options, now: float) -> bytes:
    message_id, is_duplicate = putting.put_with(client.broker, now, name, body, options)
    client.wrote = True
    return b"OK %d duplicate\n" % message_id if is_duplicate else b"OK %d\n" % message_id


def _check_at(at: float, wall: float) -> None:
    if at - wall > DURATION_S_MAX:
        raise RequestError(
            "limit", f"at={timestamp(at)}, and the limit is {DURATION_S_MAX // YEAR_S} years ahead"
        )


def get(client: Client, rest: bytes, now: float) -> bytes | None:
    """GET <queue>[,<queue>…] [count=] [wait=] [lease=]; None when it waits."""
    word, rest = split_word(rest)
    count, wait_s, lease_s = 1, 0.0, None
    if rest:
        values, left = read_options(rest, client.grammar.get)
        refuse_rest(left)
        count = values.get(b"count", 1)
        wait_s = values.get(b"wait", 0.0)
        lease_s = values.get(b"lease")
    names = (
        _read_queues(client, word)
        if word.find(b",") >= 0 or not word
        else [client.grammar.queue_name(word)]
    )
    if client.is_gone:
        return lines.NOTHING
    messages = getting.get(client.broker, now, client, names, count, lease_s)
    if messages:
        client.wrote = True
        return lines.delivery(messages)
    if not wait_s and not getting.is_others_turn(client.broker, names):
        return lines.NOTHING
    client.waiter = getting.wait(client.broker, now, client, names, count, lease_s, wait_s)
    return None


def _read_queues(client: Client, word: bytes) -> list[str]:
    if not word:
        raise RequestError("bad-request", "a queue is missing: GET <queue>[,<queue>…]")
    words = word.split(b",")
    if len(words) > QUEUES_PER_GET_MAX:
        raise RequestError("limit", f"{len(words)} queues, and the limit is {QUEUES_PER_GET_MAX}")
    return list(dict.fromkeys(client.grammar.queue_name(name) for name in words))


def ack(client: Client, rest: bytes, now: float) -> bytes:
    """ACK <receipt>…."""
    receipts = read_receipts(rest, client.grammar.count_max)
    refused = settle.ack(client.broker, now, receipts)
    return _settled(client, receipts, refused)


def nack(client: Client, rest: bytes, now: float) -> bytes:
    """NACK <receipt>… [delay=] [reason=] [dead=yes]."""
    words, options = split_receipts(rest)
    receipts = read_receipts(words, client.grammar.count_max)
    values, left = read_options(options, client.grammar.nack)
    refuse_rest(left)
    refused = settle.nack(
        client.broker,
        now,
        receipts,
        delay_s=values.get(b"delay"),
        reason=values.get(b"reason"),
        dead=values.get(b"dead") == "yes",
    )
    return _settled(client, receipts, refused)


def release(client: Client, rest: bytes, now: float) -> bytes:
    """RELEASE <receipt>… [delay=]."""
    words, options = split_receipts(rest)
    receipts = read_receipts(words, client.grammar.count_max)
    values, left = read_options(options, client.grammar.release)
    refuse_rest(left)
    refused = settle.release(client.broker, now, receipts, values.get(b"delay", 0.0))
    return _settled(client, receipts, refused)


def touch(client: Client, rest: bytes, now: float) -> bytes | None:
    """TOUCH <receipt>… [lease=], or TOUCH * [lease=]; None when many leases are extended."""
    words, options = split_receipts(rest)
    values, left = read_options(options, client.grammar.touch)
    refuse_rest(left)
    lease_s = values.get(b"lease")
    if words.strip(BLANKS) == b"*":
        session = _session(client, "TOUCH *")
        client.wrote = True
        return client.begin(TouchAll(client.broker, client, session, now, lease_s))
    receipts = read_receipts(words, client.grammar.count_max)
    refused = settle.touch(client.broker, now, receipts, lease_s)
    return _settled(client, receipts, refused)


def leases(client: Client, rest: bytes, now: float) -> bytes:
    """LEASES [count=] [after=]."""
    values, left = read_options(rest.lstrip(BLANKS), client.grammar.leases)
    refuse_rest(left)
    count = values.get(b"count", min(LIST_COUNT_DEFAULT, client.grammar.count_max))
    page = view.list_leases(_session(client, "LEASES"), count, values.get(b"after", 0))
    rows = [lines.lease_listed(message, now) for message in page.rows]
    more = () if page.more_after is None else (b"next=%d" % page.more_after,)
    return b"".join(rows) + lines.ok(len(rows), *more)


def _session(client: Client, verb: str) -> Session:
    if client.session is None:
        raise RequestError(
            "no-session", f"{verb} is for a session's leases: say HELLO session=<name> first"
        )
    return client.session


def peek(client: Client, rest: bytes, now: float) -> bytes:
    """PEEK <id>."""
    word, rest = split_word(rest)
    refuse_rest(rest)
    message = client.broker.messages.get(read_id(word))
    if message is None:
        raise RequestError("not-found", f"there is no message {shown(word)}")
    return lines.peeked(message, now, client.broker.wall(now)) + lines.ok(1)


def _settled(
    client: Client, receipts: list[tuple[int, int]], refused: list[tuple[int, int]]
) -> bytes:
    client.wrote = True
    if not refused:
        return b"OK %d\n" % len(receipts)
    return lines.refused(refused) + lines.ok(len(receipts) - len(refused))
