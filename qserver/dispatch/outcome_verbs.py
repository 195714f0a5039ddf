"""PROGRESS: what becomes of a message while somebody works on it."""

from qserver.broker import outcome
from qserver.config import PROGRESS_BYTES_MAX
from qserver.dispatch import lines
from qserver.dispatch.client import Client
from qserver.dispatch.grammar import read_json, split_word
from qserver.errors import RequestError
from qserver.wire.words import read_options, read_receipts


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


def _settled(client: Client, receipt: tuple[int, int], *, is_leased: bool) -> bytes:
    client.wrote = True
    return lines.ok(1) if is_leased else lines.refused([receipt]) + lines.NOTHING
