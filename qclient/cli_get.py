"""Commands of a consumer: get, ack, nack, release, touch."""

import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import click
import msgspec

from qclient import cli_output as output
from qclient.cli_context import Context, Refused, pass_context, seconds
from qclient.client import Client
from qclient.message import Message
from qclient.reports import Settled
from qclient.words import shorten

Settle = Callable[[Client, list[str]], Awaitable[Settled]]


@click.command()
@click.argument("queues", metavar="QUEUE[,QUEUE…]")
@click.option("-n", "--count", type=click.IntRange(1), default=1, show_default=True)
@click.option("--wait", type=seconds, default="0", help="How long to wait for the first one.")
@click.option("--lease", type=seconds, help="How long they are held; the queue's setting else.")
@click.option("--ack", "is_acked", is_flag=True, help="Ack them once they are printed.")
@click.option("--full", is_flag=True, help="JSON objects with receipt and metadata.")
@pass_context
def get(
    context: Context,
    *,
    queues: str,
    count: int,
    wait: float,
    lease: float | None,
    is_acked: bool,
    full: bool,
) -> None:
    """Lease messages and print their bodies, one a line, byte for byte.

    They stay leased until they are acked (--ack, or qclient ack with the receipts that --full
    shows) or the lease ends. Ends with exit code 1 when there was nothing.
    """

    async def work(client: Client) -> int:
        got = 0
        while got < count:
            asked = min(count - got, client.server.count_max)
            left = 0 if got else wait
            messages = await client.get(*queues.split(","), count=asked, wait=left, lease=lease)
            if not messages:
                break
            await _print(client, messages, full=full, is_acked=is_acked)
            got += len(messages)
        return got

    if not context.run(work):
        raise Refused


async def _print(
    client: Client, messages: list[Message[Any]], *, full: bool, is_acked: bool
) -> None:
    """Print, then ack; what could not be printed is released."""
    try:
        output.lines(map(output.message, messages) if full else [each.raw for each in messages])
    except OSError:
        await client.release(*messages)
        raise
    if is_acked:
        await client.ack(*messages)


def _given(receipts: tuple[str, ...]) -> Iterable[str]:
    """Receipts from the arguments, and from stdin for `-`: words, or objects with `receipt`."""
    for receipt in receipts:
        if receipt != "-":
            yield receipt
            continue
        for line in sys.stdin.buffer:
            yield from _receipts_of(line.strip())


def _receipts_of(line: bytes) -> list[str]:
    if not line.startswith(b"{"):
        return [word.strip('"') for word in line.decode("utf-8", "replace").split()]
    try:
        return [msgspec.json.decode(line, type=_Receipt).receipt]
    except msgspec.DecodeError as error:
        raise click.UsageError(f"no receipt in {shorten(line)}: {error}") from None


class _Receipt(msgspec.Struct):
    receipt: str


def _settle(context: Context, receipts: tuple[str, ...], settle: Settle) -> None:
    """Settle them all, as many at once as the server takes, and say what was not leased."""
    given = list(_given(receipts))

    async def work(client: Client) -> tuple[int, list[str]]:
        done = 0
        late: list[str] = []
        step = client.server.count_max
        for at in range(0, len(given), step):
            settled = await settle(client, given[at : at + step])
            done += settled.count
            late += settled.not_leased
        return done, late

    tell_settled(*context.run(work))


def tell_settled(done: int, late: Iterable[str]) -> None:
    """Print how many were settled, and say what was not leased.

    Raises:
        Refused: something was not.
    """
    output.line(done)
    late = list(late)
    for receipt in late:
        output.note(f"{receipt} not-leased: its lease had ended, or it was settled before")
    if late or not done:
        raise Refused


receipts_argument = click.argument("receipts", metavar="RECEIPT…", nargs=-1, required=True)


@click.command()
@receipts_argument
@pass_context
def ack(context: Context, receipts: tuple[str, ...]) -> None:
    """The work is done: remove these messages; prints how many.

    With - receipts are read from stdin, words or the objects of get --full.
    """
    _settle(context, receipts, lambda client, some: client.ack(*some))


@click.command()
@receipts_argument
@click.option("--delay", type=seconds, help="Instead of the queue's backoff.")
@click.option("--reason", help="Kept with the message.")
@click.option("--dead", is_flag=True, help="Give up: dead at once.")
@pass_context
def nack(
    context: Context,
    *,
    receipts: tuple[str, ...],
    delay: float | None,
    reason: str | None,
    dead: bool,
) -> None:
    """The work failed: deliver these messages again later; prints how many."""

    async def settle(client: Client, some: list[str]) -> Settled:
        return await client.nack(*some, delay=delay, reason=reason, dead=dead)

    _settle(context, receipts, settle)


@click.command()
@receipts_argument
@click.option("--delay", type=seconds, default="0", help="Until they are delivered again.")
@pass_context
def release(context: Context, receipts: tuple[str, ...], delay: float) -> None:
    """Give these messages back untouched; prints how many."""
    _settle(context, receipts, lambda client, some: client.release(*some, delay=delay))


@click.command()
@receipts_argument
@click.option("--lease", type=seconds, help="From now on; the queue's setting else.")
@pass_context
def touch(context: Context, receipts: tuple[str, ...], lease: float | None) -> None:
    """Ask for more time; prints for how many."""
    _settle(context, receipts, lambda client, some: client.touch(*some, lease=lease))


COMMANDS: Final = (get, ack, nack, release, touch)
