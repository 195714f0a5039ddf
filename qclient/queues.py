"""The verbs that look after queues and the server, each as a Request. See `verbs.py`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Generic, TypeVar

import msgspec

from qclient.errors import BadRequest, ProtocolError
from qclient.message import Stored
from qclient.replies import Reply, Request, first, nothing, number
from qclient.reports import Lease, Peer, Queue, Server, Settings
from qclient.reports import peer as peer_report
from qclient.reports import queue as queue_report
from qclient.reports import server as server_report
from qclient.reports import settings as settings_report
from qclient.verbs import stored
from qclient.words import Duration, duration, fields, name, shorten, text, whole
from qclient.words import number as figure

T = TypeVar("T")

STATES = ("ready", "delayed", "leased", "dead", "done")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One reply of LIST.

    Attributes:
        rows: its lines.
        next: what to ask `after` for the next page, or None when this was the last.
    """

    rows: list[T]
    next: str | None


def messages(
    queue: str,
    wanted: object,
    *,
    state: str | Iterable[str] | None = None,
    key: str | None = None,
    count: int | None = None,
    after: str | None = None,
) -> Request[Page[Stored[Any]]]:
    """LIST of a queue's messages."""
    line = b"LIST %b" % name(queue)
    if state is not None:
        line += b" state=%b" % states(state)
    if key is not None:
        line += b" key=%b" % text(key)
    if count is not None:
        line += b" count=%b" % whole(count, "count")
    if after is not None:
        line += b" after=%b" % text(after)
    return Request(line + b"\n", partial(_messages, queue, wanted))


def queues(*, count: int | None = None, after: str | None = None) -> Request[Page[Queue]]:
    """LIST of the queues."""
    line = b"LIST"
    if count is not None:
        line += b" count=%b" % whole(count, "count")
    if after is not None:
        line += b" after=%b" % name(after)
    return Request(line + b"\n", _queues)


def leases(*, count: int | None = None, after: str | None = None) -> Request[Page[Lease]]:
    """LEASES of the connection's session."""
    line = b"LEASES"
    if count is not None:
        line += b" count=%b" % whole(count, "count")
    if after is not None:
        line += b" after=%b" % text(after)
    return Request(line + b"\n", _leases)


def clients(*, count: int | None = None, after: str | None = None) -> Request[Page[Peer]]:
    """CLIENTS: the server's connections."""
    line = b"CLIENTS"
    if count is not None:
        line += b" count=%b" % whole(count, "count")
    if after is not None:
        line += b" after=%b" % text(after)
    return Request(line + b"\n", _clients)


def states(value: str | Iterable[str]) -> bytes:
    """One state or several."""
    chosen = value.split(",") if isinstance(value, str) else list(value)
    wrong = [state for state in chosen if state not in STATES]
    if wrong or not chosen:
        raise BadRequest(f"not a state: {', '.join(wrong)!r}; there are {', '.join(STATES)}")
    return ",".join(chosen).encode()


def _messages(queue: str, wanted: object, replies: Sequence[Reply]) -> Page[Stored[Any]]:
    data, words = first(replies)
    return Page([stored(line, queue, wanted) for line in data], _next(words))


def _queues(replies: Sequence[Reply]) -> Page[Queue]:
    data, words = first(replies)
    return Page([queue_report(*_named(line)) for line in data], _next(words))


def _clients(replies: Sequence[Reply]) -> Page[Peer]:
    data, words = first(replies)
    return Page([_client(line) for line in data], _next(words))


def _client(line: bytes) -> Peer:
    number, info = _named(line)
    if not number.isdecimal():
        raise ProtocolError(f"not a connection: {shorten(line)}")
    return peer_report(int(number), info)


def _leases(replies: Sequence[Reply]) -> Page[Lease]:
    data, words = first(replies)
    return Page([_lease(line) for line in data], _next(words))


def _lease(line: bytes) -> Lease:
    words = line.split(b" ", 3)
    info = fields(words[-1])[0]
    left = figure(info.get("expires_in", ""))
    if len(words) != 4 or isinstance(left, str):  # noqa: PLR2004  "*", receipt, queue, the rest
        raise ProtocolError(f"not a lease: {shorten(line)}")
    return Lease(words[1].decode(), words[2].decode(), left, info)


