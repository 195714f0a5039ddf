"""Bytes to lines.

The client's bytes come in pieces of any size. A line ends in LF, and a CR before it belongs to its
end. Most pieces hold many whole lines and are cut by one call; what remains behind the last LF
waits for the next piece. A line that comes in many pieces is kept as pieces and joined once, so
that a line of n bytes costs n, in whatever pieces it comes.

Lines keep their ends: who takes a part of a line leaves the end out by the same copy.

A line over the limit loses the framing: what follows can't be told apart from its rest.
"""

from io import BytesIO

from qserver.errors import FramingError


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
        """The lines that end in `data`, with their ends.

        Returns:
            The lines; and, when the framing is lost, why. Then the lines are those before that,
            and no more may be fed.
        """
        lines = BytesIO(data).readlines()  # `split` looks at every byte by itself
        if self._held or len(data) > self._line_bytes_max or not data.endswith(b"\n"):
            return self._feed_with_care(data, lines)
        return lines, None

    def _feed_with_care(
        self, data: bytes, lines: list[bytes]
    ) -> tuple[list[bytes], FramingError | None]:
        """Where `data` may be more, or less, than whole lines."""
        longest = self._line_bytes_max
        rest = lines.pop() if data and not data.endswith(b"\n") else b""
        may_be_too_long = len(data) + self._held_bytes > longest
        if self._held and lines:
            lines[0] = b"".join([*self._held, lines[0]])
            self._held.clear()
            self._held_bytes = 0
        for index, line in enumerate(lines) if may_be_too_long else ():
            if len(line) > longest + 1 and len(without_end(line)) > longest:
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


def without_end(line: bytes) -> bytes:
    """A line without its LF, and without a CR before that."""
    return line[:-2] if line.endswith(b"\r\n") else line[:-1]
