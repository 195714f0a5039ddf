"""The worker: its life from the first connection to the last ack.

    run ──► connect ──► heartbeat, slots, fetching ──► stop ──► drain ──► closed
                                                        │         │
                          nothing more is fetched ──────┘         ├── running tasks get `grace_s`
                          what has not begun is released at once ─┘   then are cancelled, released

A session of its own keeps what it holds over a lost connection, and gives it back `session_grace_s`
after its process has died. Heartbeats stop last.
"""

import asyncio
import contextlib
import logging
import math
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from qclient.client import Client
from qclient.dialler import address
from qclient.errors import BadRequest
from qclient.middleware import compose, standard
from qclient.opening import DEFAULT_URL, connect
from qclient.sync.dialler import Dialler
from qclient.tasks.app import App
from qclient.tasks.control import Why
from qclient.worker import attempts
from qclient.worker.delivery import Delivery
from qclient.worker.fetching import Fetching, by_weight, in_order
from qclient.worker.health import Health
from qclient.worker.heartbeat import Heartbeat
from qclient.worker.keeping import Keeping
from qclient.worker.lookahead import Lookahead
from qclient.worker.looping import LoopWatch
from qclient.worker.outcome import Counts, Outcomes
from qclient.worker.periodic import PeriodicPuts
from qclient.worker.probe import probing
from qclient.worker.runs import Runs
from qclient.worker.settings import Settings
from qclient.worker.slots import Slots

logger = logging.getLogger("qclient.worker")

UNWIND_S: Final = 2.0
"""What cancelled tasks get to clean up."""

CONNECT_S: Final = 2.0
"""One attempt of the heartbeat to connect."""


