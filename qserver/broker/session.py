"""Who takes messages: sessions, which leases can belong to, and GETs that wait.

connection ──1:0..1── Session ──1:n── leased messages
connection ──1:0..1── Waiter  ──n:m── queues' names
"""

from typing import TYPE_CHECKING, Protocol

from qserver.broker.message import Message

if TYPE_CHECKING:
    from qserver.broker.wheel import Slot


class Session:
    """What leases can belong to, outliving one connection by its grace.

    Attributes:
        connections: how many there are now; with none, its leases end at `deadline`.
        leases: the messages it holds, by id.
    """

    __slots__ = ("connections", "deadline", "grace_s", "leases", "name", "slot")

    def __init__(self, name: str, grace_s: float) -> None:
        self.name = name
        self.grace_s = grace_s
        self.connections = 0
        self.leases: dict[int, Message] = {}
        self.deadline = 0.0
        self.slot: Slot | None = None


class Client(Protocol):
    """One connection, as the broker sees it."""

    session: Session | None

    def delivered(self, messages: list[Message]) -> None:
        """The GET that waited has its messages, or none when its time is over."""
        ...


class Waiter:
    """A GET with nothing to get yet.

    Attributes:
        number: who waits longer has the lower one.
        deadline: monotonic second at which it gives up.
        lease_s: None takes each queue's setting.
    """

    __slots__ = ("client", "count", "deadline", "lease_s", "number", "queues", "slot")

    def __init__(
        self, number: int, client: Client, queues: list[str], count: int, lease_s: float | None
    ) -> None:
        self.number = number
        self.client = client
        self.queues = queues
        self.count = count
        self.lease_s = lease_s
        self.deadline = 0.0
        self.slot: Slot | None = None
