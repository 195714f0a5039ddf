"""Bytes to lines.

The client's bytes come in pieces of any size. A line ends in LF, a CR before it is dropped. Most
pieces hold many whole lines and are cut by one `split`; what remains behind the last LF waits for
the next piece. A line that comes in many pieces is kept as pieces and joined once, so that a line
of n bytes costs n, in whatever pieces it comes.

A line over the limit loses the framing: what follows can't be told apart from its rest.
"""

from io import BytesIO
from typing import Final

from qserver.errors import FramingError

LONG_LINE_BYTES: Final = 256
"""From here on `memchr` finds the end of a line in less time than a loop over its bytes."""


class LineReader:
    """Cuts one connection's bytes into lines.

    Args:
        line_bytes_max: bytes that a line may have, its end not counted.
    """

    __slots__ = ("_held", "_held_bytes", "_line_bytes_max")

    def __init__(self, line_bytes_max: int) -> None:
        self._line_bytes_max = line_bytes_max
        self._held: list[bytes] = []
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of a line that has not ended yet."""
        return self._held_bytes

    def feed(self, data: bytes) -> tuple[list[bytes], FramingError | None]:
        """The lines that end in `data`, without their ends.

        Returns:
            The lines; and, when the framing is lost, why. Then the lines are those before that,
            and no more may be fed.
        """
        end = data.find(b"\n")
        if end < 0:  # a piece of a long line: `split` would look at every byte of it
            lines = [data]
        else:
            lines = data.split(b"\n") if end < LONG_LINE_BYTES else _split_long(data)
        rest = lines.pop()
        # `find`: `in` takes three times as long, since it tries whether it is asked for a number.
        if rest or self._held or len(data) > self._line_bytes_max or data.find(b"\r") >= 0:
            return self._feed_with_care(data, lines, rest)
        return lines, None

    def _feed_with_care(
        self, data: bytes, lines: list[bytes], rest: bytes
    ) -> tuple[list[bytes], FramingError | None]:
        """Where `data` may be more, or less, than whole lines that end in LF."""
        longest = self._line_bytes_max
        may_be_too_long = len(data) + self._held_bytes > longest
        if self._held and lines:
            lines[0] = b"".join([*self._held, lines[0]])
            self._held.clear()
            self._held_bytes = 0
        if lines and (b"\r" in data or lines[0].endswith(b"\r")):
            lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
        for index, line in enumerate(lines) if may_be_too_long else ():
            if len(line) > longest:
                return lines[:index], self._too_long()
        if rest:
            self._held.append(rest)
            self._held_bytes += len(rest)
            if self._held_bytes > longest + 1:  # the CR may yet turn out to be its end
                self._held.clear()
                self._held_bytes = 0
                return lines, self._too_long()
        return lines, None

    def _too_long(self) -> FramingError:
        return FramingError(
            "too-long", f"a line may have {self._line_bytes_max} bytes, this one has more"
        )


def _split_long(data: bytes) -> list[bytes]:
    """As `split` at each LF, which looks at every byte by itself: quicker where lines are long."""
    pieces = BytesIO(data).readlines()
    rest = b"" if data.endswith(b"\n") else pieces.pop()
    lines = [piece[:-1] for piece in pieces]
    lines.append(rest)
    return lines
