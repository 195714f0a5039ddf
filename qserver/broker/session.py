"""Who takes messages: connections, and sessions, which leases can belong to.

connection ──1:0..1── Session      ──1:n── leased messages
connection ──1:0..1── GetWaiter    ──n:m── queues' names
                   or ResultWaiter ──n:1── messages' ids
                   or Ongoing      ──n:1── queue, or session
"""

from typing import TYPE_CHECKING, Protocol

from qserver.broker.message import Message
from qserver.broker.table import Table

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
        self.leases = Table()
        self.deadline = 0.0
        self.slot: Slot | None = None


class Client(Protocol):
    """One connection, as the broker sees it."""

    session: Session | None

    def delivered(self, messages: list[Message]) -> None:
        """The GET that waited has its messages, or none when its time is over."""
        ...

    def counted(self, count: int) -> None:
        """The request that went on by itself is done, to so many messages."""
        ...

    def told(self, message: Message) -> None:
        """The RESULT that waited is answered by the message as it stands."""
        ...