def _next(words: list[str]) -> str | None:
    return next((word[5:] for word in words if word.startswith("next=")), None)


def _named(line: bytes) -> tuple[str, dict[str, str]]:
    """A line's first word and its options."""
    _, _, rest = line.partition(b" ")
    first_word, _, options = rest.partition(b" ")
    return first_word.decode("utf-8", "replace"), fields(options)[0]


def queue(which: str, settings: Mapping[str, object]) -> Request[Settings]:
    """QUEUE: creates it or changes settings; those that are None stay as they are."""
    line = b"QUEUE %b" % name(which)
    for setting, value in settings.items():
        if value is not None:
            line += b" %b=%b" % (name(setting), _setting(setting, value))
    return Request(line + b"\n", _settings)


def _setting(setting: str, value: object) -> bytes:
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float | timedelta):
        return duration(value, setting)
    if isinstance(value, int):
        return whole(value, setting)
    raise BadRequest(f"{setting} is a number, a timedelta or a word, not {value!r}")


def _settings(replies: Sequence[Reply]) -> Settings:
    data, _ = first(replies)
    if not data:
        raise ProtocolError("a QUEUE was answered without its settings")
    return settings_report(_named(data[0])[1])


def pause(which: str) -> Request[bool]:
    """PAUSE; False when it was paused before."""
    return Request(b"PAUSE %b\n" % name(which), _changed)


def resume(which: str) -> Request[bool]:
    """RESUME; False when it was not paused."""
    return Request(b"RESUME %b\n" % name(which), _changed)


def _changed(replies: Sequence[Reply]) -> bool:
    return number(replies) > 0


def purge(which: str, *, state: str | Iterable[str] | None = None) -> Request[int]:
    """PURGE; not repeated, since a second one would remove what was put in between."""
    line = b"PURGE %b" % name(which)
    if state is not None:
        line += b" state=%b" % states(state)
    return Request(line + b"\n", number, is_repeatable=False)


def drop(which: str) -> Request[int]:
    """DROP; not repeated, for the same reason."""
    return Request(b"DROP %b\n" % name(which), number, is_repeatable=False)


def redrive(
    which: str,
    *,
    count: int | None = None,
    reason: str | None = None,
    to: str | None = None,
    dry: bool = False,
) -> Request[int]:
    """REDRIVE; repeated only where a second one finds nothing new to do, or does nothing."""
    line = b"REDRIVE %b" % name(which)
    if count is not None:
        line += b" count=%b" % whole(count, "count")
    if reason is not None:
        line += b" reason=%b" % text(reason)
    if to is not None:
        line += b" to=%b" % name(to)
    if dry:
        line += b" dry=yes"
    return Request(line + b"\n", number, is_repeatable=dry)


def hello(
    *,
    client: str | None = None,
    session: str | None = None,
    grace: Duration | None = None,
    token: str | None = None,
) -> Request[Server]:
    """HELLO."""
    line = b"HELLO"
    if client is not None:
        line += b" client=%b" % text(client)
    if session is not None:
        line += b" session=%b" % name(session)
    if grace is not None:
        line += b" grace=%b" % duration(grace, "grace")
    if token is not None:
        line += b" token=%b" % text(token)
    return Request(line + b"\n", _server)


def _server(replies: Sequence[Reply]) -> Server:
    _, words = first(replies)
    return server_report(fields(" ".join(words).encode())[0])


def stats() -> Request[dict[str, int | float | str]]:
    """STATS."""
    return Request(b"STATS\n", _stats)


def _stats(replies: Sequence[Reply]) -> dict[str, int | float | str]:
    data, _ = first(replies)
    found: dict[str, int | float | str] = {}
    for line in data:
        for word, value in fields(line[2:])[0].items():
            found[word] = figure(value)
    return found


def ping() -> Request[None]:
    """PING."""
    return Request(b"PING\n", nothing)


def help_(verb: str | None = None) -> Request[list[str]]:
    """HELP: the verbs with their forms, or one of them."""
    line = b"HELP\n" if verb is None else b"HELP %b\n" % name(verb)
    return Request(line, _lines)


def _lines(replies: Sequence[Reply]) -> list[str]:
    data, _ = first(replies)
    return [line[2:].decode("utf-8", "replace") for line in data]
