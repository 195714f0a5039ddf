"""Bounded concurrency: a fixed number of runners that take deliveries from one line.

    take ──► ready ──► a runner: run ──► finish(delivery, error)
               │          │
               │          └── cancel: timeout, lost, stop
               └── drop: lost or released before it began

A runner is a task of the event loop that lives as long as the worker: making one for each delivery
costs as much as all else about it. Runs that never wait follow each other in one runner, without a
turn of the loop in between; so a woken runner wakes two more where there is work for them, and
works on meanwhile.

To cancel a delivery is to cancel its runner, which takes it back when the run has ended.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from qclient.tasks.control import Why
from qclient.worker.delivery import Delivery, running
from qclient.worker.isolation import Isolated

TICK_S: Final = 0.05
"""How often deadlines are looked at."""

STUCK_S: Final = 0.5
"""What has waited for a place for so long was fetched too early."""

TURN_S: Final = 0.002
"""How long runs that never wait may follow each other before the loop has its turn."""

Run = Callable[[Delivery], Coroutine[Any, Any, Any]]
Finish = Callable[[Delivery, BaseException | None], None]


class Slot:
    """One place.

    Attributes:
        runner: the loop's task that works here.
        delivery: what runs.
        bell: rung when there is work, while it has none.
    """

    __slots__ = ("bell", "delivery", "runner")

    def __init__(self) -> None:
        self.runner: asyncio.Task[None]
        self.delivery: Delivery | None = None
        self.bell: asyncio.Future[None] | None = None


class Slots:
    """Runs deliveries, at most `count` at once.

    Args:
        count: how many.
        run: runs one; the composed middleware.
        finish: told what came of it: None, or what it raised.
        on_room: called when a place became free, before the loop's next turn.
        on_stuck: called when something has waited here for STUCK_S.
        clock: monotonic seconds.

    Attributes:
        held: what is leased here and not settled, by receipt: ready and running.
        ready: what has not begun.
        running: how many run.
        ended: how many have run.
        fault: fails when a runner did, which is a fault of ours.
    """

    def __init__(
        self,
        count: int,
        run: Run,
        finish: Finish,
        on_room: Callable[[], None],
        on_stuck: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.count: Final = count
        self.held: dict[str, Delivery] = {}
        self.ready: deque[Delivery] = deque()
        self.running = 0
        self.ended = 0
        self._run = run
        self._finish = finish
        self._on_room = on_room
        self._on_stuck = on_stuck
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._idle: list[Slot] = []
        self._ticker: asyncio.TimerHandle | None = None
        self._turned_at = 0.0
        self._is_closed = False
        self._quiet: asyncio.Future[None] | None = None
        self.fault: asyncio.Future[None] = self._loop.create_future()
        self._slots = [Slot() for _ in range(count)]
        for slot in self._slots:
            slot.runner = self._loop.create_task(self._work(slot), name="qclient runner")
            slot.runner.add_done_callback(self._on_end)

    @property
    def free(self) -> int:
        """How many more deliveries could begin at once."""
        return self.count - self.running - len(self.ready)

    def take(self, deliveries: Iterable[Delivery]) -> None:
        """Run these, as soon as there are places."""
        now = self._clock()
        for delivery in deliveries:
            delivery.arrived_at = now
            self.held[delivery.message.receipt] = delivery
            self.ready.append(delivery)
        if self._ticker is None and self.ready:
            self._ticker = self._loop.call_later(TICK_S, self._tick)
        self._ring()

    def cancel(self, delivery: Delivery, why: Why) -> None:
        """End a running delivery, or drop one that has not begun."""
        if delivery.slot is None:
            self.ready.remove(delivery)
            del self.held[delivery.message.receipt]
            self._on_room()
            return
        delivery.cancelled_for = why
        delivery.expires_at = None
        delivery.slot.runner.cancel(why.value)

    def drop_ready(self) -> list[Delivery]:
        """What has not begun, which is held here no more."""
        dropped = list(self.ready)
        self.ready.clear()
        for delivery in dropped:
            del self.held[delivery.message.receipt]
        return dropped

    def running_deliveries(self) -> list[Delivery]:
        """What runs now."""
        return [slot.delivery for slot in self._slots if slot.delivery is not None]

    def delivery_of(self, runner: object) -> Delivery | None:
        """What that task of the loop runs; for the heartbeat's thread."""
        for slot in self._slots:
            if slot.runner is runner:
                return slot.delivery
        return None

    async def wait_quiet(self, within_s: float | None = None) -> bool:
        """Wait until nothing is ready or runs; False when that took longer than `within_s`."""
        if self.running or self.ready:
            self._quiet = self._loop.create_future()
            await asyncio.wait([self._quiet], timeout=within_s)
            self._quiet.cancel()
        return not (self.running or self.ready)

    async def close(self) -> None:
        """End the runners. One that doesn't end within a second is left to itself."""
        self._is_closed = True
        self.fault.cancel()
        if self._ticker is not None:
            self._ticker.cancel()
        for slot in self._slots:
            slot.runner.cancel()
        await asyncio.wait([slot.runner for slot in self._slots], timeout=1.0)

    # ── leaves ──

    async def _work(self, slot: Slot) -> None:
        """What a runner does, for ever."""
        ready = self.ready
        clock = self._clock
        while True:
            if not ready:
                await self._wait_work(slot)
                continue
            delivery = ready.popleft()
            delivery.slot = slot
            slot.delivery = delivery
            delivery.began_at = began_at = clock()
            running.set(delivery)
            self.running += 1
            error: BaseException | None = None
            try:
                delivery.result = await Isolated(self._run(delivery))
            except (Exception, asyncio.CancelledError, SystemExit) as raised:  # noqa: BLE001
                error = raised
            self.running -= 1
            self.ended += 1
            slot.delivery = None
            self.held.pop(delivery.message.receipt, None)
            self._finish(delivery, error)
            del delivery, error
            self._on_room()
            if began_at - self._turned_at > TURN_S or slot.runner.cancelling():
                self._turned_at = began_at
                await self._turn(slot)

    async def _wait_work(self, slot: Slot) -> None:
        if self._quiet is not None and not self.running and not self._quiet.done():
            self._quiet.set_result(None)
        slot.bell = self._loop.create_future()
        self._idle.append(slot)
        try:
            await slot.bell
        except asyncio.CancelledError:
            if slot in self._idle:
                self._idle.remove(slot)
            self._recover(slot)
        self._ring()

    async def _turn(self, slot: Slot) -> None:
        """Let the loop have its turn; a cancelling on its way hits here, not the next delivery."""
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self._recover(slot)
        if slot.runner.cancelling():
            self._recover(slot)

    def _recover(self, slot: Slot) -> None:
        """Take a cancelling back that was meant for a delivery, which has ended."""
        if self._is_closed:
            raise asyncio.CancelledError
        while slot.runner.cancelling():
            slot.runner.uncancel()

    def _on_end(self, runner: asyncio.Task[None]) -> None:
        if not runner.cancelled() and not self.fault.done():
            self.fault.set_exception(runner.exception() or AssertionError("a runner ended"))

    def _ring(self) -> None:
        """Wake two runners, who wake two more each, as far as there is work."""
        for _ in range(min(2, len(self.ready), len(self._idle))):
            bell = self._idle.pop().bell
            if bell is not None and not bell.done():
                bell.set_result(None)

    def _tick(self) -> None:
        """Cancel what is over its time."""
        now = self._clock()
        for slot in self._slots:
            delivery = slot.delivery
            if delivery is None or delivery.expires_at is None:
                continue
            if now >= delivery.expires_at:
                self.cancel(delivery, Why.TIMEOUT)
        if self.ready and now - self.ready[0].arrived_at >= STUCK_S:
            self._on_stuck()
        again = bool(self.running or self.ready)
        self._ticker = self._loop.call_later(TICK_S, self._tick) if again else None
