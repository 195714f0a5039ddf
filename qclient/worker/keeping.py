"""Results that are kept: those of one turn of the loop leave together, as acks do.

    a result ──► DONE ──► kept
                  ├── full: tried again, and then an ack: the work is done, only its result is lost
                  └── refused: the dead letters; the same again would be refused again

A result that can't be written as JSON, or is too long for a line, never leaves: `keep` raises.
"""

import asyncio
import logging
from typing import Any, Final

import msgspec

from qclient import verbs
from qclient.client import Client
from qclient.errors import Error, Full, ReplyError, TooLong
from qclient.message import Message, reason_text
from qclient.reports import Settled

logger = logging.getLogger("qclient.worker")

BATCH_MAX: Final = 200
"""Results of one request."""

TRIES_MAX: Final = 4
"""Where there is no room, with the client's backoff between them: about a second in all."""


class Kept(msgspec.Struct, eq=False):
    """A result on its way.

    Attributes:
        message: whose.
        line: its DONE.
    """

    message: Message[Any]
    line: bytes


class Keeping:
    """Keeps the results of one worker's runs."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._gathered: list[Kept] = []

    def keep(self, message: Message[Any], result: object, keep_s: float) -> None:
        """Ack with a result, at the end of this turn.

        Raises:
            BadJson: it can't be written as JSON.
            TooLong: it is longer than the server takes.
        """
        line = verbs.done(message.receipt, result, retain=keep_s).line
        wrong = self._client.too_long(line)
        if wrong is not None:
            raise TooLong(wrong)
        if not self._gathered:
            self._client.settling.loop.call_soon(self._send)
        self._gathered.append(Kept(message, line))

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, []
        for at in range(0, len(gathered), BATCH_MAX):
            batch = gathered[at : at + BATCH_MAX]
            self._client.settling.track(self._settle(batch), len(batch))

    async def _settle(self, batch: list[Kept]) -> None:
        for attempt in range(TRIES_MAX):
            try:
                outcomes = await self._client.run(verbs.done_lines([kept.line for kept in batch]))
            except Error as error:
                logger.warning(
                    "%d results were not confirmed: their messages may be delivered again: %s",
                    len(batch),
                    error,
                )
                return
            batch = self._told(batch, outcomes)
            if not batch:
                return
            await asyncio.sleep(self._client.backoff.delay_s(attempt))
        for kept in batch:
            logger.warning("no room for the result of %s: it is acked without", kept.message)
            self._client.settling.ack(kept.message, None)

    def _told(self, batch: list[Kept], outcomes: list[Settled | ReplyError]) -> list[Kept]:
        """Those for whom there was no room."""
        full: list[Kept] = []
        for kept, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Settled):
                if outcome.not_leased:
                    self._client.settling.tell_late("done", kept.message.receipt)
            elif isinstance(outcome, Full):
                full.append(kept)
            else:
                reason = reason_text(f"its result can't be kept: {outcome}")
                self._client.settling.nack(kept.message, None, delay=None, reason=reason, dead=True)
        return full
