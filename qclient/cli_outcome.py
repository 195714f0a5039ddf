"""Commands about what comes of a message: progress, done, result."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import click
import msgspec

from qclient import cli_output as output
from qclient.cli_context import Context, Refused, pass_context, seconds
from qclient.cli_get import tell_settled
from qclient.cli_put import fault
from qclient.client import Client
from qclient.reports import Outcome, Settled

receipt_argument = click.argument("receipt")
value_argument = click.argument("value", metavar="JSON")


def _json(value: str) -> msgspec.Raw:
    raw = value.encode("utf-8", "surrogateescape").strip()
    wrong = fault(raw)
    if wrong is not None:
        raise Refused(f"this is not JSON: {wrong}")
    return msgspec.Raw(raw)


def _settle(context: Context, settle: Callable[[Client], Awaitable[Settled]]) -> None:
    settled = context.run(settle)
    tell_settled(settled.count, settled.not_leased)


@click.command(context_settings={"ignore_unknown_options": True})
@receipt_argument
@value_argument
@pass_context
def progress(context: Context, *, receipt: str, value: str) -> None:
    """Say how far the work has got: JSON that is kept with the message and shown."""
    raw = _json(value)
    _settle(context, lambda client: client.progress(receipt, raw))


@click.command(context_settings={"ignore_unknown_options": True})
@receipt_argument
@value_argument
@click.option("--retain", type=seconds, help="How long it is kept; the queue's setting else.")
@pass_context
def done(context: Context, *, receipt: str, value: str, retain: float | None) -> None:
    """The work is done, and JSON came of it: an ack that leaves a result."""
    raw = _json(value)
    _settle(context, lambda client: client.done(receipt, raw, retain=retain))


@click.command()
@click.argument("number", metavar="ID", type=click.IntRange(1))
@click.option(
    "--wait", type=seconds, default="0", help="How long to wait until it is done or dead."
)
@click.option("--json", "as_json", is_flag=True, help="JSON lines, also on a terminal.")
@pass_context
def result(context: Context, *, number: int, wait: float, as_json: bool) -> None:
    """Show what came of a message: its result once it is done, else where it stands.

    Ends with exit code 1 unless it is done.
    """

    async def work(client: Client) -> Outcome[Any]:
        return await client.result(number, wait=wait)

    found = context.run(work)
    if output.for_people(as_json):
        pairs = [("id", str(found.id)), ("state", found.state), *found.info.items()]
        output.table(("", ""), [*pairs, ("result", found.raw.decode("utf-8", "replace"))])
    else:
        output.lines([output.outcome(found)])
    if found.state != "done":
        raise Refused


COMMANDS: Final = (progress, done, result)
