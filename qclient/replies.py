"""From bytes to replies. No sockets here: the asynchronous and a synchronous client share it.

    reply = *( "* " … LF ) ( "OK" … LF / "ERR" SP code SP text LF )

`ReplyReader` takes bytes in pieces of any size and gives whole replies, in the order they came.
A body holds no line feed (JSON has none inside its strings), so lines can be cut without looking
into them: one `split` for a whole chunk. What has no line feed yet is kept in pieces and joined
once when its end comes; joining at every chunk would make a line of a megabyte quadratic.
"""

from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

import msgspec

from qclient.errors import ProtocolError, ReplyError, from_reply
from qclient.words import LF, shorten

T = TypeVar("T")

Reply = tuple[list[bytes], bytes]
"""The data lines (with their `* `) and the closing line, both without LF."""

LINE_BYTES_MAX: Final = 1 << 28
"""A line longer than this is no answer of a server that is well: give up before memory does."""


class ReplyReader:
    """Cuts the stream of one connection into replies."""

    def __init__(self, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._line_bytes_max = line_bytes_max
        self._pieces: list[bytes] = []
        self._held = 0
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> list[Reply]:
        """The replies that `chunk` completes; most often one or more, sometimes none.

        Raises:
            ProtocolError: a line is none of the protocol's, or endless. The reader is of no use
                after that, nor is the connection.
        """
        if not self._pieces and chunk.startswith(b"OK ") and chunk.find(b"\n") == len(chunk) - 1:
            data, self._data = self._data, []  # one reply and no more: nearly always
            return [(data, chunk[:-1])]
        if LF not in chunk:
            self._keep(chunk)
            return []
        if self._pieces:
            self._pieces.append(chunk)
            chunk = b"".join(self._pieces)
        lines = chunk.split(b"\n")
        rest = lines.pop()
        self._pieces = [rest] if rest else []
        self._held = len(rest)
        if not self._data and chunk.startswith(b"OK "):
            others = chunk.count(b"\nOK ", 0, len(chunk) - len(rest))
            if others == len(lines) - 1:
                return [([], line) for line in lines]
        return self._replies(lines)

    @property
    def is_between(self) -> bool:
        """Whether everything that came belongs to a whole reply."""
        return not self._pieces and not self._data

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._held += len(piece)
        if self._held > self._line_bytes_max:
            raise ProtocolError(f"a line of more than {self._line_bytes_max} bytes")

    def _replies(self, lines: list[bytes]) -> list[Reply]:
        replies: list[Reply] = []
        data = self._data
        for line in lines:
            if line[:2] == b"* ":
                data.append(line)
            elif line.startswith((b"OK ", b"ERR ")) or line == b"OK":
                replies.append((data, line))
                data = []
            else:
                raise ProtocolError(f"not a line of a reply: {shorten(line)}")
        self._data = data
        return replies


class Request(msgspec.Struct, Generic[T]):
    """What to send, and how to read what comes back.

    Attributes:
        line: one or more whole lines.
        parse: replies, one for each line, to the caller's result; raises the reply's error.
        replies: number of lines, so of replies.
        is_repeatable: sent twice, it does what it does sent once.
        leases: its reply hands out leases, which must be given back if nobody takes it.
    """

    line: bytes
    parse: Callable[[Sequence[Reply]], T]
    replies: int = 1
    is_repeatable: bool = True
    leases: bool = False


def refusal(closing: bytes) -> ReplyError | None:
    """The error of a closing line, or None of an `OK`."""
    if closing.startswith(b"OK"):
        return None
    _, code, *text = closing.decode("utf-8", "replace").split(" ", 2)
    return from_reply(code, text[0] if text else code)


def closing_words(closing: bytes) -> list[str]:
    """The words behind `OK`.

    Raises:
        ReplyError: it is an `ERR`.
    """
    error = refusal(closing)
    if error is not None:
        raise error
    return closing.decode("utf-8", "replace").split()[1:]


def closing_number(closing: bytes) -> int:
    """The number behind `OK`.

    Raises:
        ReplyError: it is an `ERR`.
        ProtocolError: there is no number.
    """
    if closing.startswith(b"OK "):
        digits = closing[3:]
        if digits.isdigit():  # nearly always
            return int(digits)
    words = closing_words(closing)
    if not words or not words[0].isdecimal():
        raise ProtocolError(f"no number in {shorten(closing)}")
    return int(words[0])


def first(replies: Sequence[Reply]) -> tuple[list[bytes], list[str]]:
    """The data lines of a lone reply and the words behind its `OK`.

    Raises:
        ReplyError: it is an `ERR`.
    """
    data, closing = replies[0]
    return data, closing_words(closing)


def nothing(replies: Sequence[Reply]) -> None:
    """The result of a request whose `OK` says all."""
    first(replies)


def number(replies: Sequence[Reply]) -> int:
    """The result of a request that is answered with a number."""
    return closing_number(replies[0][1])
