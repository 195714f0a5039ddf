"""Requests that wait: each kind knows the tables it stands in, and how it is answered.

GetWaiter     a GET with nothing to get yet: served in turn, when a queue has something for it
ResultWaiter  a RESULT of a message that has not ended: told when it does, all who ask at once
Ongoing       a request of so much that it takes more than one step: `ongoing.py`

All stand in the timer wheel, which ends their time. A client has one at most.
"""

from typing import TYPE_CHECKING

from qserver.broker.session import Client

if TYPE_CHECKING:
    from qserver.broker.broker import Broker
    from qserver.broker.wheel import Slot


class Waiter:
    """A request that waits.

    Attributes:
        number: who waits longer has the lower one.
        deadline: monotonic second at which it gives up.
    """

    __slots__ = ("client", "deadline", "number", "slot")

    def __init__(self, number: int, client: Client) -> None:
        self.number = number
        self.client = client
        self.deadline = 0.0
        self.slot: Slot | None = None

    def forget(self, broker: "Broker") -> None:
        """Take it out of every table, without telling its client."""
        raise NotImplementedError

    def give_up(self, broker: "Broker") -> None:
        """Answer it as things stand: its time is over, or its client has closed its side."""
        raise NotImplementedError


class GetWaiter(Waiter):
    """A GET with nothing to get yet.

    Attributes:
        lease_s: None takes each queue's setting.
    """

    __slots__ = ("count", "lease_s", "queues")

    def __init__(
        self, number: int, client: Client, queues: list[str], count: int, lease_s: float | None
    ) -> None:
        super().__init__(number, client)
        self.queues = queues
        self.count = count
        self.lease_s = lease_s

    def forget(self, broker: "Broker") -> None:
        """Leave the line of each queue."""
        broker.wheel.cancel(self)
        broker.waiting -= 1
        for name in self.queues:
            line = broker.waiters[name]
            del line[self]
            if not line:
                del broker.waiters[name]

    def give_up(self, broker: "Broker") -> None:
        """There was nothing."""
        self.forget(broker)
        self.client.delivered([])


class ResultWaiter(Waiter):
    """A RESULT of a message that has not ended."""

    __slots__ = ("message_id",)

    def __init__(self, number: int, client: Client, message_id: int) -> None:
        super().__init__(number, client)
        self.message_id = message_id

    def forget(self, broker: "Broker") -> None:
        """Leave those who wait for the message."""
        broker.wheel.cancel(self)
        line = broker.result_waiters[self.message_id]
        del line[self]
        if not line:
            del broker.result_waiters[self.message_id]

    def give_up(self, broker: "Broker") -> None:
        """Tell how the message stands, unless its end came at the same moment and was told."""
        if self in broker.result_waiters.get(self.message_id, ()):
            self.forget(broker)
            self.client.told(broker.messages[self.message_id])
