"""Commands that look after queues: queue, pause, resume, purge, drop, redrive."""

from typing import Final

import click

from qclient import cli_output as output
from qclient.cli_context import Context, pass_context
from qclient.client import Client
from qclient.reports import Settings
from qclient.words import number


@click.command()
@click.argument("name")
@click.argument("settings", metavar="[SETTING=VALUE]…", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@pass_context
def queue(context: Context, *, name: str, settings: tuple[str, ...], as_json: bool) -> None:
    """Create a queue or change its settings; shows them all.

    For example: qclient queue emails max_failures=5 backoff=10s retain=1h
    """
    wanted: dict[str, str] = {}
    for setting in settings:
        word, equals, value = setting.partition("=")
        if not equals:
            raise click.UsageError(f"{setting!r} is not SETTING=VALUE")
        wanted[word] = value

    async def work(client: Client) -> Settings:
        return await client.queue(name, **wanted)  # type: ignore[arg-type]

    found = context.run(work)
    if output.for_people(as_json):
        output.table(("setting", "value"), list(found.info.items()), right=[1])
    else:
        output.line({"name": name, **{word: number(v) for word, v in found.info.items()}})


@click.command()
@click.argument("queue")
@pass_context
def pause(context: Context, queue: str) -> None:
    """Let GETs find nothing in a queue; puts go on."""

    async def work(client: Client) -> bool:
        return await client.pause(queue)

    was = "is paused now" if context.run(work) else "was paused already"
    output.note(f"{queue} {was}; qclient resume {queue} ends it")


@click.command()
@click.argument("queue")
@pass_context
def resume(context: Context, queue: str) -> None:
    """End a queue's pause."""

    async def work(client: Client) -> bool:
        return await client.resume(queue)

    output.note(f"{queue} {'goes on' if context.run(work) else 'was not paused'}")


@click.command()
@click.argument("queue")
@click.option("--state", help="Only messages in these states, with commas.")
@pass_context
def purge(context: Context, queue: str, state: str | None) -> None:
    """Remove a queue's messages for good; prints how many."""

    async def work(client: Client) -> int:
        return await client.purge(queue, state=state)

    output.line(context.run(work))


@click.command()
@click.argument("queue")
@pass_context
def drop(context: Context, queue: str) -> None:
    """Remove a queue with its messages and settings; prints how many messages."""

    async def work(client: Client) -> int:
        return await client.drop(queue)

    output.line(context.run(work))


@click.command()
@click.argument("queue")
@click.option("-n", "--count", type=click.IntRange(1), help="Only the first so many.")
@click.option("--reason", help="Only those whose whole reason matches this glob, like 'smtp*'.")
@click.option("--to", help="Move them to this queue.")
@click.option("--dry", is_flag=True, help="Only count.")
@pass_context
def redrive(
    context: Context,
    *,
    queue: str,
    count: int | None,
    reason: str | None,
    to: str | None,
    dry: bool,
) -> None:
    """Make dead messages ready again; prints how many."""

    async def work(client: Client) -> int:
        return await client.redrive(queue, count=count, reason=reason, to=to, dry=dry)

    output.line(context.run(work))


COMMANDS: Final = (queue, pause, resume, purge, drop, redrive)
