"""The screen of `qclient top`: what is on it, and the terminal that it is on.

    server     what it is, how it fares
    rates      what it does a second
    queues     the busiest, as many as there is room for
    clients    who is connected

The terminal is given back as it was found, whatever ends the program but a kill -9.
"""

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from qclient import cli_output as output
from qclient.overview import ClientLine, Overview, QueueLine
from qclient.queues import STATES

STDIN: Final = 0
BESIDES: Final = 13
"""Lines of the screen that are not rows of a table."""

ENDS: Final = b"qQ\x03\x04"
"""q, and what Ctrl-C and Ctrl-D are where the terminal makes no signals of them."""

KIBI: Final = 1024


def page(
    overview: Overview,
    where: str,
    trouble: str,
    rows_max: int,
    *,
    width: int,
    height: int | None = None,
) -> Group:
    """What is seen, as rich draws it.

    Args:
        overview: of the server.
        where: its address.
        trouble: why what is shown is old, or nothing.
        rows_max: queues and clients that are shown at most.
        width: of the terminal.
        height: lines that there is room for, or None for no end.
    """
    room = max(height - BESIDES, 2) if height is not None else 2 * rows_max
    clients = overview.clients(min(rows_max, max(room // 3, 1)))
    queues = overview.queues(min(rows_max, max(room - len(clients), 1)))
    heads = [_line(_server(overview, where)), _line(_fares(overview)), _line(_rates(overview))]
    if trouble:
        heads[0] = _line(trouble, is_bad=True)
    if wrong := _wrong(overview):
        heads.append(_line(wrong, is_bad=True))
    total = overview.figures.get("queues", 0)
    if overview.seen < int(total):
        heads.append(_line(f"{overview.seen:,} of {total:,} queues looked at so far"))
    return Group(*heads, _queues_table(queues, width), _clients_table(clients, width))


def _line(text: str, *, is_bad: bool = False) -> Text:
    """One line, however narrow the screen is."""
    style = "bold red" if is_bad else ""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _server(overview: Overview, where: str) -> str:
    figures = overview.figures
    uptime = output.seconds(float(figures.get("uptime_s", 0)))
    return f"{where}  up {uptime}, sync {figures.get('sync', '')}, {_many(overview)}"


def _many(overview: Overview) -> str:
    figures = overview.figures
    words = ("queues", "messages", "connections", "waiting")
    return ", ".join(f"{figures[word]:,} {word}" for word in words if word in figures)


def _fares(overview: Overview) -> str:
    """Memory, journal, disk."""
    figures = overview.figures
    parts = [
        f"memory {size(figures.get('message_memory_bytes'))} of messages",
        f"journal {size(figures.get('journal_bytes'))}, {size(figures.get('live_bytes'))} live",
        f"last sync {figures.get('last_sync_ms', 0)} ms",
        f"unsynced for {output.seconds(float(figures.get('unsynced_age_s', 0)))}",
    ]
    return "  ".join(parts)


def _wrong(overview: Overview) -> str:
    """What is wrong with the disk; nothing while all is well."""
    figures = overview.figures
    parts = []
    if figures.get("disk_room") == "no":
        parts.append("the disk is full: PUTs are refused")
    if figures.get("storage_error"):
        parts.append(f"the disk fails: {figures['storage_error']}")
    return "; ".join(parts)


def _rates(overview: Overview) -> str:
    """What the server does a second; nothing at the first look."""
    shown = "  ".join(f"{name} {rate(each)}" for name, each in overview.rates.items())
    return f"a second  {shown}" if shown else ""


def _queues_table(lines: Sequence[QueueLine], width: int) -> Table:
    columns = ("queue", *STATES, "net/s", "oldest", "waiting")
    rows = [
        (
            line.queue.name + (" (paused)" if line.queue.is_paused else ""),
            *(f"{getattr(line.queue, state):,}" for state in STATES),
            change(line.change_per_s),
            "" if not line.queue.oldest_s else output.seconds(line.queue.oldest_s),
            str(line.queue.waiting or ""),
        )
        for line in lines
    ]
    return output.drawn_table(columns, rows, range(1, len(columns)), width)


def _clients_table(lines: Sequence[ClientLine], width: int) -> Table:
    columns = ("client", "session", "conns", "leases", "idle", "req/s", "waits for")
    rows = [
        (
            line.client,
            line.session or "",
            str(line.connections),
            f"{line.leases:,}" if line.session else "",
            output.seconds(line.idle_s),
            "" if line.requests_per_s is None else rate(line.requests_per_s),
            ",".join(line.waiting),
        )
        for line in lines
    ]
    return output.drawn_table(columns, rows, range(2, 6), width)


def change(value: float | None) -> str:
    """Growth for people: +1,234, -0.5, 0; nothing when it is not known."""
    if value is None:
        return ""
    return f"+{rate(value)}" if value > 0 else rate(value)


def rate(value: float) -> str:
    """A rate for people: 0, 0.3, 1,234."""
    return f"{value:,.1f}" if 0 < abs(value) < 10 else f"{value:,.0f}"  # noqa: PLR2004


def size(value: Any) -> str:
    """Bytes for people: 512 B, 1.5 KiB, 12.0 MiB."""
    left = float(value or 0)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if left < KIBI:
            return f"{left:.0f} B" if unit == "B" else f"{left:.1f} {unit}"
        left /= KIBI
    return f"{left:.1f} TiB"


class Screen:
    """The terminal while `top` has it: another screen, no echo, keys as they are pressed.

    Args:
        leave: called when somebody wants to leave: q, Ctrl-C, SIGTERM.
    """

    def __init__(self, leave: Callable[[], object]) -> None:
        self._leave = leave
        self._console = Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._found: list[Any] | None = None

    @property
    def size(self) -> ConsoleDimensions:
        """The terminal's width and height now."""
        return self._console.size

    def show(self, what: RenderableType) -> None:
        """Draw it."""
        self._live.update(what, refresh=True)

    @contextmanager
    def held(self) -> Iterator["Screen"]:
        """Take the terminal, and give it back as it was."""
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        try:
            for number in signals:
                loop.add_signal_handler(number, self._leave)
            loop.add_signal_handler(signal.SIGTSTP, self._suspend)
            self._take()
            if sys.stdin.isatty():
                loop.add_reader(STDIN, self._on_key)
            yield self
        finally:
            loop.remove_reader(STDIN)
            self._give_back()
            for number in (*signals, signal.SIGTSTP):
                loop.remove_signal_handler(number)

    def _take(self) -> None:
        if sys.stdin.isatty():
            self._found = termios.tcgetattr(STDIN)
            tty.setcbreak(STDIN)
        self._live.start()

    def _give_back(self) -> None:
        self._live.stop()
        if self._found is not None:
            termios.tcsetattr(STDIN, termios.TCSADRAIN, self._found)

    def _suspend(self) -> None:
        """Ctrl-Z: the shell gets its own screen back until it says fg."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()

    def _on_key(self) -> None:
        pressed = os.read(STDIN, 64)
        if not pressed or any(key in ENDS for key in pressed):
            self._leave()
