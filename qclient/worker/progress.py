"""What a run says about how far it has got, to the server, but not more often than PERIOD_S.

    report ──► due now: sent at the end of this turn
       │  └──► too soon: the last one that comes until then is sent when it is due
       └── from any thread                               close: what is left goes before the end

A tight loop may report a million times: all but a few only replace what waits to be sent. Nothing
is lost by a PROGRESS that is refused or too late, so nobody is told of one.
"""

import asyncio
from typing import Any, Final, Protocol

from qclient.message import Message
from qclient.tasks.job import Progress, written_progress

PERIOD_S: Final = 0.5
"""Between two of one run. Each is on the server's disk before it is answered."""

TEXT_MAX: Final = 500
"""Characters; as JSON they stay below the 4,096 bytes that a server takes."""


class Teller(Protocol):
    """Who sends it: the client's `Settling`.

    Attributes:
        loop: where `report` is called.
    """

    loop: asyncio.AbstractEventLoop

    def report(self, message: Message[Any], progress: bytes) -> None:
        """Send this; nobody waits for the answer."""


class Reporter:
    """Reports for one run."""

    __slots__ = ("_due_at", "_is_closed", "_is_planned", "_latest", "_message", "_teller")

    def __init__(self, message: Message[Any], teller: Teller) -> None:
        self._message = message
        self._teller = teller
        self._latest: Progress | None = None
        self._due_at = 0.0
        self._is_planned = False
        self._is_closed = False

    def report(self, progress: Progress) -> None:
        """Send this soon, unless another comes before. From any thread."""
        self._latest = progress
        if not self._is_planned and not self._is_closed:
            self._is_planned = True
            self._teller.loop.call_soon_threadsafe(self._plan)

    def close(self) -> None:
        """Send what is left; what is reported after that goes nowhere. Called on the loop."""
        self._is_closed = True
        if self._is_planned:
            self._send()

    def _plan(self) -> None:
        loop = self._teller.loop
        if loop.time() >= self._due_at:
            self._send()
        else:
            loop.call_at(self._due_at, self._send)

    def _send(self) -> None:
        self._due_at = self._teller.loop.time() + PERIOD_S
        self._is_planned = False  # before the value is read: one that comes now is planned again
        progress, self._latest = self._latest, None
        if progress is not None and not self._message.is_lost:
            self._teller.report(self._message, written_progress(limited(progress)))


def limited(progress: Progress) -> Progress:
    """The same with its parts brought within their limits; done for what is sent only."""
    fraction, text = progress.fraction, progress.text[:TEXT_MAX]
    if fraction is not None:
        fraction = max(0.0, min(1.0, fraction))
    return Progress(fraction, text.encode("utf-8", "replace").decode())
