r"""The terminals of the grammar, both ways: names, text, numbers, times, receipts.

Everything that a caller gives becomes part of one line, so nothing that it gives may end the line
or begin another word. Each function here returns bytes that can't: a name and a receipt have to
match their pattern, and a text that is not a plain word is quoted as JSON, where a line feed is
`\n`. What can't be written raises the error the server would have answered.
"""

import math
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import msgspec

from qclient.errors import BadJson, BadName, BadReceipt, BadRequest, ProtocolError

Duration = float | timedelta
"""Seconds, or a timedelta."""

_NAME: Final = re.compile(r"[A-Za-z0-9_:][A-Za-z0-9_.:-]{0,127}")
_BARE: Final = re.compile(r"[!#-~]+")  # printable ASCII but space and double quote
_RECEIPTS: Final = re.compile(r"[0-9]{1,20}\.[0-9]{1,20}(?: [0-9]{1,20}\.[0-9]{1,20})*")
_FIELD: Final = re.compile(rb'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^ "]*)(?: +|$)')
_OPENING: Final = frozenset(b'{["-0123456789')
_LITERALS: Final = frozenset((b"true", b"false", b"null"))
_BLANKS: Final = b" \t\r\n"
_DATA: Final = (bytes, bytearray, memoryview)
_encode: Final = msgspec.json.Encoder().encode

LF: Final = 10
"""To be looked for in bytes: a number is found in 0.05 µs, where `b"\n" in` takes 0.3."""


@lru_cache(maxsize=4096)
def name(value: str) -> bytes:
    """A queue's or a session's name.

    Raises:
        BadName: it is not 1 to 128 of `A-Z a-z 0-9 _ . : -`, or begins with `.` or `-`.
    """
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise BadName(f"not a name: {value!r}; names are 1 to 128 of A-Z a-z 0-9 _ . : -")
    return value.encode()


def names(values: Iterable[str]) -> bytes:
    """One or more queues, in order, as a GET takes them."""
    return _names(tuple(values))


@lru_cache(maxsize=4096)
def _names(values: tuple[str, ...]) -> bytes:
    if not values:
        raise BadRequest("name at least one queue")
    return b",".join([name(value) for value in values])


def text(value: str) -> bytes:
    """A key, reason, trace …: a bare word where it can be one, else a JSON string."""
    if _BARE.fullmatch(value):
        return value.encode()
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        raise BadRequest(f"{value!r} holds half of a surrogate pair: not text") from None


def whole(value: int, what: str) -> bytes:
    """A count or priority in decimal digits."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise BadRequest(f"{what} is a whole number, not {value!r}")
    return b"%d" % value


def duration(value: Duration, what: str) -> bytes:
    """Seconds with at most six decimals, never in exponent form."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise BadRequest(f"{what} is seconds or a timedelta, not {value!r}")
    if not math.isfinite(seconds) or seconds < 0:
        raise BadRequest(f"{what} is 0 seconds or more, not {value!r}")
    if isinstance(seconds, int):
        return b"%d" % seconds
    return f"{seconds:.6f}".rstrip("0").rstrip(".").encode()


def instant(value: datetime) -> bytes:
    """A time with its zone, in UTC with microseconds where it has any."""
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise BadRequest(
            f"a time needs its zone: {value!r}; use datetime.now(UTC) or .astimezone()"
        )
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z").encode()


def receipts(values: Iterable[str]) -> bytes:
    """Receipts with spaces between them, checked in one go."""
    joined = " ".join(values)
    if not _RECEIPTS.fullmatch(joined):
        raise BadReceipt(_wrong_receipt(joined))
    return joined.encode()


def _wrong_receipt(joined: str) -> str:
    if not joined:
        return "name at least one receipt"
    wrong = next((word for word in joined.split(" ") if not _RECEIPTS.fullmatch(word)), joined)
    return f"not a receipt: {wrong[:60]!r}; it looks like 17.204, as the GET gave it"


def body(value: object) -> bytes:
    """A JSON value in one line: encoded, or `msgspec.Raw` bytes as they stand.

    Blanks around raw JSON are taken off. Line feeds inside it, which can only stand between its
    tokens, can't be sent: then it is compacted, every token kept as it is written.

    Raises:
        BadJson: the value can't be encoded, or the raw bytes are not JSON as far as can be seen
            without parsing them (the server checks the rest).
    """
    if isinstance(value, _DATA):
        raise BadJson("bytes could be JSON or data: msgspec.Raw(body) sends JSON as it stands")
    try:
        encoded = _encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadJson(f"can't be written as JSON: {error}") from error
    if LF in encoded or isinstance(value, msgspec.Raw):
        return raw_body(encoded)
    return encoded


def raw_body(raw: bytes) -> bytes:
    """JSON bytes fit to end a request's line; see `body`."""
    raw = raw.strip(_BLANKS)
    if not raw:
        raise BadJson("the body is empty; the smallest ones are null, 0, {} and []")
    if raw[0] not in _OPENING and raw not in _LITERALS:
        raise BadJson(f"not JSON: {shorten(raw)}")
    if LF not in raw:
        return raw
    try:
        return msgspec.json.format(raw, indent=-1)
    except msgspec.DecodeError as error:
        raise BadJson(f"holds a line feed and is not JSON: {error}") from error


def shorten(raw: bytes) -> str:
    """The beginning of some bytes, for a message to people."""
    shown = raw[:60].decode("utf-8", "replace")
    return repr(shown) + ("…" if len(raw) > len(shown) else "")


def fields(rest: bytes) -> tuple[dict[str, str], bytes]:
    """The `name=value` words at the beginning of `rest`, and the JSON behind them (or nothing).

    Other words are passed over: a later server may add some. A JSON value can't be taken for a
    word, since none begins with a letter but `true`, `false` and `null`.
    """
    found: dict[str, str] = {}
    at = 0
    while at < len(rest) and rest[at] not in _OPENING:
        match = _FIELD.match(rest, at)
        if match:
            found[match[1].decode()] = _value(match[2])
            at = match.end()
            continue
        if rest[at:] in _LITERALS:
            break
        space = rest.find(b" ", at)
        at = len(rest) if space < 0 else space + 1
    return found, rest[at:]


def _value(raw: bytes) -> str:
    if raw[:1] != b'"':
        return raw.decode("utf-8", "replace")
    try:
        return msgspec.json.decode(raw, type=str)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"not a text: {shorten(raw)}") from error


def number(value: str) -> int | float | str:
    """A figure of a reply: whole, fractional, or what it is."""
    try:
        return int(value)
    except ValueError:
        pass
    try:
        return float(value)
    except ValueError:
        return value
