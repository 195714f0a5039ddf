"""What clients asked and were told, and what may not be so.

Clients tell the history what they send, before they send it, and what they are answered. It knows
no queue and no lease of the server's: only what was promised to somebody. Each rule is one function
that raises `Violation`.

What was asked and never answered may or may not have happened. What was answered under a policy
that a power cut may undo becomes such a request when one comes.
"""

from collections import Counter
from dataclasses import dataclass, field
from math import inf

from tests.simulation.talk import Delivered
from tests.simulation.violation import Violation

CLOCK_NOTICED_S = 1.5
"""By then a server has seen that the wall clock was set."""

EPSILON_S = 1e-6
"""Differences of times below this come from their arithmetic."""


@dataclass(eq=False)
class Lease:
    """One delivery, as its client knows it.

    Attributes:
        until: it can't have ended by itself before.
        settled_at: when somebody sent what could end it, inf before.
        may_be_undone: the power failed so soon that it may never have been stored.
    """

    number: int
    asked_at: float
    told_at: float
    until: float
    session: str | None
    deliveries: int
    failures: int
    losses: int
    settled_at: float = inf
    may_be_undone: bool = False


@dataclass(eq=False)
class Put:
    """A message, from the moment somebody sends a PUT.

    Attributes:
        token: the number in its body, by which it is known again.
        told_at: when its OK came, inf before.
        not_before: no lease above `not_before_lease` may be given out before.
        is_final: its ACK was answered OK, with that lease.
        may_be_gone: how much was sent that removes it, and not answered.
        given_back: when the lease of that number was given back: sent, and answered OK.
    """

    token: int
    body: bytes
    queue: str
    priority: int
    sent_at: float
    not_before: float
    is_plain: bool
    dedup: str | None = None
    id: int = 0
    told_at: float = inf
    is_refused: bool = False
    is_final: int = 0
    final_at: float = 0.0
    not_before_lease: int = 0
    may_be_gone: int = 0
    has_new_counters: bool = False
    leases: list[Lease] = field(default_factory=list)
    given_back: dict[int, tuple[float, float]] = field(default_factory=dict)


@dataclass(eq=False)
class Purge:
    """A PURGE of everything in a queue."""

    queue: str
    sent_at: float
    told_at: float = inf


@dataclass(eq=False)
class Session:
    """A session, as its client knows it.

    Attributes:
        broken_at: since when its connection is gone; inf while it has one.
    """

    grace_s: float
    broken_at: float = inf


