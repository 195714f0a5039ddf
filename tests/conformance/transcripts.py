"""The transcripts of protocol.md: read, and played against anything that has connections.

C: bytes that are sent      S: the next line that comes      T: time that passes
C2:/S2: another connection  …  any text                       an empty line: sent as it is
A block that is marked with a token is for a server that wants it.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

PROTOCOL: Final = Path(__file__).parents[2] / "protocol.md"

_BLOCK: Final = re.compile(
    r"^```transcript(?: token=(\S+))?\n(.*?)^```$|^##+ ([^\n]+)$", re.MULTILINE | re.DOTALL
)
_STEP: Final = re.compile(r"([CST])([0-9]*):(?: (.*))?")


class Step(NamedTuple):
    """One line of a transcript."""

    kind: str
    connection: str
    text: str


class Transcript(NamedTuple):
    """A talk that begins at an empty server."""

    name: str
    token: str
    steps: list[Step]


class Line(Protocol):
    """One connection to whatever is tried."""

    def send(self, data: bytes) -> None:
        """Send bytes."""
        ...

    def receive(self) -> str:
        """The next line, without its LF; an empty one if none comes."""
        ...

    def unread(self) -> str:
        """What has come and was not received."""
        ...


def transcripts() -> list[Transcript]:
    """All of them, named after the heading they stand under."""
    found: list[Transcript] = []
    heading = ""
    for token, block, title in _BLOCK.findall(PROTOCOL.read_text(encoding="utf-8")):
        heading = title or heading
        if block:
            count = sum(script.name.startswith(heading) for script in found)
            name = f"{heading} ({count + 1})" if count else heading
            found.append(Transcript(name, token, [_step(line) for line in block.splitlines()]))
    return found


def _step(line: str) -> Step:
    if not line.strip():
        return Step("C", "", "")
    match = _STEP.fullmatch(line)
    assert match is not None, f"not a line of a transcript: {line!r}"
    return Step(match[1], match[2], match[3] or "")


def play(script: Transcript, connect: Callable[[], Line], wait: Callable[[float], None]) -> None:
    """Play a transcript.

    Args:
        connect: opens a connection.
        wait: lets so many seconds pass.
    """
    lines: dict[str, Line] = {}
    for at, step in enumerate(script.steps, 1):
        where = f"{script.name}, line {at}"
        if step.kind != "S":
            early = {name: line.unread() for name, line in lines.items()}
            assert not any(early.values()), f"{where}: before it came {early}"
        if step.kind == "T":
            wait(_seconds(step.text))
            continue
        if step.connection not in lines:
            lines[step.connection] = connect()
        if step.kind == "C":
            lines[step.connection].send(step.text.encode() + b"\n")
        else:
            answer = lines[step.connection].receive()
            assert matches(step.text, answer), f"{where}: not {step.text!r} but {answer!r}"
    assert {line.unread() for line in lines.values()} <= {""}, f"{script.name}: more came"


def matches(pattern: str, line: str) -> bool:
    """Whether the line is as the pattern says; `…` is any text but none."""
    return re.fullmatch(".+".join(map(re.escape, pattern.split("…"))), line) is not None


def _seconds(text: str) -> float:
    number, unit = re.fullmatch(r"([0-9.]+)(ms|s)", text).groups()  # type: ignore[union-attr]
    return float(number) / (1000 if unit == "ms" else 1)
