"""One run: clients, a machine and what goes wrong, all from one plan.

    plan ──► World.run ──► nothing, or a Violation

At the end everything is healed and the server started once more; then each queue is drained, and
whatever was promised must have been settled or be there.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import inf
from random import Random
from typing import Any

import structlog

from qserver.config import LINGER_S, Config
from qserver.server.offline import check
from tests.sim_disk import PowerCut
from tests.simulation import verdict
from tests.simulation.clients import QUEUES, SETTINGS, Client
from tests.simulation.drain import drain
from tests.simulation.history import CLOCK_NOTICED_S, History
from tests.simulation.loop import SimLoop, Stuck
from tests.simulation.machine import DATA, Machine
from tests.simulation.network import Network
from tests.simulation.plan import Fault, Plan
from tests.simulation.small import small_slices
from tests.simulation.talk import Talk
from tests.simulation.violation import Violation

PATIENCE_S = 3.0
"""A server that works owes no reply for longer."""

LEASES_END_S = 30.0
"""By then every lease, grace and delay of a run is over."""

CLOCK_SET_S_MAX = 3600.0
"""The wall clock is set by so much, one way or the other."""

FULL_BYTES = 200
"""Room that is left on a disk that others fill up."""


class World:
    """Everything that takes part in a run.

    Attributes:
        trace: what happened, if that is to be kept: lines for people.
    """

    def __init__(self, plan: Plan, *, traces: bool = False) -> None:
        self.plan = plan
        self.trace: list[str] = []
        self._traces = traces
        self._chance = Random(f"world {plan.seed}")
        self._loop = SimLoop(Random(f"threads {plan.seed}"))
        self._network = Network(self._loop, Random(f"network {plan.seed}"))
        self._history = History()
        self._begins = self._loop.time()
        self._verdict: asyncio.Future[None] = self._loop.create_future()
        self._is_impatient = True
        config = replace(
            Config(),
            sync_s=plan.sync_s,
            segment_bytes_max=plan.segment_bytes_max,
            busy_poll=False,  # time stands still while the loop looks on
        )
        self._machine = Machine(
            self._loop, self._network, Random(f"machine {plan.seed}"), config, self._down
        )
        self._machine.sync_s = plan.disk_sync_s
        self._unsynced_since = inf
        self._is_without_power = False  # or so soon after that the journal doesn't know this boot
        self._is_clock_unseen = False  # set while no server ran, and none has run long since
        self._started_at = inf
        self._has_settings = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._boots: asyncio.TimerHandle | None = None
        self._clients = [self._client(number) for number in plan.clients]
        self._loop.at_rest = self._check_at_rest

    def _client(self, number: int) -> Client:
        chance = Random(f"client {number} {self.plan.seed}")
        return Client(
            number, chance, self._loop, self._network, self._history, self.tell, self.fail
        )

    def tell(self, who: str, what: object) -> None:
        """Note something in the trace."""
        if self._traces:
            self.trace.append(f"{self._loop.time() - self._begins:9.4f}  {who:9} {what}")

    def fail(self, error: BaseException) -> None:
        """The run ends with this."""
        if not self._verdict.done():
            self._verdict.set_exception(error)

    # --- the run ---------------------------------------------------------------------------------

    def run(self) -> None:
        """Do it all.

        Raises:
            Violation: the server broke a promise.
        """
        self._loop.set_exception_handler(self._fault)
        small = small_slices() if self.plan.is_small else contextlib.nullcontext()
        with small, _logs_to(lambda entry: self.tell("server", entry)):
            main = self._loop.create_task(self._live())
            main.add_done_callback(self._over)
            try:
                self._loop.run_until_complete(self._verdict)
            except Stuck as stuck:
                raise Violation(str(stuck)) from stuck
            finally:
                self._loop.set_exception_handler(lambda _loop, _context: None)
                self._loop.close()

    def _over(self, main: "asyncio.Task[None]") -> None:
        if main.cancelled() or self._verdict.done():
            return
        error = main.exception()
        if error is not None:
            self.fail(error)
        else:
            self._verdict.set_result(None)

    async def _live(self) -> None:
        until = self._loop.time() + self.plan.seconds
        self._boot()
        await self._set_up()
        self._tasks.add(self._loop.create_task(self._watch()))
        lives = [self._loop.create_task(client.live(until)) for client in self._clients]
        for fault in self.plan.faults:
            await self._loop.pause(max(self._begins + fault.at - self._loop.time(), 0.0))
            self.tell("world", fault)
            await self._apply(fault)
        if lives:
            await asyncio.wait(lives)
        for life in lives:
            life.result()
        await self._heal()
        await self._judge()

    async def _set_up(self) -> None:
        """Give the queues their settings, once; and again where a power cut may have taken them."""
        is_done = False
        while not is_done:
            await self._loop.pause(0.1)
            talk = Talk(self._loop, self._network)
            replies = [await talk.ask(f"QUEUE {queue} {SETTINGS}".encode()) for queue in QUEUES]
            is_done = all(reply is not None and reply.is_ok for reply in replies)
            talk.cut()

    async def _watch(self) -> None:
        """A server that works answers."""
        while True:
            await self._loop.pause(0.5)
            for client in self._clients:
                if client.talk is not None and self._is_impatient and self._machine.server:
                    client.talk.check_patience(PATIENCE_S)

    def _fault(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, PowerCut):
            self._machine.end_at_change()
        elif error is not None and "never retrieved" not in context["message"]:
            self.fail(error)

    # --- the machine -----------------------------------------------------------------------------

    def _boot(self) -> None:
        self._boots = None
        if not self._has_settings:
            self._has_settings = True
            self._tasks.add(self._loop.create_task(self._set_up()))
        if not self._machine.boot() and self._boots is None:
            self._boots = self._loop.call_later(1.0, self._boot)
        if self._machine.server is not None:
            self._started_at = self._loop.time()
            self._unsynced_since = inf
        elif self._unsynced_since < inf:  # a sync that fails at a start may lose that as well
            self._history.lost_power(self._unsynced_since, self._loop.time())
            self._has_settings = False
        self.tell("world", "the server starts" if self._machine.server else "no start")

    def _down(self, how: str) -> None:
        """A server's life has ended; another one begins after a while."""
        self.tell("world", f"the server has ended: {how}")
        now = self._loop.time()
        if now - self._started_at > CLOCK_NOTICED_S:
            self._is_without_power = self._is_clock_unseen = False
        if how == "power cut":
            self._is_without_power = True
        self._started_at = inf
        for name in self._history.sessions:
            self._history.session_broken(name, now)
        if self.plan.sync_s is not None:
            self._lose_unsynced(how, self.plan.sync_s, now)
        if how == "power cut" and (self._is_clock_unseen or not self._history.may_delay(now)):
            self._history.clock_not_noticed()
        if self._boots is None:
            down_s = self._chance.choice((0.01, 0.2, 1.0, 5.0))
            self._boots = self._loop.call_later(down_s, self._boot)

    def _lose_unsynced(self, how: str, sync_s: float, now: float) -> None:
        """What a server under an interval had not synced may be undone by a power cut.

        Also by one before the next server is there, which syncs what the last one wrote.
        """
        # An interval begins with the first write after a sync, which itself takes its time. And a
        # server whose disk has failed takes leave of its clients before it ends.
        leave_s = LINGER_S if how == "failed" else 0.0
        window_s = sync_s + 1.0 + leave_s if sync_s else now
        self._unsynced_since = min(self._unsynced_since, now - window_s)
        if how in ("power cut", "failed"):
            self._history.lost_power(self._unsynced_since, now)
            self._has_settings = False
        if how == "power cut":
            self._unsynced_since = inf

    async def _apply(self, fault: Fault) -> None:
        machine, value = self._machine, fault.value
        change = 1 + int(value * 30)
        simple: dict[str, Callable[[], None]] = {
            "kill": machine.kill,
            "kill_at_change": lambda: machine.plan_end(change, keeps_power=True),
            "cut": machine.cut_power,
            "cut_at_change": lambda: machine.plan_end(change, keeps_power=False),
            "stop": machine.stop,
            "fail_sync": lambda: machine.fail_disk("sync", change // 3),
            "fail_write": lambda: machine.fail_disk("write", change // 3),
            "short_writes": lambda: machine.shorten_writes(1 + int(value * 100)),
            "clock": lambda: self._set_clock((value - 0.5) * 2 * CLOCK_SET_S_MAX),
        }
        if fault.kind in simple:
            simple[fault.kind]()
        else:
            await self._trouble(fault.kind)

    def _set_clock(self, moved: float) -> None:
        if self._machine.server is None:
            self._is_clock_unseen = True
            if self._is_without_power:
                self._history.clock_not_noticed()
        self._machine.set_wall_clock(moved)
        self._history.clock_set(moved, self._loop.time())

    async def _trouble(self, kind: str) -> None:
        """Something that ends by itself."""
        machine = self._machine
        self._is_impatient = False
        if kind == "full":
            machine.disk.room = FULL_BYTES
        else:
            machine.sync_s = 0.5
        await self._loop.pause(2.0)
        machine.disk.room = None
        machine.sync_s = self.plan.disk_sync_s
        await self._loop.pause(2.0)
        self._is_impatient = True

    async def _heal(self) -> None:
        """All faults end, and the server starts once more."""
        machine = self._machine
        machine.disk.heal()
        machine.kill()
        while machine.server is None:
            await self._loop.pause(0.5)
        await self._loop.pause(0.5)

    # --- judgment --------------------------------------------------------------------------------

    def _check_at_rest(self) -> None:
        """Nobody waits for what is there."""
        server = self._machine.server
        if server is None or server.is_stopping:
            return
        for name in server.broker.waiters:
            queue = server.broker.queues.get(name)
            if queue is not None and queue.ready.count and not queue.paused:
                self.fail(Violation(f"a GET waits, and queue {name} has something"))

    async def _judge(self) -> None:
        times_set = sum(fault.kind == "clock" for fault in self.plan.faults)
        wait_s = LEASES_END_S + times_set * CLOCK_SET_S_MAX
        left = await drain(self._loop, self._network, self._history, wait_s)
        self._machine.kill()
        found = check(DATA, self._machine.disk).found
        if not found.is_whole:
            raise Violation(f"a journal that nobody damaged: {found}")
        verdict.check_nothing_lost(self._history, left)
        verdict.check_order(self._history)
        verdict.check_returned_first(self._history)


@contextlib.contextmanager
def _logs_to(tell: Callable[[Any], None]) -> Iterator[None]:
    """What the server logs goes into the trace."""

    def process(_logger: object, _method: str, entry: Any) -> Any:
        tell(entry)
        raise structlog.DropEvent

    before = structlog.get_config()["processors"]
    structlog.configure(processors=[process])
    try:
        yield
    finally:
        structlog.configure(processors=before)