class Worker:
    """Runs the tasks of an App until it is stopped.

        await Worker(app, "qserver://127.0.0.1:7711", Settings(concurrency=50)).run()

    Attributes:
        session: its name at the server.
        url: where the server is.
        weights: queues with their weights; 0 where they are taken in order.
        middleware: what wraps its runs, the outermost first.
        counts: what came of its runs; see `Counts`.
    """

    def __init__(self, app: App, url: str = DEFAULT_URL, settings: Settings | None = None) -> None:
        """Nothing happens before `run`.

        Raises:
            BadRequest: there is no queue to take from, or a setting makes no sense.
        """
        self.app: Final = app
        self.settings: Final = settings or Settings()
        place = f"{_word(app.name)}:{_word(socket.gethostname())}:{os.getpid()}"
        self.session: Final = f"{place}:{secrets.token_hex(4)}"
        self.counts = Counts()
        self.url: Final = url
        self.weights: Final = _weights(app, self.settings)
        self.middleware: Final = standard() if app.middleware is None else app.middleware
        self._stopping = asyncio.Event()
        self._leaving = asyncio.Event()
        self._settling_stale = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connecting: asyncio.Task[Any] | None = None
        self._client: Client | None = None
        self._slots: Slots | None = None
        self._fetching: Fetching
        self._outcomes: Outcomes

    @property
    def running(self) -> int:
        """How many tasks run now."""
        return 0 if self._slots is None else self._slots.running

    @property
    def stale(self) -> int:
        """Settlements that came after their lease had ended."""
        return self._settling_stale if self._client is None else self._client.settling.stale

    def stop(self) -> None:
        """Fetch no more, release what has not begun, let tasks end within `grace_s`; then end."""
        self._stopping.set()
        if self._connecting is not None:
            self._connecting.cancel()

    def leave(self) -> None:
        """Stop without any grace."""
        self._leaving.set()
        self.stop()

    def stop_soon(self, *, leave: bool = False) -> None:
        """`stop` or `leave`, from a signal handler or another thread."""
        stop = self.leave if leave else self.stop
        if self._loop is None:  # it ends as soon as it begins
            stop()
        else:
            self._loop.call_soon_threadsafe(stop)

    async def run(self) -> None:
        """Work until stopped.

        Raises:
            CannotConnect: no server answered within `connect_for_s`.
            Error: the server refuses what the worker asks.
        """
        self._loop = asyncio.get_running_loop()
        for task in self.app.tasks.values():
            task.prepare()
        async with contextlib.AsyncExitStack() as stack:
            self._connecting = asyncio.current_task()
            try:
                client = await stack.enter_async_context(self._connected())
            except asyncio.CancelledError:
                if self._stopping.is_set() and self._connecting is not None:
                    self._connecting.uncancel()
                    return
                raise
            finally:
                self._connecting = None
            stack.enter_context(self.app.bound(client))
            await stack.enter_async_context(self._lifespan())
            for each in self.middleware:
                if hasattr(each, "lifespan"):
                    await stack.enter_async_context(each.lifespan(self))
            await self._work(client)

    # ── what the heartbeat asks and tells ──

    def receipts(self) -> list[str]:
        """See `heartbeat.Heart`."""
        return list(self._slots.held) if self._slots is not None else []

    def is_in_doubt(self) -> bool:
        """See `heartbeat.Heart`."""
        return self._fetching.is_in_doubt

    def task_of(self, runner: object) -> str | None:
        """See `heartbeat.Heart`."""
        delivery = self._slots.delivery_of(runner) if self._slots is not None else None
        return None if delivery is None else delivery.task.name

    def on_doubt(self) -> None:
        """See `heartbeat.Heart`."""
        self._fetching.doubt()

    def on_lost(self, receipts: Sequence[str]) -> None:
        """See `heartbeat.Heart`: what is held no more by now had been settled in between."""
        assert self._slots is not None
        for receipt in receipts:
            delivery = self._slots.held.get(receipt)
            if delivery is not None and not delivery.message.is_lost:
                self._lose(delivery, self._slots)

    # ── leaves ──

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Client]:
        settings = self.settings
        async with connect(
            self.url,
            client=self.session,
            session=self.session,
            grace=settings.session_grace_s,
            retry_for=math.inf,
            connect_for=settings.connect_for_s,
        ) as client:
            self._client = client
            try:
                yield client
            finally:
                self._settling_stale = client.settling.stale
                self._client = None

    @contextlib.asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        if self.app.lifespan is None:
            yield
        else:
            async with self.app.lifespan():
                yield

    async def _work(self, client: Client) -> None:
        settings = self.settings
        self._outcomes = Outcomes(client.settling, self.counts, Keeping(client))
        self._fetching = fetching = Fetching(
            self.app,
            client,
            self._outcomes,
            order=_order(self.weights),
            prefetch=settings.prefetch or 0,
            lookahead=Lookahead(settings.concurrency if settings.prefetch is None else 0),
            lease_s=settings.lease_s,
            wait_s=settings.wait_s,
        )
        path = None if settings.health_file is None else Path(settings.health_file)
        health = Health(fetching, settings.wait_s)
        async with probing(health, path, settings.health_port):
            await self._run_tasks(client, fetching)

    async def _run_tasks(self, client: Client, fetching: Fetching) -> None:
        settings = self.settings
        runs = Runs(settings)
        periodic = PeriodicPuts(self.app.periodic, client)
        self._slots = fetching.slots = Slots(
            settings.concurrency,
            periodic.around(compose(self.middleware, runs.run)),
            self._outcomes.finish,
            fetching.on_room,
            fetching.on_stuck,
        )
        heartbeat = self._heartbeat()
        heartbeat.start()
        warning = asyncio.ensure_future(
            attempts.warn(client, self.weights, self.app.tasks.values())
        )
        try:
            if settings.burst:
                await self._until_stopped(fetching.run_dry())
            else:
                await self._until_stopped(fetching.run(), periodic.run())
        finally:
            warning.cancel()
            await self._wind_up(client, runs, heartbeat)

    async def _wind_up(self, client: Client, runs: Runs, heartbeat: Heartbeat) -> None:
        """Let what runs end, and settle it; the leases live until then."""
        assert self._slots is not None
        await self._drain(self._slots)
        await self._slots.close()
        runs.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(UNWIND_S):
                await client.settling.drain()
        await asyncio.to_thread(heartbeat.stop)

    def _heartbeat(self) -> Heartbeat:
        settings = self.settings
        dial = Dialler(
            address(self.url),
            client=f"{self.session}:heartbeat",
            session=self.session,
            grace=settings.session_grace_s,
            connect_timeout=CONNECT_S,
        )
        watch = LoopWatch(settings.blocked_s, settings.blocked_s_max)
        return Heartbeat(dial, self, lease_s=settings.lease_s, watch=watch)

    async def _until_stopped(self, *work: Coroutine[Any, Any, None]) -> None:
        """Work until `stop`, or until some of it ends: dry, or by an error."""
        assert self._slots is not None
        ends = [asyncio.ensure_future(each) for each in work]
        stopping = asyncio.ensure_future(self._stopping.wait())
        everything: list[asyncio.Future[Any]] = [*ends, stopping]
        try:
            first = asyncio.FIRST_COMPLETED
            await asyncio.wait([*everything, self._slots.fault], return_when=first)
        finally:
            for each in everything:
                each.cancel()
            await asyncio.wait(everything)
        for end in ends:
            if not end.cancelled():
                end.result()
        if self._slots.fault.done():
            self._slots.fault.result()

    async def _drain(self, slots: Slots) -> None:
        """Give back what has not begun, and let the rest end in its time."""
        for delivery in slots.drop_ready():
            self._outcomes.release(delivery.message)
        if slots.running:
            logger.info("stopping: %d tasks get %g s to end", slots.running, self.settings.grace_s)
        quiet = asyncio.ensure_future(slots.wait_quiet(self.settings.grace_s))
        leaving = asyncio.ensure_future(self._leaving.wait())
        await asyncio.wait([quiet, leaving], return_when=asyncio.FIRST_COMPLETED)
        quiet.cancel()
        leaving.cancel()
        for delivery in slots.running_deliveries():
            slots.cancel(delivery, Why.STOP)
        if not await slots.wait_quiet(UNWIND_S):
            for delivery in slots.running_deliveries():
                logger.warning("%r does not end: its message is released while it runs", delivery)
                self._outcomes.release(delivery.message)
                delivery.message.is_lost = True

    def _lose(self, delivery: Delivery, slots: Slots) -> None:
        message = delivery.message
        message.is_lost = True
        logger.warning(
            "the lease of %s of %s ended: it was or will be delivered again, and ends here",
            message.receipt,
            delivery.task.name,
        )
        if delivery.slot is None:
            self.counts.lost += 1
        slots.cancel(delivery, Why.LOST)


def _word(name: str) -> str:
    """A name as far as a session's name can hold it."""
    return "".join(each if each.isascii() and each.isalnum() else "-" for each in name)[:40]


def _weights(app: App, settings: Settings) -> Mapping[str, int]:
    """Queues by weight, 0 where they are taken in order."""
    chosen = settings.queues or app.queues
    if not chosen:
        raise BadRequest(f"app {app.name!r} has no tasks, so there is no queue to take from")
    if settings.concurrency < 1 or (settings.prefetch or 0) < 0:
        raise BadRequest("concurrency is 1 or more, prefetch 0 or more")
    if isinstance(chosen, Mapping):
        if min(chosen.values()) < 1:
            raise BadRequest("the weight of a queue is 1 or more")
        return dict(chosen)
    return dict.fromkeys(chosen, 0)


def _order(weights: Mapping[str, int]) -> Callable[[], Sequence[str]]:
    return by_weight(weights) if all(weights.values()) else in_order(tuple(weights))