class History:
    """Everything that was promised."""

    def __init__(self) -> None:
        self.puts: dict[int, Put] = {}
        self.by_id: dict[int, Put] = {}
        self.leases: dict[int, Lease] = {}
        self.sessions: dict[str, Session] = {}
        self.purges: list[Purge] = []
        self.paused: dict[str, float] = {}
        self.resumes: Counter[str] = Counter()
        self.resumes_under_way: Counter[str] = Counter()
        self.keys: dict[tuple[str, str], Put] = {}
        self.lost_gets: list[tuple[float, float]] = []
        self.clock_set_at = -inf
        self.first_undone_at = inf
        self.undone_at = -inf

    # --- PUT -------------------------------------------------------------------------------------

    def put_told(self, put: Put, message_id: int, now: float, *, duplicate: bool) -> None:
        """A PUT was answered OK."""
        if duplicate:
            put.is_refused = True
            first = self.by_id.get(message_id)
            if put.dedup is None or (
                first is not None and (first.dedup, first.queue) != (put.dedup, put.queue)
            ):
                raise Violation(f"PUT {put.token} is no duplicate of message {message_id}")
            return
        self._know(put, message_id)
        put.told_at = now
        if put.dedup is not None:
            first = self.keys.get((put.queue, put.dedup))
            if first is not None and first.told_at < put.sent_at and first is not put:
                raise Violation(f"{put.dedup} was stored twice: {first.id} and {put.id}")
            self.keys[put.queue, put.dedup] = put

    def _know(self, put: Put, message_id: int) -> None:
        other = self.by_id.setdefault(message_id, put)
        if other is not put or put.id not in (0, message_id):
            raise Violation(f"two messages {message_id}: {put.token} and {other.token}")
        put.id = message_id

    # --- GET -------------------------------------------------------------------------------------

    def delivered(
        self, row: Delivered, asked_at: float, told_at: float, until: float, session: str | None
    ) -> tuple[Put, Lease]:
        """A GET's answer held a message, leased until then at least."""
        put = self._found(row)
        lease = Lease(
            row.number, asked_at, told_at, until, session, row.deliveries, row.failures, row.losses
        )
        if lease.number in self.leases:
            raise Violation(f"lease {lease.number} was given out twice")
        if put.is_final and lease.number > put.is_final:
            raise Violation(f"message {put.id} was delivered again after its ACK was answered OK")
        if told_at < put.not_before - EPSILON_S and lease.number > put.not_before_lease:
            raise Violation(f"message {put.id} came {put.not_before - told_at:.3f} s early")
        if asked_at > self.paused.get(put.queue, inf):
            raise Violation(f"message {put.id} was delivered from a paused queue")
        self._check_purged(put, lease)
        for earlier in put.leases:
            self._check_alone(put, earlier, lease)
            self._check_counters(put, earlier, lease)
        self.leases[lease.number] = lease
        put.leases.append(lease)
        return put, lease

    def _found(self, row: Delivered) -> Put:
        """Somebody has put it, just so."""
        put = self.puts.get(row.token)
        if put is None or (put.body, put.queue) != (row.body, row.queue):
            raise Violation(f"nobody put what was delivered: {row}")
        self._know(put, row.id)
        if put.is_refused:
            raise Violation(f"message {put.id} is there, and its PUT was refused")
        return put

    def _check_purged(self, put: Put, lease: Lease) -> None:
        for purge in self.purges:
            if (
                purge.queue == put.queue
                and put.told_at < purge.sent_at
                and purge.told_at < lease.asked_at
            ):
                raise Violation(f"message {put.id} was delivered after it was purged")

    def _check_alone(self, put: Put, earlier: Lease, later: Lease) -> None:
        """Two leases of one message must not overlap."""
        if earlier.number > later.number:
            earlier, later = later, earlier
        now = later.told_at
        if earlier.settled_at <= now or put.may_be_gone:
            return
        until = earlier.until
        if earlier.session is not None:
            session = self.sessions[earlier.session]
            until = min(until, session.broken_at + session.grace_s)
        if now < until - EPSILON_S:
            raise Violation(
                f"message {put.id} has two leases: {earlier.number} for another "
                f"{until - now:.3f} s, and {later.number}"
            )

    @staticmethod
    def _check_counters(put: Put, earlier: Lease, later: Lease) -> None:
        if put.has_new_counters:
            return
        if earlier.number > later.number:
            earlier, later = later, earlier
        if (
            later.deliveries <= earlier.deliveries
            or later.failures < earlier.failures
            or later.losses < earlier.losses
        ):
            raise Violation(f"a counter of message {put.id} went down: {earlier} {later}")

    # --- the end of a lease ----------------------------------------------------------------------

    def acked(self, put: Put, lease: Lease, now: float) -> None:
        """An ACK was answered OK."""
        later = [
            other.number
            for other in put.leases
            if other.number > lease.number and not other.may_be_undone
        ]
        if later:
            raise Violation(f"lease {lease.number} of message {put.id} was settled after {later}")
        if put.is_final:
            raise Violation(f"message {put.id} was acked twice")
        put.is_final, put.final_at = lease.number, now

    def returned(self, put: Put, lease: Lease, not_before: float) -> None:
        """A NACK or RELEASE was answered OK."""
        if put.is_final and put.is_final <= lease.number:
            raise Violation(f"message {put.id} was acked, and then settled otherwise")
        if all(other.number <= lease.number for other in put.leases):
            put.not_before, put.not_before_lease = not_before, lease.number

    def touched(self, lease: Lease, until: float) -> None:
        """A TOUCH was answered OK."""
        lease.until = max(lease.until, until)

    def resuming(self, queue: str) -> None:
        """A RESUME is sent: until it was answered, nobody can tell whether there is a pause."""
        self.resumes[queue] += 1
        self.resumes_under_way[queue] += 1
        self.paused.pop(queue, None)

    def resumed(self, queue: str) -> None:
        """A RESUME was answered, or never will be."""
        self.resumes_under_way[queue] -= 1

    def pause_told(self, queue: str, resumes_before: int, now: float) -> None:
        """A PAUSE was answered OK; so many RESUMEs had been sent when it was sent."""
        if not self.resumes_under_way[queue] and self.resumes[queue] == resumes_before:
            self.paused[queue] = now

    # --- sessions --------------------------------------------------------------------------------

    def session_broken(self, name: str, now: float) -> None:
        """A session's only connection is gone."""
        session = self.sessions[name]
        session.broken_at = min(session.broken_at, now)

    def session_joined(self, name: str, now: float) -> None:
        """HELLO was answered: within the grace, its leases go on."""
        session = self.sessions[name]
        over_at = session.broken_at + session.grace_s
        session.broken_at = inf
        if now > over_at:
            for lease in self.leases.values():
                if lease.session == name:
                    lease.until = min(lease.until, over_at)

    # --- the world -------------------------------------------------------------------------------

    def lost_power(self, since: float, now: float) -> None:
        """What was told since then may be undone, as the policy says; also what is on its way."""
        self.first_undone_at = min(self.first_undone_at, now)
        self.undone_at = now
        for put in self.puts.values():
            if put.told_at >= since:
                put.told_at = inf
            if put.final_at >= since:
                put.is_final = 0
                put.may_be_gone += 1
            put.has_new_counters = True
            put.not_before = -inf
            for lease in put.leases:
                lease.until = -inf
                lease.may_be_undone |= lease.told_at >= since
        for purge in self.purges:
            purge.told_at = inf
        self.paused.clear()
        self.keys.clear()

    def may_delay(self, now: float) -> bool:
        """Whether a delay that begins now is kept: the server looks at the clock once a second."""
        return now - self.clock_set_at > CLOCK_NOTICED_S

    def clock_set(self, moved: float, now: float) -> None:
        """Delays follow the wall clock; leases don't."""
        self.clock_set_at = now
        if moved > 0:
            for put in self.puts.values():
                put.not_before -= moved

    def clock_not_noticed(self) -> None:
        """The server ended before it could have seen that the clock was set."""
        self.keys.clear()
        for lease in self.leases.values():
            lease.until = -inf
