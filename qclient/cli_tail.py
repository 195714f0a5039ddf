"""`qclient tail`: what passes through a queue, seen without taking anything."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import click

from qclient import cli_output as output
from qclient.cli_context import Context, pass_context, seconds
from qclient.client import Client
from qclient.errors import ConnectionLost
from qclient.message import Stored
from qclient.opening import connect
from qclient.queues import STATES
from qclient.sweep import PAGE, Sweep

INTERVAL_S_MIN: Final = 0.05
GONE_AFTER_S: Final = 1.0
SILENT_S: Final = 5.0

News = Callable[[], AsyncIterator[list[Stored[Any]]]]
"""Finds what is new since it was called last, in pieces."""


@click.command()
@click.argument("queue")
@click.option(
    "--state",
    type=click.Choice(STATES),
    help="Messages as they come into this state, instead of new ones.",
)
@click.option("--from-start", is_flag=True, help="Begin with what is there already.")
@click.option("-n", "--count", type=click.IntRange(1), help="End after so many.")
@click.option("--interval", type=seconds, default="500ms", show_default=True, help="Between looks.")
@pass_context
def tail(
    context: Context,
    *,
    queue: str,
    state: str | None,
    from_start: bool,
    count: int | None,
    interval: float,
) -> None:
    """Show a queue's new messages as JSON lines as they come, until Ctrl-C.

    Nothing is taken, and nothing changes. A line shows its message as it stood when it was seen.

    It looks again and again, so it misses what is put and acked between two looks, and what a
    redrive moves here from another queue. With --state it misses what has left the state before
    it was seen; a look reads at most 2,000 messages or 4 MiB then, so the more of them are in
    that state, the later news are seen.

    \b
    qclient tail emails | jq -r .body.to
    qclient tail emails --state dead | jq -r .reason
    """  # noqa: D301  click looks for the backspace itself
    if interval < INTERVAL_S_MIN:
        raise click.BadParameter(f"--interval is {INTERVAL_S_MIN:g} s or more")

    async def work() -> None:
        async with connect(context.url, retry_for=GONE_AFTER_S, timeout=SILENT_S) as client:
            if state is None:
                news = await _arrivals(client, queue, from_start=from_start)
            else:
                news = await _entries(client, queue, state, from_start=from_start)
            await _print(news, count, interval)

    asyncio.run(work())


async def _print(news: News, count: int | None, interval_s: float) -> None:
    """Print until there were so many; a server that is gone is waited for."""
    left = count
    trouble = ""
    while True:
        try:
            async for rows in news():
                output.lines(map(output.stored, rows[:left]))
                left = None if left is None else left - len(rows)
                if left is not None and left <= 0:
                    return
        except ConnectionLost as error:
            if str(error) != trouble:  # gone, or there and refuses us
                trouble = str(error)
                output.note(f"{trouble}; going on when the server is back")
        else:
            if trouble:
                output.note("the server is back")
            trouble = ""
        await asyncio.sleep(interval_s)


async def _arrivals(client: Client, queue: str, *, from_start: bool) -> News:
    """What has an id above all before: new messages, in whatever state they are."""
    seen = 0 if from_start else await last_id(client, queue)

    async def news() -> AsyncIterator[list[Stored[Any]]]:
        nonlocal seen
        rows: list[Stored[Any]] = []
        async for row in client.list(queue, after=seen, page=PAGE):
            rows.append(row)
            if len(rows) == PAGE:
                seen = row.id
                yield rows
                rows = []
        if rows:
            seen = rows[-1].id
            yield rows

    return news


async def _entries(client: Client, queue: str, state: str, *, from_start: bool) -> News:
    """What is in a state and was not there before."""
    sweep: Sweep[int, Stored[Any]] = Sweep(
        lambda after: client.list(queue, state=state, after=after, page=PAGE),
        lambda row: row.id,
        lambda row: len(row.raw),
    )
    if not from_start:
        async for _ in sweep.round():
            pass

    async def news() -> AsyncIterator[list[Stored[Any]]]:
        if sweep.rounds:
            yield (await sweep.turn()).news
        else:
            async for turn in sweep.round():
                yield turn.news

    return news


async def last_id(client: Client, queue: str) -> int:
    """The highest id of a queue's messages, 0 without any.

    LIST goes up only, so this bisects: some dozens of LISTs of one line, however long the queue is.
    """
    low, step = 0, 1
    while (found := await _first_behind(client, queue, low + step)) is not None:
        low, step = found, step * 2
    high = low + step
    while low < high:  # `low` is there, or 0, and nothing is above `high`
        middle = (low + high) // 2
        found = await _first_behind(client, queue, middle)
        if found is None:
            high = middle
        else:
            low = found
    return low


async def _first_behind(client: Client, queue: str, number: int) -> int | None:
    async for row in client.list(queue, after=number, limit=1):
        return row.id
    return None


COMMANDS: Final = (tail,)
