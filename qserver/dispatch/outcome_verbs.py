"""PROGRESS, DONE, RESULT: what a holder leaves of its work, and who asks for it."""

from qserver.broker import outcome
from qserver.config import PROGRESS_BYTES_MAX
from qserver.dispatch import lines
from qserver.dispatch.client import Client
from qserver.dispatch.grammar import read_json, refuse_rest, split_word
from qserver.errors import RequestError
from qserver.wire.words import read_id, read_options, read_receipts, shown


def progress(client: Client, rest: bytes, now: float) -> bytes:  # noqa: ARG001 - a verb's signature
    """PROGRESS <receipt> <json>."""
    word, rest = split_word(rest)
    (receipt,) = read_receipts(word, 1)
    _, left = read_options(rest, {})
    value = read_json(left, "PROGRESS <receipt> <json>")
    if len(value) > PROGRESS_BYTES_MAX:
        raise RequestError(
            "limit", f"the progress has {len(value)} bytes, and the limit is {PROGRESS_BYTES_MAX}"
        )
    is_leased = outcome.progress(client.broker, receipt, value)
    return _settled(client, receipt, is_leased=is_leased)


def done(client: Client, rest: bytes, now: float) -> bytes:
    """DONE <receipt> [retain=] <json>."""
    word, rest = split_word(rest)
    (receipt,) = read_receipts(word, 1)
    values, left = read_options(rest, client.grammar.done)
    result = read_json(left, "DONE <receipt> [retain=] <json>")
    is_leased = outcome.done(client.broker, now, receipt, result, values.get(b"retain"))
    return _settled(client, receipt, is_leased=is_leased)


def _settled(client: Client, receipt: tuple[int, int], *, is_leased: bool) -> bytes:
    client.wrote = True
    return lines.ok(1) if is_leased else lines.refused([receipt]) + lines.NOTHING


def result(client: Client, rest: bytes, now: float) -> bytes | None:
    """RESULT <id> [wait=0]; None when it waits."""
    word, rest = split_word(rest)
    message_id = read_id(word)
    values, left = read_options(rest, client.grammar.result)
    refuse_rest(left)
    broker = client.broker
    message = broker.messages.get(message_id)
    if message is None:
        raise RequestError("not-found", f"there is no message {shown(word)}")
    wait_s = values.get(b"wait", 0.0)
    if message.state in outcome.ENDS:
        client.wrote = True  # who acts on a result must be able to count on it
    elif wait_s and not client.is_gone:
        client.waiter = outcome.wait(broker, now, client, message, wait_s)
        return None
    return lines.outcome(message)
