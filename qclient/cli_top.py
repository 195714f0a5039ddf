"""`qclient top`: a server in the terminal, looked at every second."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime
from typing import Final

import click

from qclient import cli_output as output
from qclient.cli_context import Context, pass_context, seconds
from qclient.client import Client
from qclient.dialler import shown
from qclient.errors import ConnectionLost
from qclient.opening import connect
from qclient.overview import Overview

INTERVAL_S_MIN: Final = 0.1
GONE_AFTER_S: Final = 1.0
SILENT_S: Final = 5.0

Show = Callable[[Overview, str], None]
"""Shows an overview; the text says why it is old, if it is."""


@click.command()
@click.option("-n", "--rows", type=click.IntRange(1), default=20, show_default=True)
@click.option("--interval", type=seconds, default="1s", show_default=True, help="Between looks.")
@click.option("--once", is_flag=True, help="Look twice, show once: rates need two looks.")
@click.option("--json", "as_json", is_flag=True, help="A JSON line for each look.")
@pass_context
def top(context: Context, *, rows: int, interval: float, once: bool, as_json: bool) -> None:
    """Watch a server: its rates, the busiest queues, who is connected.

    A table on a terminal, until q or Ctrl-C; else a JSON line for each look. `net/s` is what
    came into a queue less what went out. The busiest queues are those with most ready and leased
    messages and changes.

    A look costs the server a few pages: at most 2,000 queues and 2,000 connections. Where there are
    more, several looks take turns, and the table says how many queues were looked at.

    \b
    qclient top --once --json | jq '.queues[] | select(.oldest_s > 60)'
    """  # noqa: D301  click looks for the backspace itself
    if interval < INTERVAL_S_MIN:
        raise click.BadParameter(f"--interval is {INTERVAL_S_MIN:g} s or more")
    if once:
        work = _once(context.url, rows, interval, people=output.for_people(as_json))
    elif output.for_people(as_json):
        work = _on_screen(context.url, rows, interval)
    else:
        work = _as_lines(context.url, rows, interval)
    asyncio.run(work)


async def _once(url: str, rows: int, interval_s: float, *, people: bool) -> None:
    async with connect(url) as client:
        overview = Overview(client, time.monotonic)
        await overview.look()
        await asyncio.sleep(interval_s)
        await overview.look()
        while not overview.is_whole:
            await overview.look()
    if not people:
        output.line(_line(overview, rows))
        return
    from rich.console import Console  # noqa: PLC0415  slow to import, seldom needed

    from qclient.cli_screen import page  # noqa: PLC0415

    console = Console()
    console.print(page(overview, shown(url), "", rows, width=console.width))


async def _as_lines(url: str, rows: int, interval_s: float) -> None:
    was_in_trouble = False

    def show(overview: Overview, trouble: str) -> None:
        nonlocal was_in_trouble
        if not trouble:
            output.line(_line(overview, rows))
        elif not was_in_trouble:
            output.note(trouble)
        was_in_trouble = bool(trouble)

    async with _connect(url) as client:
        await _watch(client, url, interval_s, show)


async def _on_screen(url: str, rows: int, interval_s: float) -> None:
    from qclient.cli_screen import Screen, page  # noqa: PLC0415  slow to import, seldom needed

    def show(overview: Overview, trouble: str) -> None:
        width, height = screen.size
        screen.show(page(overview, shown(url), trouble, rows, width=width, height=height))

    async with _connect(url) as client:
        watching = asyncio.ensure_future(_watch(client, url, interval_s, show))
        screen = Screen(watching.cancel)
        with screen.held(), suppress(asyncio.CancelledError):
            await watching


def _connect(url: str) -> AbstractAsyncContextManager[Client]:
    return connect(url, retry_for=GONE_AFTER_S, timeout=SILENT_S)


async def _watch(client: Client, url: str, interval_s: float, show: Show) -> None:
    """Look and show, again and again; a server that is gone is waited for."""
    overview = Overview(client, time.monotonic)
    heard_at_s = time.monotonic()
    while True:
        try:
            await overview.look()
        except ConnectionLost as error:
            since = output.seconds(time.monotonic() - heard_at_s)
            show(overview, f"no answer from {shown(url)} for {since}, trying again: {error}")
        else:
            heard_at_s = time.monotonic()
            show(overview, "")
        await asyncio.sleep(interval_s)


def _line(overview: Overview, rows: int) -> dict[str, object]:
    return {"at": datetime.now(UTC).isoformat(), **overview.as_json(rows)}


COMMANDS: Final = (top,)
