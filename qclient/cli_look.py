"""Commands that look: list, queues, peek, clients, stats, ping."""

import time
from typing import Any, Final

import click

from qclient import cli_output as output
from qclient.cli_context import Context, pass_context
from qclient.client import Client
from qclient.message import Stored
from qclient.queues import STATES
from qclient.reports import Peer, Queue

PAGE: Final = 500

as_json = click.option("--json", "as_json", is_flag=True, help="JSON lines, also on a terminal.")


@click.command("list")
@click.argument("queue", required=False)
@click.option("--state", help=f"Only these, with commas: {', '.join(STATES)}.")
@click.option("--key", help="Only messages put with this key.")
@click.option("--after", type=int, help="Begin behind this message id.")
@click.option("-n", "--count", type=click.IntRange(1), default=100, show_default=True)
@click.option("--all", "is_all", is_flag=True, help="Everything, page by page.")
@as_json
@pass_context
def list_(
    context: Context,
    *,
    queue: str | None,
    state: str | None,
    key: str | None,
    after: int | None,
    count: int,
    is_all: bool,
    as_json: bool,
) -> None:
    """List a queue's messages in order of id, or the queues."""

    async def work(client: Client) -> None:
        if queue is None:
            await _show_queues(client, as_json=as_json)
            return
        limit = None if is_all else count
        page = PAGE if is_all else min(count, PAGE)
        rows: list[Stored[Any]] = []
        listing = client.list(queue, state=state, key=key, after=after, limit=limit, page=page)
        people = output.for_people(as_json)
        async for row in listing:
            rows.append(row)
            if len(rows) >= PAGE and not people:
                output.lines(map(output.stored, rows))
                rows.clear()
        if people:
            _messages_table(rows)
        else:
            output.lines(map(output.stored, rows))

    if queue is None and (state or key or after):
        raise click.UsageError("--state, --key and --after need a QUEUE")
    context.run(work)


def _messages_table(rows: list[Stored[Any]]) -> None:
    output.table(
        ("id", "state", "metadata", "body"),
        [
            (
                str(row.id),
                row.state,
                " ".join(f"{word}={value}" for word, value in row.info.items()),
                row.raw.decode("utf-8", "replace"),
            )
            for row in rows
        ],
        right=[0],
    )


@click.command()
@as_json
@pass_context
def queues(context: Context, *, as_json: bool) -> None:
    """List the queues: how many messages of each state."""

    async def work(client: Client) -> None:
        await _show_queues(client, as_json=as_json)

    context.run(work)


async def _show_queues(client: Client, *, as_json: bool) -> None:
    rows = [row async for row in client.queues(page=PAGE)]
    if output.for_people(as_json):
        _queues_table(rows)
    else:
        output.lines(map(output.queue, rows))


def _queues_table(rows: list[Queue]) -> None:
    columns = ("queue", *STATES, "bytes", "oldest", "waiting", "")
    output.table(
        columns,
        [
            (
                row.name,
                *(f"{getattr(row, state):,}" for state in STATES),
                f"{row.bytes:,}",
                "" if row.oldest_s is None else output.seconds(row.oldest_s),
                str(row.waiting or ""),
                "paused" if row.is_paused else "",
            )
            for row in rows
        ],
        right=range(1, len(columns) - 1),
    )


@click.command()
@click.argument("number", metavar="ID", type=click.IntRange(1))
@as_json
@pass_context
def peek(context: Context, *, number: int, as_json: bool) -> None:
    """Show one message with all its metadata, whatever its state."""

    async def work(client: Client) -> Stored[Any]:
        return await client.peek(number)

    found = context.run(work)
    if not output.for_people(as_json):
        output.lines([output.stored(found)])
        return
    pairs = [("id", str(found.id)), ("state", found.state), ("queue", found.queue)]
    pairs += list(found.info.items())
    output.table(("", ""), [*pairs, ("body", found.raw.decode("utf-8", "replace"))])


@click.command()
@as_json
@pass_context
def clients(context: Context, *, as_json: bool) -> None:
    """List who is connected: what each holds and waits for, and how long it is silent."""

    async def work(client: Client) -> list[Peer]:
        return [row async for row in client.clients(page=PAGE)]

    rows = context.run(work)
    if output.for_people(as_json):
        _clients_table(rows)
    else:
        output.lines(map(output.peer, rows))


def _clients_table(rows: list[Peer]) -> None:
    output.table(
        ("number", "connected", "idle", "requests", "leases", "client", "session", "waits for"),
        [
            (
                str(row.number),
                output.seconds(row.connected_s),
                output.seconds(row.idle_s),
                f"{row.requests:,}",
                str(row.leases or ""),
                row.client or "",
                row.session or "",
                ",".join(row.waiting) or (f"result of {row.result}" if row.result else ""),
            )
            for row in rows
        ],
        right=range(5),
    )


@click.command()
@as_json
@pass_context
def stats(context: Context, *, as_json: bool) -> None:
    """Show the server's figures; as JSON one object."""

    async def work(client: Client) -> dict[str, int | float | str]:
        return await client.stats()

    figures = context.run(work)
    if output.for_people(as_json):
        rows = [(word, f"{v:,}" if isinstance(v, int) else str(v)) for word, v in figures.items()]
        output.table(("figure", "value"), rows, right=[1])
    else:
        output.line(figures)


@click.command()
@pass_context
def ping(context: Context) -> None:
    """Ask for a sign of life; says how long it took."""

    async def work(client: Client) -> None:
        began = time.perf_counter()
        await client.ping()
        took_ms = (time.perf_counter() - began) * 1000
        server = client.server
        click.echo(f"{server.server} answered in {took_ms:.1f} ms; sync={server.sync}")

    context.run(work)


COMMANDS: Final = (list_, queues, peek, clients, stats, ping)
