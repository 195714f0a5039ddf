"""The machine that the server runs on: its disk, its clocks, and all that can happen to it.

The server is the real one, from its sockets to its journal's files. Its process can be killed, its
machine can lose power in the middle of a write, its disk can fail, fill up or be slow.
"""

import errno
import gc
from collections.abc import Callable
from concurrent.futures import Executor
from contextvars import Context, copy_context
from pathlib import Path
from random import Random

from qserver.config import Config
from qserver.errors import Damaged, StorageError
from qserver.server.clock import Clock
from qserver.server.server import Server
from qserver.storage.file import open_directory
from tests.sim_disk import PowerCut, SimDisk, some_pages
from tests.simulation.loop import PROCESS, SimLoop
from tests.simulation.network import Network
from tests.simulation.violation import Violation

DATA = Path("/data")

START_WALL_S = 1_800_000_000.0
"""The wall clock at the beginning: 2027-01-15T08:00:00Z."""

LINGER_S = 0.2
"""So long a process is there after its server has stopped."""

PAGE = 32
"""So many bytes of what was not synced are kept or lost together in a power cut."""


class LoopDisk(SimDisk):
    """A disk on the loop's time, with threads of the loop's."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__()
        self._loop = loop

    def now(self) -> float:
        return self._loop.time()

    def thread(self, name: str) -> Executor:
        del name
        return self._loop.thread()


class Machine:
    """A server, again and again.

    Attributes:
        server: the one that runs, if one does.
        downs: told how each life ended: `killed`, `power cut`, `stopped` or `failed`.
        sync_s: how long a sync of the disk takes.
    """

    def __init__(
        self,
        loop: SimLoop,
        network: Network,
        chance: Random,
        config: Config,
        downs: Callable[[str], None],
    ) -> None:
        self.server: Server | None = None
        self.disk = LoopDisk(loop)
        self.downs = downs
        self.sync_s = 0.0
        self.config = config
        self.wall_offset = START_WALL_S - loop.time()
        self._loop = loop
        self._network = network
        self._chance = chance
        self._life = 0
        self._boots = 1
        self._is_booting = False
        self._keeps_power = False
        self.disk.before_sync = lambda: loop.spend(self.sync_s * chance.uniform(0.5, 1.5))

    def boot(self) -> bool:
        """Start a server; answers whether it runs."""
        assert self.server is None
        self._life += 1
        self._is_booting = True
        context = copy_context()
        try:
            context.run(self._boot)
        except PowerCut:
            self.end_at_change()
        except Damaged as damaged:
            raise Violation(f"a journal that nobody damaged: {damaged}") from damaged
        except StorageError:
            self.disk.kill()
        finally:
            self._is_booting = False
        return self.server is not None

    def _boot(self) -> None:
        PROCESS.set(self._life)
        config = self.config
        journal = open_directory(DATA, segment_bytes_max=config.segment_bytes_max, disk=self.disk)
        clock = Clock(
            self._loop.time, lambda: self._loop.time() + self.wall_offset, f"boot {self._boots}"
        )
        server = Server(config, journal, config.connections_max, clock)
        try:
            server.recover()
        finally:
            gc.unfreeze()
            gc.set_threshold(700, 10, 10)
        self.server = server
        task = self._loop.create_task(_serve(server))
        task.add_done_callback(lambda done: self._served(server, done.exception()))

    def _served(self, server: Server, error: BaseException | None) -> None:
        """A server has ended by itself."""
        if self.server is not server:
            return
        if isinstance(error, PowerCut):
            self.end_at_change()
        elif error is not None:
            raise error
        elif server.failure is not None:
            self._end("failed", delivers=True)
        else:
            self._loop.call_later(LINGER_S, self._left, server, context=Context())

    def _left(self, server: Server) -> None:
        """A server that has stopped is gone. What it had scheduled was called until now."""
        if self.server is server:
            if server.failure is not None:
                raise Violation(f"a server that had stopped has failed: {server.failure}")
            self._end("stopped", delivers=True)

    # --- what can happen to it -------------------------------------------------------------------

    def stop(self) -> None:
        """As SIGTERM does."""
        if self.server is not None:
            context = copy_context()
            context.run(PROCESS.set, self._life)
            context.run(self.server.stop)

    def kill(self) -> None:
        """As SIGKILL does: what was written is in the system's memory."""
        if self.server is not None:
            self._end("killed", delivers=True)

    def plan_end(self, change: int, *, keeps_power: bool) -> None:
        """Let the process end within a change of the disk, that many from now."""
        self._keeps_power = keeps_power
        self.disk.cut_power_at(change)

    def end_at_change(self) -> None:
        """What was planned has come about: a change of the disk is half done."""
        if self._keeps_power:
            self._end("killed", delivers=True)
        else:
            self.cut_power()

    def cut_power(self) -> None:
        """What was not synced is lost, in part or as a whole, names of files included."""
        if self.server is None and not self._is_booting:
            return
        self._boots += 1
        self.disk.crash(self._survives, names_survive=lambda: self._chance.random() < 0.5)
        self._end("power cut", delivers=False)

    def _end(self, how: str, *, delivers: bool) -> None:
        if self.server is not None and self.server.failure is not None:
            how = "failed"  # and somebody was quicker than its own end
        self.server = None
        self._loop.kill(self._life)
        self._network.server_died(delivers=delivers)
        self.disk.kill()
        if how == "failed" and self._chance.random() < 0.5:
            self.disk.crash(self._survives)
        self.disk.heal()
        self.downs(how)

    def _survives(self, durable: bytes, written: bytes) -> bytes:
        """Pages of what was not synced reach the device in any order, or not at all."""
        if len(durable) == len(written):  # a batch over blank lines
            return some_pages(self._chance, durable, written, PAGE)
        fate = self._chance.random()
        if fate < 0.4:
            return durable
        if fate < 0.5:
            return written
        if fate < 0.7 and written.startswith(durable):
            return written[: self._chance.randint(len(durable), len(written))]
        return some_pages(self._chance, durable, written, PAGE)

    def set_wall_clock(self, moved: float) -> None:
        """Somebody sets the clock that people read."""
        self.wall_offset += moved

    def shorten_writes(self, size: int) -> None:
        """Each write takes so many bytes at most."""
        self.disk.write_bytes_max = size

    def fail_disk(self, call: str, after: int) -> None:
        """The disk has a fault."""
        self.disk.fail(call, errno.EIO, after=after)


async def _serve(server: Server) -> None:
    await server.start()
    await server.serve_until_stopped()
