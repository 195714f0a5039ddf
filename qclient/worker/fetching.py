"""Asks for messages: as many as there are places for, and no more.

    room ──► GET count=free wait=20 ──► open: the task and its arguments ──► slots
      ▲                                   └── unknown task, bad arguments ──► dead letters
      └── a place became free, no GET under way

One GET is under way at a time, on a connection of its own, beside the settlements. While it waits
nothing is asked again: the server answers it as soon as there is something.

**A GET whose reply was lost** with its connection may have leased something that nobody here knows
of, and the heartbeat would keep it for ever. So, before anything else is asked, the session's
LEASES are read, and what is not known here is released.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from qclient.client import Client
from qclient.errors import Error
from qclient.message import Message
from qclient.tasks.app import App
from qclient.tasks.control import Reject
from qclient.tasks.envelope import arrived
from qclient.worker.delivery import Delivery
from qclient.worker.lookahead import Lookahead
from qclient.worker.outcome import Outcomes
from qclient.worker.slots import Slots

logger = logging.getLogger("qclient.worker")

UNCONFIRMED_MAX: Final = 10_000
"""Settlements under way; past that nothing is fetched until they are answered."""


class Fetching:
    """Fetches for one worker.

    Args:
        order: gives the queues of the next GET.

    Attributes:
        heard_at: when a GET was last answered, by the loop's clock.
    """

    def __init__(
        self,
        app: App,
        client: Client,
        outcomes: Outcomes,
        *,
        order: Callable[[], Sequence[str]],
        prefetch: int,
        lookahead: Lookahead,
        lease_s: float,
        wait_s: float,
    ) -> None:
        self.heard_at = asyncio.get_running_loop().time()
        self.slots: Slots
        self._tasks = app.tasks
        self._client = client
        self._outcomes = outcomes
        self._order = order
        self._prefetch = prefetch
        self._lookahead = lookahead
        self._lease_s = lease_s
        self._wait_s = wait_s
        self._loop = asyncio.get_running_loop()
        self._room: asyncio.Future[None] | None = None
        self._asking: asyncio.Task[list[Message[Any]]] | None = None
        self._trusted = client.lost_gets

    @property
    def is_in_doubt(self) -> bool:
        """Whether the session may hold what nobody here knows of."""
        return self._client.lost_gets != self._trusted

    def on_room(self) -> None:
        """A place became free: ask at the end of this turn of the loop."""
        room = self._room
        if room is not None and not room.done():
            room.set_result(None)

    def on_stuck(self) -> None:
        """Give back what was asked for by a wrong guess: another worker may have a place for it."""
        if self._prefetch:
            return
        self._lookahead.was_wrong()
        for delivery in self.slots.drop_ready():
            self._outcomes.release(delivery.message)

    def doubt(self) -> None:
        """End the GET that waits, if its session is in doubt, so that the doubt can be cleared."""
        if self.is_in_doubt and self._asking is not None:
            self._asking.cancel()

    async def run(self) -> None:
        """Fetch until cancelled.

        Raises:
            Error: the server refuses what is asked.
        """
        empty = 0
        while True:
            count = await self._wait_room()
            if self.is_in_doubt:
                await self._disown()
            began_at = self._loop.time()
            ended = self.slots.ended
            messages = await self._get(count, self._wait_s)
            ended = self.slots.ended - ended
            self._lookahead.answered(ended, is_full=len(messages) == count)
            if messages:
                empty = 0
                self.take(messages)
            elif self._loop.time() - began_at < self._wait_s / 2:  # a server that goes down, say
                await asyncio.sleep(self._client.backoff.delay_s(empty))
                empty += 1

    async def run_dry(self) -> None:
        """Fetch until there is nothing to get and nothing runs that could put more.

        What a run released for a while is waited for: it has not had its turn yet.
        """
        while True:
            count = await self._wait_room()
            messages = await self._get(count, 0)
            if not messages and await self.slots.wait_quiet():
                left_s = max(self._outcomes.back_at - self._loop.time(), 0)
                messages = await self._get(1, min(left_s, self._wait_s))
                if not messages and not left_s:
                    return
            self.take(messages)

    def take(self, messages: Sequence[Message[Any]]) -> None:
        """Give messages to the slots, and those that are no task of ours to the dead letters."""
        deliveries = []
        for message in messages:
            try:
                deliveries.append(self._open(message))
            except Reject as error:
                logger.warning("%s of %s is dead: %s", message.receipt, message.queue, error)
                self._outcomes.fail(message, error)
        self.slots.take(deliveries)

    # ── leaves ──

    def _open(self, message: Message[Any]) -> Delivery:
        call = arrived(message.raw)
        task = self._tasks.get(call.task)
        if task is None:
            raise Reject(f"no task {call.task!r} here")
        args, kwargs = task.read(call)
        return Delivery(message, task, args, kwargs, call.due_ms)

    async def _wait_room(self) -> int:
        """How many to ask for, once it is at least one."""
        while True:
            if self._client.settling.unconfirmed > UNCONFIRMED_MAX:
                await self._client.settling.drain()
            count = self.slots.free + self._prefetch + self._lookahead.ahead
            if count > 0:
                return min(count, self._client.server.count_max)
            self._room = self._loop.create_future()
            await self._room
            self._room = None

    async def _get(self, count: int, wait_s: float) -> list[Message[Any]]:
        """One GET; nothing when it was ended for a doubt."""
        self._asking = self._loop.create_task(
            self._client.lease(
                self._client.settling,
                self._order(),
                wanted=None,
                count=count,
                wait=wait_s,
                lease=self._lease_s,
            )
        )
        try:
            await asyncio.wait([self._asking])
        except asyncio.CancelledError:
            self._asking.cancel()
            self._asking.add_done_callback(self._give_back)
            await asyncio.wait([self._asking])
            raise
        asking, self._asking = self._asking, None
        if asking.cancelled():
            return []
        self.heard_at = self._loop.time()
        return asking.result()

    def _give_back(self, asking: asyncio.Task[list[Message[Any]]]) -> None:
        """Release what came in the very turn of the stop."""
        if not asking.cancelled() and asking.exception() is None:
            for message in asking.result():
                self._outcomes.release(message)

    async def _disown(self) -> None:
        """Release what the session holds and nobody here knows of.

        No GET is under way, so nothing new comes meanwhile. What is held now may have ended by the
        time of the answer, its ack still to be sent: it is not to be released before that.
        """
        trusted = self._client.lost_gets
        held = frozenset(self.slots.held)
        try:
            leased = [lease.receipt async for lease in self._client.leases(page=1000)]
            unknown = [receipt for receipt in leased if receipt not in held]
            if unknown:
                await self._client.release(*unknown)
                logger.warning("%d leases of a lost reply were released", len(unknown))
        except Error as error:
            logger.warning("what the session holds could not be read: %s", error)
            if error.is_retryable:
                return
        self._trusted = trusted


def in_order(queues: Sequence[str]) -> Callable[[], Sequence[str]]:
    """The first queue is emptied first."""
    return lambda: queues


def by_weight(weights: Mapping[str, int]) -> Callable[[], Sequence[str]]:
    """Each queue comes first as often as its weight says, evenly spread; the others behind it.

    The running total of each grows by its weight every time; the highest comes first, and pays the
    sum of all.
    """
    totals = dict.fromkeys(weights, 0)
    whole = sum(weights.values())

    def order() -> Sequence[str]:
        for queue, weight in weights.items():
            totals[queue] += weight
        ranked = sorted(totals, key=lambda queue: -totals[queue])
        totals[ranked[0]] -= whole
        return ranked

    return order
