"""Requests of so much that they take more than one step: a slice each time the loop comes by.

Purge     PURGE and DROP of many messages   `purging.py`
Redrive   REDRIVE of many                   `redriving.py`
TouchAll  `TOUCH *` of many leases          `touching.py`

All others are served in between. Each slice is recorded by itself, so that the journal always tells
what the tables hold: after a crash in the middle some of it is done, and nobody was told `OK`. A
client that is gone ends it where it stands.

They stand in the timer wheel, due at once. A tick does one slice of one of them, whoever waits
longest, so ten at a time take ten times as long, and hold nobody else up longer than one does.
"""

from typing import TYPE_CHECKING

from qserver.broker.session import Client
from qserver.broker.waiter import Waiter

if TYPE_CHECKING:
    from qserver.broker.broker import Broker


class Ongoing(Waiter):
    """A request that goes on by itself.

    Attributes:
        count: what it will be answered: how many messages were removed, say, so far.
    """

    __slots__ = ("count",)

    def __init__(self, client: Client) -> None:
        super().__init__(0, client)
        self.count = 0

    def step(self, broker: "Broker") -> bool:
        """Do a slice of it; answers whether that was the last one."""
        raise NotImplementedError

    def wait(self, broker: "Broker") -> None:
        """Let the next slice be done at once, but behind all that is due, and others' slices."""
        broker.last_waiter += 1
        self.number = broker.last_waiter
        broker.wheel.schedule(self, 0.0)

    def go_on(self, broker: "Broker") -> None:
        """Do a slice, and answer the client if that was the last one."""
        if self.step(broker):
            self.client.counted(self.count)
        else:
            self.wait(broker)

    def forget(self, broker: "Broker") -> None:
        """Leave the rest as it is."""
        broker.wheel.cancel(self)

    def give_up(self, broker: "Broker") -> None:
        """Go on: it is answered when it is done, also where the client has closed its side."""


def begin(broker: "Broker", request: Ongoing) -> bool:
    """Do the first slice; answers whether that was all, so that `count` is to be answered.

    Raises:
        RequestError: nothing was done.
    """
    if request.step(broker):
        return True
    request.wait(broker)
    return False
