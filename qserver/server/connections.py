"""Who is connected, how many may be, and what became of the others."""

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, cast

import structlog

from qserver.config import REFUSED_MAX, STRANGER_S_MAX, STRANGERS_MAX
from qserver.dispatch.client import Seen

if TYPE_CHECKING:
    from qserver.server.connection import Connection

log = structlog.get_logger("qserver")

BUSY_ERROR: Final = b"ERR busy %d connections, and connections_max allows no more\n"
STOPPING_ERROR: Final = b"ERR busy the server stops\n"
LATE_ERROR: Final = b"ERR unauthorized no token in %d s\n" % STRANGER_S_MAX

WARN_S: Final = 1.0
"""Wrong tokens are logged so often, however many are said."""


class Connections:
    """All connections, in the order in which they came.

    Attributes:
        all: those that are there.
        most: how many there may be.
        is_open: whether newcomers are let in, if there is room for them.
    """

    def __init__(self, most: int) -> None:
        self.all: dict[Connection, None] = {}
        self.most = most
        self.is_open = True
        self._expected: set[Connection] = set()
        self._accepted = 0
        self._refused = 0
        self._stalled = 0
        self._unauthorized = 0
        self._warns_at = 0.0
        self._strangers: dict[Connection, None] = {}

    @property
    def refusal(self) -> bytes:
        """What those are told who are not let in."""
        return BUSY_ERROR % self.most if self.is_open else STOPPING_ERROR

    def expect(self, make: "Callable[[], Connection]") -> asyncio.Protocol | bytes:
        """Who speaks with the client that knocks; or what it is told, without further ado.

        Those that are refused with a moment's patience hold a descriptor as the others do.
        """
        if len(self.all) + len(self._expected) >= self.most + REFUSED_MAX:
            self._accepted += 1
            self._refused += 1
            return self.refusal
        connection = make()
        self._expected.add(connection)
        return cast("asyncio.Protocol", connection)

    def add(self, connection: "Connection") -> bool:
        """Take a new connection, and number it; answers whether there is room for it."""
        self._expected.discard(connection)
        self.all[connection] = None
        self._accepted += 1
        if len(self.all) > self.most or not self.is_open:
            self._refused += 1
            return False
        connection.number = self._accepted
        if connection.owes_token:
            self._strangers[connection] = None
            if len(self._strangers) > STRANGERS_MAX:
                self._look_over_strangers()
                if len(self._strangers) > STRANGERS_MAX:
                    next(iter(self._strangers)).abort()
        return True

    def _look_over_strangers(self) -> None:
        """Most are strangers for an instant; nobody says when they cease to be."""
        self._strangers = {each: None for each in self._strangers if each.owes_token}

    def part_with_strangers(self, now: float) -> None:
        """Close the connections that have owed their token for too long."""
        self._look_over_strangers()
        for each in list(self._strangers):
            if now - each.connected_at <= STRANGER_S_MAX:
                break
            each.part(LATE_ERROR)

    def discard(self, connection: "Connection") -> None:
        """It has ended."""
        self._expected.discard(connection)
        self.all.pop(connection, None)
        self._strangers.pop(connection, None)

    def note_stalled(self, waited_s: float) -> None:
        """One is cut since its client takes no replies."""
        self._stalled += 1
        log.warning("a client took none of its replies: its connection is cut", waited_s=waited_s)

    def note_unauthorized(self, host: str, now: float) -> None:
        """One is closed since its client said a wrong token.

        Anybody can have that said as often as they connect: so not each is logged.
        """
        self._unauthorized += 1
        if now >= self._warns_at:
            self._warns_at = now + WARN_S
            log.warning(
                "a client said a wrong token: its connection is closed",
                client_host=host,
                connections_unauthorized_total=self._unauthorized,
            )

    def seen(self, after: int) -> Iterator[Seen]:
        """What CLIENTS tells of those with a higher number; not of those that were refused."""
        return (each.seen() for each in self.all if each.number > after)

    def figures(self) -> dict[str, int]:
        """What STATS says of them."""
        return {
            "connections": len(self.all),
            "connections_max": self.most,
            "connections_accepted_total": self._accepted,
            "connections_refused_total": self._refused,
            "connections_stalled_total": self._stalled,
            "connections_unauthorized_total": self._unauthorized,
        }
