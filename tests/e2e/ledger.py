"""What all clients asked and heard, and whether a queue that keeps its promises can have said it.

A reply that never came leaves the request's end unknown: it may have been carried out or not, and
the ledger objects to neither. Times are monotonic seconds of the machine. The server did what it
was asked at some time between `asked_at` and `heard_at`, so a lease can't end before `asked_at` and
its length, and has not begun after `heard_at`.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

EARLY_S_MAX: Final = 0.005
"""Leases outlive a restart by the wall clock, which may be set right a little meanwhile."""


@dataclass(slots=True)
class Put:
    """A PUT; `message` is its id, once that is known."""

    queue: str
    body: bytes
    asked_at: float
    message: int | None = None


@dataclass(slots=True)
class Delivery:
    """A message that a GET has answered."""

    queue: str
    message: int
    number: int
    body: bytes
    session: str
    asked_at: float
    heard_at: float
    lease_s: float
    is_first: bool


@dataclass(slots=True)
class Settling:
    """An ACK, NACK, RELEASE or TOUCH; `is_done` is None until it is known."""

    verb: str
    message: int
    number: int
    asked_at: float
    lease_s: float = 0.0
    heard_at: float | None = None
    is_done: bool | None = None


@dataclass(slots=True)
class Presence:
    """A connection of a session: between these times it surely was there.

    Since its HELLO was answered, until its last answered request was asked: that reply may have
    been read when the server had long been gone.
    """

    session: str
    grace_s: float
    since: float
    last: float


@dataclass(slots=True)
class Ledger:
    """The account; each client may write to one of its own, to be added up."""

    puts: list[Put] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    settlings: list[Settling] = field(default_factory=list)
    presences: list[Presence] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)

    def add(self, other: "Ledger") -> None:
        """Take over another one's account."""
        self.puts += other.puts
        self.deliveries += other.deliveries
        self.settlings += other.settlings
        self.presences += other.presences
        self.oddities += other.oddities

    def objections(self) -> list[str]:
        """What can't have happened; to be asked when everything has been drained."""
        return [*self.oddities, *_Audit(self).objections()]


class _Audit:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._deliveries: dict[int, list[Delivery]] = defaultdict(list)
        for delivery in sorted(ledger.deliveries, key=lambda delivery: delivery.number):
            self._deliveries[delivery.message].append(delivery)
        self._settlings: dict[tuple[int, int], list[Settling]] = defaultdict(list)
        for settling in ledger.settlings:
            self._settlings[settling.message, settling.number].append(settling)
        self._presences: dict[str, list[Presence]] = defaultdict(list)
        for presence in sorted(ledger.presences, key=lambda presence: presence.since):
            self._presences[presence.session].append(presence)

    def objections(self) -> Iterator[str]:
        yield from self._phantoms()
        yield from self._losses()
        yield from self._receipts()
        yield from self._order()
        for deliveries in self._deliveries.values():
            yield from self._after_the_end(deliveries)
            for earlier, later in itertools.pairwise(deliveries):
                yield from self._two_at_a_time(earlier, later)
            for delivery in deliveries:
                yield from self._refusals(delivery)

    def _phantoms(self) -> Iterator[str]:
        puts = {(put.queue, put.body): put for put in self._ledger.puts}
        by_body: dict[bytes, int] = {}
        for delivery in self._ledger.deliveries:
            put = puts.get((delivery.queue, delivery.body))
            if put is None or put.asked_at > delivery.heard_at:
                yield f"nobody has put what {_receipt(delivery)} holds: {delivery.body[:80]!r}"
            elif put.message not in (None, delivery.message):
                yield f"{_receipt(delivery)} has the body of {put.message}"
            if by_body.setdefault(delivery.body, delivery.message) != delivery.message:
                yield f"{_receipt(delivery)} and {by_body[delivery.body]} have the same body"

    def _losses(self) -> Iterator[str]:
        known: set[int] = set()
        for put in self._ledger.puts:
            if put.message is None:
                continue
            if put.message in known:
                yield f"the id {put.message} was given out twice"
            known.add(put.message)
            if not any(
                settling.verb == "ACK" and settling.is_done is not False
                for delivery in self._deliveries[put.message]
                for settling in self._settlings[delivery.message, delivery.number]
            ):
                yield f"{put.message} was stored, and is lost: {put.body[:80]!r}"

    def _receipts(self) -> Iterator[str]:
        numbers: set[int] = set()
        for delivery in self._ledger.deliveries:
            if delivery.number in numbers:
                yield f"the lease number of {_receipt(delivery)} was given out twice"
            numbers.add(delivery.number)

    def _order(self) -> Iterator[str]:
        last: dict[str, int] = defaultdict(int)
        for delivery in sorted(self._ledger.deliveries, key=lambda delivery: delivery.number):
            if delivery.is_first:
                if delivery.message < last[delivery.queue]:
                    yield f"{_receipt(delivery)} came first after {last[delivery.queue]}"
                last[delivery.queue] = delivery.message

    def _after_the_end(self, deliveries: list[Delivery]) -> Iterator[str]:
        for delivery in deliveries[:-1]:
            for settling in self._settlings[delivery.message, delivery.number]:
                if settling.verb == "ACK" and settling.is_done:
                    yield f"{_receipt(delivery)} was acked, and came again as later leases"

    def _two_at_a_time(self, earlier: Delivery, later: Delivery) -> Iterator[str]:
        ended = any(
            settling.verb != "TOUCH"
            and settling.is_done is not False
            and settling.asked_at <= later.heard_at
            for settling in self._settlings[earlier.message, earlier.number]
        )
        if not ended and not self._may_have_run_out(earlier, later.heard_at):
            yield f"{_receipt(later)} was leased while {_receipt(earlier)} was held"

    def _refusals(self, delivery: Delivery) -> Iterator[str]:
        settlings = self._settlings[delivery.message, delivery.number]
        for settling in settlings:
            if settling.is_done is not False or settling.heard_at is None:
                continue
            before = any(
                other is not settling and other.verb != "TOUCH" and other.is_done is not False
                for other in settlings
            )
            if not before and not self._may_have_run_out(delivery, settling.heard_at):
                yield f"{settling.verb} of {_receipt(delivery)} was in time, and refused"

    def _may_have_run_out(self, delivery: Delivery, at: float) -> bool:
        """Whether the lease may have ended by itself at that time."""
        surely_until = delivery.asked_at + delivery.lease_s
        for settling in self._settlings[delivery.message, delivery.number]:
            if settling.verb == "TOUCH" and settling.is_done and settling.asked_at < at:
                surely_until = max(surely_until, settling.asked_at + settling.lease_s)
        if at >= surely_until - EARLY_S_MAX:
            return True
        return self._may_have_vanished(delivery, at)

    def _may_have_vanished(self, delivery: Delivery, at: float) -> bool:
        """Whether its session may have been away for its grace, between the lease and that time."""
        there = self._presences[delivery.session]
        for index, presence in enumerate(there):
            back_at = there[index + 1].since if index + 1 < len(there) else float("inf")
            gone_at = presence.last + presence.grace_s - EARLY_S_MAX
            if back_at > delivery.asked_at and gone_at <= min(back_at, at):
                return True
        return not there and bool(delivery.session)


def _receipt(delivery: Delivery) -> str:
    return f"{delivery.message}.{delivery.number}"
