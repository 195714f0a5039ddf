"""The terminals of the grammar, both ways: numbers, durations, times, text, JSON, names.

Each `read_…` takes the bytes of one word and answers its value or raises `RequestError` with a
text that names the word, what it has to be, and what was sent. Python's own `int` and `float`
take `1_0`, ` 1`, `٣`, `nan` and `inf`: a strict pattern comes first.
"""

import json
import re
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from qserver.config import NESTING_MAX
from qserver.errors import RequestError

SHOWN_BYTES: Final = 40
"""So much of a wrong value is shown in the error."""

_NAME: Final = re.compile(rb"[A-Za-z0-9_:][A-Za-z0-9_.:-]{0,127}")
_COUNT: Final = re.compile(rb"[0-9]{1,19}")
_DECIMAL: Final = re.compile(rb"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_DURATION: Final = re.compile(rb"([0-9]{1,15}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)?")
_TIME: Final = re.compile(
    rb"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9})?"
    rb"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
)
_RECEIPTS: Final = re.compile(
    rb"[ \t]*[1-9][0-9]{0,18}\.[1-9][0-9]{0,18}(?:[ \t]+[1-9][0-9]{0,18}\.[1-9][0-9]{0,18})*[ \t]*"
)
_OPTION: Final = re.compile(rb'([a-z_]+)=("[^"\\]*(?:\\.[^"\\]*)*"|[^\s"]*)(?:[ \t]+|$)')
_BARE: Final = re.compile(r"[!#-\[\]-~]+")  # ASCII that shows, without quote and backslash
_UNITS: Final = {b"": 1.0, b"ms": 0.001, b"s": 1.0, b"m": 60.0, b"h": 3600.0, b"d": 86_400.0}

_DIGITS: Final = b"0123456789"
_TO_COMMAS: Final = bytes.maketrans(b" .", b",,")
_NUMBER_DIGITS: Final = 19
_NUMBER_END: Final = 10**_NUMBER_DIGITS
_ZERO: Final = ord("0")
_decode_numbers: Final = msgspec.json.Decoder(list[int]).decode
_decode_raw: Final = msgspec.json.Decoder(msgspec.Raw).decode


def shown(value: bytes) -> str:
    """A wrong value as it can stand in an error's text: short, one line, printable."""
    text = value[:SHOWN_BYTES].decode("utf-8", "backslashreplace")
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text + "…" if len(value) > SHOWN_BYTES else text


# --- reading ----------------------------------------------------------------------------------


def read_name(word: bytes) -> str:
    """A queue's or a session's name."""
    if _NAME.fullmatch(word) is None:
        raise RequestError(
            "bad-name",
            f"'{shown(word)}' is no name: 1 to 128 of A-Z a-z 0-9 _ . : -, "
            "not beginning with . or -",
        )
    return word.decode("ascii")


def read_receipts(words: bytes, count_max: int) -> list[tuple[int, int]]:
    """Receipts between spaces, as pairs of message id and lease number."""
    first, _, second = words.partition(b".")
    if second.isdigit() and first.isdigit():  # one by itself
        longest = max(len(first), len(second))
        if longest <= _NUMBER_DIGITS and first[0] != _ZERO != second[0]:
            return [(int(first), int(second))]
    numbers = _quick_receipts(words)
    if not numbers:
        if _RECEIPTS.fullmatch(words) is None:
            _refuse_receipts(words)
        numbers = list(map(int, words.replace(b".", b" ").split()))
    if len(numbers) > 2 * count_max:
        raise RequestError("limit", f"{len(numbers) // 2} receipts, and count_max is {count_max}")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _quick_receipts(words: bytes) -> list[int]:
    """The numbers of receipts that have one space between each two, as all programs write them.

    As an array of JSON they are read in a fourth of the time; it allows no sign and no zero ahead
    either. Answers [] if this takes a closer look.
    """
    marks = words.translate(None, _DIGITS)
    if marks != b". " * (len(marks) // 2) + b".":
        return []
    try:
        numbers = _decode_numbers(b"[%b]" % words.translate(_TO_COMMAS))
    except msgspec.DecodeError:
        return []
    return numbers if min(numbers) > 0 and max(numbers) < _NUMBER_END else []


def _refuse_receipts(words: bytes) -> None:
    for word in re.split(rb"[ \t]+", words.strip(b" \t")):
        if word and _RECEIPTS.fullmatch(word) is None:
            raise RequestError(
                "bad-receipt",
                f"'{shown(word)}' is no receipt: <message id>.<lease number>, as GET gave it",
            )
    raise RequestError("bad-request", "a receipt is missing: <message id>.<lease number>")


def read_id(word: bytes) -> int:
    """A message id."""
    if _COUNT.fullmatch(word) is None:
        raise RequestError("bad-request", f"'{shown(word)}' is no message id: a whole number")
    return int(word)


def count_reader(name: str, largest: int, smallest: int = 1) -> Callable[[bytes], int]:
    """A reader of whole numbers within bounds."""

    def read(word: bytes) -> int:
        if not word.isdigit():
            raise RequestError(
                "bad-request", f"{name}={shown(word)} is no whole number from {smallest}"
            )
        value = int(word) if len(word) < SHOWN_BYTES else largest + 1
        if value > largest:
            raise RequestError("limit", f"{name}={shown(word)}, and the limit is {largest}")
        if value < smallest:
            raise RequestError("bad-request", f"{name}={value} is less than {smallest}")
        return value

    return read


def number_reader(name: str, smallest: float, largest: float) -> Callable[[bytes], float]:
    """A reader of decimal numbers within bounds."""

    def read(word: bytes) -> float:
        if _DECIMAL.fullmatch(word) is None:
            raise RequestError("bad-request", f"{name}={shown(word)} is no decimal number")
        return _bounded(name, word, float(word), smallest, largest)

    return read


def duration_reader(name: str, smallest: float, largest: float) -> Callable[[bytes], float]:
    """A reader of durations, in seconds, within bounds."""

    def read(word: bytes) -> float:
        match = _DURATION.fullmatch(word)
        if match is None:
            raise RequestError(
                "bad-request",
                f"{name}={shown(word)} is no duration: seconds, or a number with ms, s, m, h, d",
            )
        value = float(match[1]) * _UNITS[match[2] or b""]
        return _bounded(name, word, value, smallest, largest)

    return read


def _bounded(name: str, word: bytes, value: float, smallest: float, largest: float) -> float:
    if value > largest:
        raise RequestError("limit", f"{name}={shown(word)}, and the limit is {number(largest)}")
    if value < smallest:
        raise RequestError("limit", f"{name}={shown(word)}, and the least is {number(smallest)}")
    return value


def time_reader(name: str) -> Callable[[bytes], float]:
    """A reader of times, in seconds since 1970."""

    def read(word: bytes) -> float:
        if _DECIMAL.fullmatch(word) is not None:
            return _bounded(name, word, float(word), 0.0, _TIME_S_MAX)
        try:
            if _TIME.fullmatch(word) is not None:
                return datetime.fromisoformat(word.decode("ascii").upper()).timestamp()
        except (ValueError, OverflowError):
            pass
        raise RequestError(
            "bad-request",
            f"{name}={shown(word)} is no time: RFC 3339 with a zone, "
            "as 2027-01-31T09:30:00Z, or seconds since 1970",
        )

    return read


_TIME_S_MAX: Final = datetime(9999, 1, 1, tzinfo=UTC).timestamp()


def text_reader(name: str, bytes_max: int) -> Callable[[bytes], str]:
    """A reader of text: a bare word or a JSON string."""

    def read(word: bytes) -> str:
        value = read_text(name, word)
        size = len(value.encode())
        if size > bytes_max:
            raise RequestError("limit", f"{name} has {size} bytes, and the limit is {bytes_max}")
        if not value:
            raise RequestError("bad-request", f"{name} is empty")
        return value

    return read


def read_text(name: str, word: bytes) -> str:
    """A bare word or a JSON string."""
    try:
        if not word.startswith(b'"'):
            return word.decode()
        return msgspec.json.decode(word, type=str)
    except (UnicodeDecodeError, msgspec.DecodeError):
        raise RequestError(
            "bad-request", f"{name}={shown(word)} is no text: a bare word or a JSON string"
        ) from None


def choice_reader(name: str, choices: tuple[str, ...]) -> Callable[[bytes], str]:
    """A reader of one word out of a few."""

    def read(word: bytes) -> str:
        value = word.decode("ascii", "replace")
        if value not in choices:
            raise RequestError(
                "bad-request", f"{name}={shown(word)} is not one of: {', '.join(choices)}"
            )
        return value

    return read


def read_options(
    words: bytes, readers: dict[bytes, Callable[[bytes], Any]]
) -> tuple[dict[bytes, Any], bytes]:
    """Options at the beginning of `words`, and what stands behind them."""
    values: dict[bytes, Any] = {}
    at = 0
    while (match := _OPTION.match(words, at)) is not None:
        name, word = match.groups()
        reader = readers.get(name)
        if reader is None:
            known = b" ".join(readers).decode() or "none"
            raise RequestError("bad-request", f"no option {shown(name)} here; there are: {known}")
        if name in values:
            raise RequestError("bad-request", f"the option {shown(name)} stands twice")
        values[name] = reader(word)
        at = match.end()
    return values, words[at:]


def check_json(text: bytes) -> None:
    """Let a text be exactly one JSON value in valid UTF-8, not nested too deep.

    Raises:
        RequestError: `bad-json`.
    """
    try:
        _decode_raw(text)
        if not text.isascii():
            text.decode()
    except UnicodeDecodeError as error:
        raise RequestError("bad-json", f"byte {error.start} of the body is not UTF-8") from None
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise RequestError("bad-json", f"the body is not one JSON value: {reason}") from None
    except RecursionError:
        raise _too_deep() from None
    if len(text) > 2 * NESTING_MAX:  # one nested n deep has 2n brackets: most are too short
        _check_brackets(text)


def are_json(texts: list[bytes]) -> bool:
    """Whether each is exactly one JSON value, as `check_json` asks for: at half the cost."""
    try:
        deque(map(_decode_raw, texts), maxlen=0)
        are_short = max(map(len, texts), default=0) <= 2 * NESTING_MAX
        have_many_brackets = False
        step = _SHORT_TOGETHER if are_short else _LONG_TOGETHER
        for at in range(0, len(texts), step):
            some = texts[at : at + step]
            joined = b"".join(some)
            if not joined.isascii():
                deque(map(bytes.decode, some), maxlen=0)
            if are_short:
                continue
            have_many_brackets = have_many_brackets or _count_brackets(joined) > NESTING_MAX
            if have_many_brackets:
                deque(map(_check_brackets, some), maxlen=0)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError, RequestError):
        return False
    return True


_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_SHORT_TOGETHER: Final = 64
_LONG_TOGETHER: Final = 8
"""So many texts are looked at at once; until some have many brackets: then the rest may too."""

_NOT_BRACKET: Final = bytes(set(range(256)) - set(b"[]{}"))


def _check_brackets(text: bytes) -> None:
    if _count_brackets(text) > NESTING_MAX:
        _check_depth(text)


def _count_brackets(text: bytes) -> int:
    # Replaced, since that looks for a byte with `memchr`, as `count` does not.
    return 2 * len(text) - len(text.replace(b"[", b"")) - len(text.replace(b"{", b""))


def _check_depth(text: bytes) -> None:
    depth = 0
    for bracket in _STRING.sub(b"", text).translate(None, _NOT_BRACKET):
        if bracket in b"[{":
            depth += 1
            if depth > NESTING_MAX:
                raise _too_deep()
        else:
            depth -= 1


def _too_deep() -> RequestError:
    return RequestError("bad-json", f"the body is nested deeper than {NESTING_MAX}")


# --- writing ----------------------------------------------------------------------------------


def number(value: float) -> str:
    """Seconds, or any number, in plain decimals without trailing zeros."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


def text(value: str) -> bytes:
    """A bare word where the text is one, a JSON string otherwise."""
    if _BARE.fullmatch(value) is not None:
        return value.encode("ascii")
    return json.dumps(value, ensure_ascii=False).encode()


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"
