"""What commands print: JSON lines for programs, tables for people."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from qclient.message import Message, Stored
from qclient.reports import Outcome, Peer, Queue
from qclient.words import number

if TYPE_CHECKING:
    from rich.table import Table

_FIGURES = frozenset(
    [
        "deliveries",
        "failures",
        "losses",
        "priority",
        "expires_in",
        "due_in",
        "kept_for",
        "ttl_left",
        "age",
    ]
)


class Enough(Exception):
    """Whoever reads our output has what it wanted, and closed its end. Ends with exit code 0.

    An error of its own, since click turns a BrokenPipeError into exit code 1.
    """


def for_people(as_json: bool) -> bool:  # noqa: FBT001
    """Whether to print a table: on a terminal, unless JSON was asked for."""
    return sys.stdout.isatty() and not as_json


def lines(rows: Iterable[bytes]) -> None:
    """Print lines of bytes as they are, at once.

    Raises:
        Enough: nobody reads them any more.
    """
    out = sys.stdout.buffer
    try:
        out.write(b"".join(row + b"\n" for row in rows))
        out.flush()
    except BrokenPipeError:
        raise Enough from None


def line(value: object) -> None:
    """Print one value as a JSON line."""
    lines([msgspec.json.encode(value)])


def note(text: str) -> None:
    """Say something to people, on stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def message(each: Message[Any]) -> bytes:
    """A leased message as JSON; the body's bytes as they were put."""
    return msgspec.json.encode(
        {
            "receipt": each.receipt,
            "id": each.id,
            "queue": each.queue,
            "deliveries": each.deliveries,
            "failures": each.failures,
            "losses": each.losses,
            "priority": each.priority,
            "key": each.key,
            "trace": each.trace,
            "body": msgspec.Raw(each.raw),
        }
    )


def stored(each: Stored[Any]) -> bytes:
    """A message of LIST or PEEK as JSON."""
    info = {word: figure(word, value) for word, value in each.info.items()}
    return msgspec.json.encode(
        {
            "id": each.id,
            "state": each.state,
            "queue": each.queue,
            **info,
            "body": msgspec.Raw(each.raw),
        }
    )


def outcome(each: Outcome[Any]) -> bytes:
    """What came of a message as JSON; the result's bytes as they were left."""
    info = {word: figure(word, value) for word, value in each.info.items()}
    shown = {"id": each.id, "state": each.state, **info, "result": msgspec.Raw(each.raw)}
    return msgspec.json.encode(shown)


def figure(word: str, value: str) -> int | float | str | msgspec.Raw:
    """A figure as a number, progress as the JSON it is; a key that looks like one stays text."""
    if word == "progress":
        return msgspec.Raw(value.encode())
    return number(value) if word in _FIGURES else value


def queue(each: Queue) -> bytes:
    """A queue as JSON."""
    shown = msgspec.structs.asdict(each)
    del shown["info"]
    return msgspec.json.encode(shown)


def peer(each: Peer) -> bytes:
    """A connection of the server as JSON."""
    shown = msgspec.structs.asdict(each)
    del shown["info"]
    return msgspec.json.encode(shown)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int] = ()) -> None:
    """A table on the terminal; columns named by `right` hold figures."""
    from rich.console import Console  # noqa: PLC0415  slow to import, seldom needed

    console = Console()
    console.print(drawn_table(columns, rows, right, console.width))


def drawn_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[int], room: int
) -> "Table":
    """A table as rich draws it, no wider than `room`."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.cells import cell_len  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    cells = [list(row) for row in rows]
    longest = [max(map(cell_len, column)) for column in zip(columns, *cells, strict=True)]
    widths = fitted(longest, room - 2 * len(columns))  # gaps of two, and the edges
    shown = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    figures = set(right)
    for at, (column, width) in enumerate(zip(columns, widths, strict=True)):
        justify: Literal["right", "left"] = "right" if at in figures else "left"
        shown.add_column(column, justify=justify, overflow="ellipsis", no_wrap=True, width=width)
    for row in cells:
        shown.add_row(*map(Text, row))
    return shown


def fitted(longest: Sequence[int], room: int) -> list[int]:
    """The widths of columns: the widest give way until all fit, so that short ones stay whole."""
    widths = [min(width, max(room, 1)) for width in longest]
    while sum(widths) > room and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    return widths


def seconds(value: float) -> str:
    """A span for people: 4.2 s, 3 m 10 s, 2 h 5 m, 3 d 4 h."""
    if value < 60:  # noqa: PLR2004
        return f"{value:.1f} s"
    whole = int(value)
    for size, unit, less, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "m")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // less} {smaller}"
    return f"{whole // 60} m {whole % 60} s"
