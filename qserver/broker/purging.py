"""PURGE and DROP: all of a queue's messages are removed; many of them a slice at a time.

What was there when it began is gone when it is answered; what is put meanwhile stays, but for a
DROP, which forgets the dedup keys too, and in the end removes the queue with all it has then.
"""

from collections.abc import Iterable
from itertools import islice
from math import inf
from sys import maxsize
from typing import Final

from qserver.broker import admin
from qserver.broker.broker import Broker
from qserver.broker.message import READY, STATES, Message
from qserver.broker.ongoing import Ongoing
from qserver.broker.put import expire_keys
from qserver.broker.queue import Queue
from qserver.broker.session import Client

SLICE: Final = 2000
"""Messages that are removed at once, in about 2 ms; for no more than these there is one step."""

IDS_MAX: Final = 1000
"""Ids that one record names."""


class Purge(Ongoing):
    """A PURGE or DROP that goes on by itself.

    Attributes:
        last_id: up to which messages go.
        slice_max: how many at once.
        is_drop: the queue goes, too.
    """

    __slots__ = ("is_drop", "last_id", "queue", "slice_max", "states")

    def __init__(
        self,
        client: Client,
        queue: Queue,
        states: list[int],
        last_id: int,
        slice_max: int,
        *,
        is_drop: bool,
    ) -> None:
        super().__init__(client)
        self.queue = queue
        self.states = states
        self.last_id = last_id
        self.slice_max = slice_max
        self.is_drop = is_drop

    def step(self, broker: Broker) -> bool:
        """Remove some more."""
        if broker.queues.get(self.queue.name) is not self.queue:  # someone dropped it
            return True
        if self.is_drop and _is_small(self.queue, self.slice_max):
            self.count += admin.drop(broker, self.queue.name)
            return True
        if self.is_drop and self.queue.dedup is not None:
            expire_keys(broker, self.queue, inf, self.slice_max)
        count = self._remove_slice(broker)
        self.count += count
        if count == self.slice_max or self.is_drop:
            return False
        self.queue.index.shrink()
        return True

    def _remove_slice(self, broker: Broker) -> int:
        left = self.slice_max
        gone: list[int] = []
        for state in self.states:
            for message in self._some(state, left):
                gone.append(message.id)
                if state == READY:
                    broker.remove(message)
                else:
                    broker.withdraw(message)
            left = self.slice_max - len(gone)
            if not left:
                break
        for start in range(0, len(gone), IDS_MAX):
            broker.recorder.gone(gone[start : start + IDS_MAX])
        return len(gone)

    def _some(self, state: int, count: int) -> Iterable[Message]:
        if state == READY:
            return self.queue.ready.take_old(count, self.last_id)
        held = self.queue.held(state).values()
        return list(islice((each for each in held if each.id <= self.last_id), count))


def begin_purge(
    broker: Broker, client: Client, name: str, states: list[int], slice_max: int = SLICE
) -> Purge | None:
    """A purge that goes on by itself; None where few messages are to go, for `admin.purge`."""
    queue = broker.queues.get(name)
    if queue is None or sum(queue.count(state) for state in states) <= slice_max:
        return None
    return _begin(broker, Purge(client, queue, states, broker.last_id, slice_max, is_drop=False))


def begin_drop(broker: Broker, client: Client, name: str, slice_max: int = SLICE) -> Purge | None:
    """A drop that goes on by itself; None where few messages are to go, for `admin.drop`."""
    queue = broker.queues.get(name)
    if queue is None or _is_small(queue, slice_max):
        return None
    states = list(range(len(STATES)))
    return _begin(broker, Purge(client, queue, states, maxsize, slice_max, is_drop=True))


def _is_small(queue: Queue, slice_max: int) -> bool:
    """Whether it can be dropped in one step."""
    return len(queue) <= slice_max and (queue.dedup is None or len(queue.dedup) <= slice_max)


def _begin(broker: Broker, purge: Purge) -> Purge:
    purge.wait(broker)
    return purge
