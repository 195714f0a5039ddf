"""Acks and releases of many messages as few lines: those of one turn of the loop go together.

Nothing is delayed by it: the line leaves in the same turn as it would have alone.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from qclient import verbs
from qclient.errors import Error
from qclient.link import Link
from qclient.message import Message
from qclient.replies import Request
from qclient.reports import Settled
from qclient.words import Duration

logger = logging.getLogger("qclient")

Waiter = asyncio.Future[bool] | None
Build = Callable[[list[str]], Request[Settled]]


class Gathering:
    """The receipts of one turn for one verb."""

    def __init__(self, settling: "Settling", verb: str, build: Build) -> None:
        self._settling = settling
        self._verb = verb
        self._build = build
        self._gathered: list[tuple[str, Waiter]] = []

    def add(self, receipt: str, waiter: Waiter) -> None:
        """Send this receipt at the end of this turn."""
        if not self._gathered:
            asyncio.get_running_loop().call_soon(self._send)
        self._gathered.append((receipt, waiter))

    def _send(self) -> None:
        gathered, self._gathered = self._gathered, []
        step = self._settling.count_max
        for at in range(0, len(gathered), step):
            batch = gathered[at : at + step]
            request = self._build([receipt for receipt, _ in batch])
            self._settling.start(self._verb, request, batch)


class Settling:
    """Settles messages for a client.

    Attributes:
        count_max: receipts of one line, by the server's limit.
        unconfirmed: messages whose settlement is on its way.
        stale: settlements that came too late, of those nobody waited for.
        loop: where all of it happens.
    """

    def __init__(self, link: Link, count_max: int) -> None:
        self.count_max = count_max
        self.unconfirmed = 0
        self.stale = 0
        self.loop = asyncio.get_running_loop()
        self._link = link
        self._tasks: set[asyncio.Task[None]] = set()
        self._acks = Gathering(self, "ack", verbs.ack)
        self._releases = Gathering(self, "release", verbs.release)

    def ack(self, message: Message[Any], waiter: Waiter) -> None:
        """See `message.Settler`."""
        self.unconfirmed += 1
        self._acks.add(message.receipt, waiter)

    def release(self, message: Message[Any], waiter: Waiter, *, delay: Duration = 0) -> None:
        """See `message.Settler`; each that is for later has its own line."""
        self.unconfirmed += 1
        if delay:
            request = verbs.release([message.receipt], delay=delay)
            self.start("release", request, [(message.receipt, waiter)])
        else:
            self._releases.add(message.receipt, waiter)

    def nack(
        self,
        message: Message[Any],
        waiter: Waiter,
        *,
        delay: Duration | None,
        reason: str | None,
        dead: bool,
    ) -> None:
        """See `message.Settler`; each has its own reason, so its own line."""
        self.unconfirmed += 1
        request = verbs.nack([message.receipt], delay=delay, reason=reason, dead=dead)
        self.start("nack", request, [(message.receipt, waiter)])

    async def touch(self, message: Message[Any], lease: Duration | None) -> bool:
        """See `message.Settler`."""
        settled = await self._link.run(verbs.touch([message.receipt], lease=lease))
        return settled.count > 0

    def report(self, message: Message[Any], progress: bytes) -> None:
        """Leave JSON with the message that says how far it is; nobody waits for the answer."""
        request = verbs.progress(message.receipt, msgspec.Raw(progress))
        self.track(self._report(request), 0)

    def start(self, verb: str, request: Request[Settled], batch: list[tuple[str, Waiter]]) -> None:
        """Run a settlement, and tell its waiters."""
        self._run(self._settle(verb, request, batch))

    def track(self, settlement: Coroutine[Any, Any, None], count: int) -> None:
        """Run a settlement of someone else's; `drain` waits for it, too.

        Args:
            settlement: what to run; it deals with its errors.
            count: messages that are unconfirmed until it ends.
        """
        self.unconfirmed += count
        self._run(self._tracked(settlement, count))

    async def drain(self) -> None:
        """Wait until everything gathered so far has been answered."""
        await asyncio.sleep(0)  # what was gathered in this turn starts now
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _run(self, settlement: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(settlement)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tracked(self, settlement: Coroutine[Any, Any, None], count: int) -> None:
        try:
            await settlement
        finally:
            self.unconfirmed -= count

    async def _report(self, request: Request[Settled]) -> None:
        try:
            await self._link.run(request)
        except Error as error:
            logger.debug("how far a message is could not be told: %s", error)

    async def _settle(
        self, verb: str, request: Request[Settled], batch: list[tuple[str, Waiter]]
    ) -> None:
        try:
            settled = await self._link.run(request)
        except Error as error:
            self._tell_failure(verb, batch, error)
            return
        finally:
            self.unconfirmed -= len(batch)
        late = set(settled.not_leased)
        for receipt, waiter in batch:
            if waiter is None:
                if receipt in late:
                    self.tell_late(verb, receipt)
            elif not waiter.done():
                waiter.set_result(receipt not in late)

    def tell_late(self, verb: str, receipt: str) -> None:
        """Count and log a settlement that came too late."""
        self.stale += 1
        logger.warning(
            "%s of %s came after its lease had ended: the message was or will be delivered again",
            verb,
            receipt,
        )

    def _tell_failure(self, verb: str, batch: list[tuple[str, Waiter]], error: Error) -> None:
        lost = 0
        for _, waiter in batch:
            if waiter is None:
                lost += 1
            elif not waiter.done():
                waiter.set_exception(error)
        if lost:
            logger.warning(
                "%s of %d messages was not confirmed: they may be delivered again: %s",
                verb,
                lost,
                error,
            )
