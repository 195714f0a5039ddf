"""What `qclient top` shows: looks at a server, and the rates between them.

The server counts for itself what it stores, delivers and settles, so these rates are exact. A queue
says only how many messages it holds: `change_per_s` is what came in less what went out.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final, Generic, TypeVar

import msgspec

from qclient.client import Client
from qclient.queues import STATES
from qclient.reports import Peer, Queue
from qclient.sweep import PAGE, Sweep

R = TypeVar("R")

RATES: Final = {
    "put": "puts_total",
    "got": "leases_total",
    "done": "acks_total",
    "failed": "nacks_total",
    "lost": "losses_total",
    "dead": "deads_total",
}
"""What is counted in STATS, by the name of its rate."""

RESTART_S: Final = 1.0
"""A server that seems to have begun so much later than it did before was started anew."""

Figures = dict[str, int | float | str]


class Watched(msgspec.Struct, Generic[R]):
    """A row as it was read last, and before; each with its time on the overview's clock."""

    row: R
    at_s: float
    before: R | None = None
    before_at_s: float = 0.0

    def again(self, row: R, at_s: float) -> "Watched[R]":
        """The same, read once more."""
        return Watched(row, at_s, self.row, self.at_s)

    def per_s(self, count: Callable[[R], int]) -> float | None:
        """By how much a count of it grew, a second; None when it was read only once."""
        if self.before is None or self.at_s <= self.before_at_s:
            return None
        return (count(self.row) - count(self.before)) / (self.at_s - self.before_at_s)


class QueueLine(msgspec.Struct, frozen=True):
    """A queue, and by how many messages it grows a second."""

    queue: Queue
    change_per_s: float | None

    @property
    def bustle(self) -> float:
        """What the busiest queues have most of: messages ready and leased, and changes."""
        return self.queue.ready + self.queue.leased + abs(self.change_per_s or 0)


class ClientLine(msgspec.Struct, frozen=True):
    """The connections of one session, or of one that has none under one name.

    Attributes:
        idle_s: since any of them was last heard.
        requests_per_s: of all of them.
        waiting: the queues that their GETs wait for.
    """

    client: str
    session: str | None
    connections: int
    leases: int
    idle_s: float
    requests_per_s: float | None
    waiting: tuple[str, ...]


class Overview:
    """A server, looked at again and again.

    Args:
        client: connected to it.
        clock: seconds that never go back.

    Attributes:
        figures: the last STATS.
        rates: what the server did a second, between the last two looks; empty at the first.
    """

    def __init__(self, client: Client, clock: Callable[[], float]) -> None:
        self.figures: Figures = {}
        self.rates: dict[str, float] = {}
        self._client = client
        self._clock = clock
        self._at_s = self._began_at_s = 0.0
        self._begin()

    def _begin(self) -> None:
        client = self._client
        self._queues: dict[str, Watched[Queue]] = {}
        self._peers: dict[int, Watched[Peer]] = {}
        self._queue_sweep: Sweep[str, Queue] = Sweep(
            lambda after: client.queues(after=after, page=PAGE), lambda row: row.name
        )
        self._peer_sweep: Sweep[int, Peer] = Sweep(
            lambda after: client.clients(after=after, page=PAGE), lambda row: row.number
        )

    async def look(self) -> None:
        """Look once: at the figures, and at a few pages of queues and connections.

        Raises:
            ConnectionLost: the server does not answer; what was seen stays.
        """
        figures = await self._client.stats()
        now_s = self._clock()
        if self.figures and _began_at_s(figures, now_s) > self._began_at_s + RESTART_S:
            self._begin()  # a server that was started anew counts anew
            self.figures = {}
        self.rates = _rates(self.figures, figures, now_s - self._at_s)
        self.figures, self._at_s = figures, now_s
        self._began_at_s = _began_at_s(figures, now_s)
        queues = await self._queue_sweep.turn()
        _keep(self._queues, {row.name: row for row in queues.rows}, queues.gone, self._clock())
        peers = await self._peer_sweep.turn()
        _keep(self._peers, {row.number: row for row in peers.rows}, peers.gone, self._clock())

    @property
    def is_whole(self) -> bool:
        """Whether every queue and connection was looked at."""
        return self._queue_sweep.rounds > 0 and self._peer_sweep.rounds > 0

    @property
    def seen(self) -> int:
        """How many queues were looked at."""
        return len(self._queues)

    def queues(self, count: int) -> list[QueueLine]:
        """The busiest queues, first the one with most to do."""
        lines = [QueueLine(each.row, each.per_s(_messages_held)) for each in self._queues.values()]
        return sorted(lines, key=lambda line: (-line.bustle, line.queue.name))[:count]

    def clients(self, count: int) -> list[ClientLine]:
        """Who is connected: first who holds most leases, then who was heard last."""
        together: dict[tuple[str | None, str], list[Watched[Peer]]] = {}
        for each in self._peers.values():
            name = each.row.client or f"#{each.row.number}"
            key = (each.row.session, "" if each.row.session else name)
            together.setdefault(key, []).append(each)
        lines = [_client_line(each) for each in together.values()]
        return sorted(lines, key=lambda line: (-line.leases, line.idle_s))[:count]

    def as_json(self, rows_max: int) -> dict[str, Any]:
        """All of it, for programs."""
        queues = []
        for line in self.queues(rows_max):
            shown = msgspec.structs.asdict(line.queue)
            del shown["info"]
            queues.append({**shown, "change_per_s": _rounded(line.change_per_s)})
        clients = []
        for each in self.clients(rows_max):
            shown = msgspec.structs.asdict(each)
            clients.append({**shown, "requests_per_s": _rounded(each.requests_per_s)})
        rates = {f"{name}_per_s": _rounded(rate) for name, rate in self.rates.items()}
        return {"figures": self.figures, "rates": rates, "queues": queues, "clients": clients}


def _keep(known: dict[Any, Watched[R]], rows: dict[Any, R], gone: set[Any], now_s: float) -> None:
    for key, row in rows.items():
        known[key] = known[key].again(row, now_s) if key in known else Watched(row, now_s)
    for key in gone:
        known.pop(key, None)


def _rates(before: Figures, after: Figures, seconds: float) -> dict[str, float]:
    if not before or seconds <= 0:
        return {}
    return {
        name: (_figure(after, word) - _figure(before, word)) / seconds
        for name, word in RATES.items()
    }


def _began_at_s(figures: Figures, now_s: float) -> float:
    """When the server was started, on our clock."""
    return now_s - _figure(figures, "uptime_s")


def _figure(figures: Figures, name: str) -> float:
    value = figures.get(name, 0)
    return 0 if isinstance(value, str) else value


def _messages_held(queue: Queue) -> int:
    return sum(getattr(queue, state) for state in STATES if state != "done")


def _client_line(connections: Iterable[Watched[Peer]]) -> ClientLine:
    each = list(connections)
    peers = [watched.row for watched in each]
    rates = [watched.per_s(lambda peer: peer.requests) for watched in each]
    known = [rate for rate in rates if rate is not None]
    named = next((peer.client for peer in peers if peer.client), None)
    return ClientLine(
        client=named or f"#{peers[0].number}",
        session=peers[0].session,
        connections=len(peers),
        leases=max(peer.leases for peer in peers),
        idle_s=min(peer.idle_s for peer in peers),
        requests_per_s=sum(known) if known else None,
        waiting=tuple(sorted({queue for peer in peers for queue in peer.waiting})),
    )


def _rounded(rate: float | None) -> float | None:
    return None if rate is None else round(rate, 3)
