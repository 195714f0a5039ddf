"""PUTs that a client has sent ahead: done at one stroke.

Who stores many messages sends line behind line that differ in their bodies only, or in their queues
too. What each costs by itself (the call of a verb, of the broker, of the recorder) is most of what
it costs, so a *run* of them is looked at as a whole: a list of bodies, consecutive ids, one reply.
The replies and the records are those that the lines would have had one by one. Where anything is
not as it mostly is, there is no run, and each line is done by itself and gets its own error.
"""

import re
from collections import deque
from itertools import islice
from typing import Final

from qserver.broker import put as putting
from qserver.config import RUN_BYTES_MAX, RUN_LINES, TEXT_BYTES_MAX
from qserver.dispatch.client import Client
from qserver.dispatch.grammar import JSON_STARTS
from qserver.errors import RequestError
from qserver.wire.words import are_json

_STARTS: Final = frozenset(bytes([byte]) for byte in JSON_STARTS)
_BLANKS: Final = frozenset((b" ", b"\t", b"\r"))
_KEYS: Final = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*")
"""Words of ASCII that need quotes neither on the wire nor in JSON."""


def put(client: Client, backlog: deque[bytes], now: float) -> tuple[int, bytes]:
    """Do the PUTs that the backlog begins with: to one queue, or else whatever queues.

    Returns:
        How many lines were looked at. And the replies, if these were done and taken out of the
        backlog; else b"".
    """
    line = backlog[0]
    at = line.find(b" ", len(b"PUT ")) + 1
    has_keys = line.startswith(b"dedup=", at)
    head = line[: at + len(b"dedup=") if has_keys else at]
    if not head or not backlog[1].startswith(head):
        return _put_mixed(client, backlog, now) if backlog[1].startswith(b"PUT ") else (0, b"")
    lines = list(islice(backlog, RUN_LINES))
    size = sum(map(len, lines))
    if size > RUN_BYTES_MAX:
        return len(lines), b""
    if not (min(lines).startswith(head) and max(lines).startswith(head)):  # if they do, all do
        del lines[_length(lines, head) :]
    rests = [line[len(head) : -1] for line in lines]
    first = _put(client, head[len(b"PUT ") : at - 1], rests, now, has_keys=has_keys)
    return _answer(backlog, first, len(rests))


def _answer(backlog: deque[bytes], first: int, count: int) -> tuple[int, bytes]:
    """What `put` answers, when the first of so many messages has that id, or 0 if none has."""
    if not first:
        return count, b""
    for _ in range(count):
        backlog.popleft()
    return count, b"OK %d\n" * count % tuple(range(first, first + count))


def _put_mixed(client: Client, backlog: deque[bytes], now: float) -> tuple[int, bytes]:
    """The same for PUTs without options to several queues: half of what they take by themselves."""
    parts = [line.split(b" ", 2) for line in islice(backlog, RUN_LINES)]
    ends = (at for at, part in enumerate(parts) if part[0] != b"PUT" or not part[2:])
    del parts[next(ends, len(parts)) :]
    bodies = [part[2][:-1] for part in parts]
    if sum(map(len, bodies)) > RUN_BYTES_MAX or not _are_plain(bodies):
        return len(parts), b""
    try:
        names = [client.grammar.queue_name(part[1]) for part in parts]
    except RequestError:
        return len(parts), b""
    first = putting.put_mixed(client.broker, now, names, bodies)
    client.wrote |= first > 0
    return _answer(backlog, first, len(parts))


def _are_plain(bodies: list[bytes]) -> bool:
    """Whether each is JSON that begins and ends where it should, and that nothing else can be."""
    return (
        _STARTS.issuperset([body[:1] for body in bodies])
        and _BLANKS.isdisjoint([body[-1:] for body in bodies])
        and are_json(bodies)
    )


def _length(lines: list[bytes], head: bytes) -> int:
    """How many of the lines begin so, before the first that does not."""
    return next(at for at, line in enumerate(lines) if not line.startswith(head))


def _put(client: Client, queue: bytes, rests: list[bytes], now: float, *, has_keys: bool) -> int:
    """Store the messages; answers the id of the first, or 0 if nothing was done."""
    bodies, keys = _split(rests) if has_keys else (rests, None)
    if not _are_plain(bodies):
        return 0
    try:
        name = client.grammar.queue_name(queue)
    except RequestError:
        return 0
    first = putting.put_run(client.broker, now, name, bodies, keys)
    client.wrote |= first > 0
    return first


def _split(rests: list[bytes]) -> tuple[list[bytes], list[str]]:
    """Each body, and the dedup key before it; none if a key is not as simple as it may be."""
    pairs = [rest.partition(b" ") for rest in rests]
    words = b" ".join([key for key, _, _ in pairs]).decode("latin-1")
    keys = words.split(" ")
    if _KEYS.fullmatch(words) is None or len(max(keys, key=len)) > TEXT_BYTES_MAX:
        return [b""], []
    return [body for _, _, body in pairs], keys
