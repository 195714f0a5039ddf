"""The server: one turn of its loop, its start and its stop.

    all sockets that have something are read, for some ms; each conversation goes on
      └─ end of the turn (once):  GETs that wait are served, some of a crowd
                                  what was recorded is committed, replies are given out
                                  the timer is set for what is due next

So what many clients ask at the same time is stored by one write and one sync.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator
from typing import Final, cast

import structlog

from qserver.broker import timers
from qserver.broker.broker import Broker
from qserver.broker.checkpoint import record_stop
from qserver.broker.compaction import live_bytes
from qserver.broker.get import serve
from qserver.broker.restore import Restorer
from qserver.build import BUILD
from qserver.config import (
    CLOCK_CHECK_S,
    REFUSED_MAX,
    RESERVED_NUMBERS,
    STOP_S_MAX,
    Config,
)
from qserver.dispatch.client import Seen
from qserver.dispatch.grammar import Grammar
from qserver.errors import StorageError, StorageFull
from qserver.ports import Journal, Progress
from qserver.server.busy_poll import busy_poll_for
from qserver.server.clock import Clock, clock_of_this_machine, follow_wall_clock
from qserver.server.commit import Committer
from qserver.server.compactor import Compactor
from qserver.server.connection import BUSY_ERROR, Connection
from qserver.server.garbage import THRESHOLDS, Garbage
from qserver.server.listener import Expect, Listener
from qserver.server.peak import Peak
from qserver.server.rota import Rota
from qserver.server.stalls import STALL_S, Stalls
from qserver.storage.record import replay
from qserver.storage.recorder import recorder_for

log = structlog.get_logger("qserver")

Listen = Callable[[Expect, str, int], Awaitable[Listener]]

LONG_TURN_S: Final = 0.008
"""A turn that has lasted so long ends, though not all sockets have been read."""

TIMER_SLACK_S = 0.001
"""The loop's clock may be this much ahead of a timer that it calls."""


class Server:
    """A broker with its journal, behind a socket.

    Attributes:
        failure: why the journal failed, if it did; the server stops then.
        now: the monotonic clock.
        rota: who goes on at the end of the turn.
        keeps: whether the journal keeps anything, so that replies wait for it.
    """

    def __init__(
        self, config: Config, journal: Journal, connections_max: int, clock: Clock | None = None
    ) -> None:
        self._clock = clock or clock_of_this_machine()
        self.now = self._clock.monotonic
        self.config = config
        self.connections_max = connections_max
        self.failure: StorageError | None = None
        self.rota = Rota()
        self.recovered_records = 0
        self.recovery_s = 0.0
        self.address: tuple[str, int] = (config.host, config.port)
        self._journal = journal
        self._recorder = recorder_for(journal)
        self.broker = Broker(
            self._recorder,
            config.limits,
            now=self.now(),
            wall=self._clock.wall(),
            reserve=0 if config.sync_s is None else RESERVED_NUMBERS,
            boot=self._clock.boot,
        )
        self.grammar = Grammar(config.limits)
        self._connections: dict[Connection, None] = {}
        self._compactor = Compactor(journal, self._recorder, self.broker)
        self._committer = Committer(
            journal,
            self._recorder,
            self.broker,
            self._compactor,
            config.sync_s,
            self._journal_failed,
            self._connections,
        )
        self.hold = self._committer.hold
        self._peak = Peak(self.broker)
        self._garbage = Garbage()
        self._listener: asyncio.Server | Listener | None = None
        self._expected: set[Connection] = set()
        self.keeps = journal.is_kept
        self._turn: asyncio.Handle | None = None
        self._turn_began = 0.0
        self._stalls = Stalls()
        self._busy_poll = busy_poll_for(config, self.now)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._clock_timer: asyncio.TimerHandle | None = None
        self._is_ending = False
        self._has_room = True
        self._stopped = asyncio.Event()
        self._nobody_left = asyncio.Event()
        self._started_at = self.now()
        self._refused = 0
        self._stalled = 0
        self._accepted = 0

    # --- start and stop -----------------------------------------------------------------------

    def recover(self, progress: Progress | None = None) -> None:
        """Rebuild everything from the journal.

        Raises:
            StorageError: the journal can't be read as a whole.
        """
        began = self.now()
        gc.disable()  # nothing of what is built is garbage
        restorer = Restorer(self.broker)
        self.recovered_records = replay(self._journal, restorer, progress)
        restorer.finish(self.now())
        self._recorder.begin_batch()
        follow_wall_clock(self._clock, self.broker)
        if self.recovered_records or self.broker.boot:
            self._committer.begin_with_checkpoint()
        gc.freeze()  # and nothing of it need be looked at again
        gc.set_threshold(*THRESHOLDS)
        gc.enable()
        self.recovery_s = self.now() - began

    async def start(self, listen: Listen | None = None) -> None:
        """Do what came due while the server was away, then listen.

        Args:
            listen: opens the door, at a host and a port, for those who are expected; without it
                that is the loop's business.

        Raises:
            OSError: the address can't be used.
        """
        while timers.tick(self.broker, self.now()):
            pass
        host, port = self.config.host, self.config.port
        if listen is None:
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._new_connection, host, port)
        else:
            self._listener = await listen(self._expect, host, port)
        self.address = self._listener.sockets[0].getsockname()[:2]
        self._check_clock()
        self.end_turn_soon()

    async def serve_until_stopped(self) -> None:
        """Serve until `stop` is called or the journal fails; then end everything in good order."""
        await self._stopped.wait()
        self._is_ending = True
        assert self._listener is not None
        self._listener.close()
        for connection in list(self._connections):
            connection.stop_hearing()
        await self._wait_for_clients()
        for timer in (self._timer, self._clock_timer):
            if timer is not None:
                timer.cancel()
        if self.failure is None:
            record_stop(self.broker)
            await self._drain()
        if self.failure is None:
            await asyncio.to_thread(self._journal.close)

    async def _drain(self) -> None:
        try:
            await self._committer.drain()
        except StorageFull as error:
            log.warning(
                "the disk is full: what was asked and not answered is not stored", error=str(error)
            )

    @property
    def is_stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Let the server end in good order."""
        self._stopped.set()

    async def _wait_for_clients(self) -> None:
        if not self._connections:
            return
        try:
            await asyncio.wait_for(self._nobody_left.wait(), STOP_S_MAX)
        except TimeoutError:
            log.warning(
                "clients have not got, or not taken, their last replies: their connections are cut",
                connections=len(self._connections),
                waited_s=STOP_S_MAX,
            )
            for connection in list(self._connections):
                connection.abort()

    def _journal_failed(self, error: StorageError, unanswered: int) -> None:
        self.failure = error
        log.critical(
            "the journal failed: what was asked and not answered may be lost; the server stops",
            error=str(error),
            unanswered=unanswered,
        )
        self.stop()

    # --- connections ----------------------------------------------------------------------------

    def _new_connection(self) -> asyncio.Protocol:
        return cast("asyncio.Protocol", Connection(self))

    def _expect(self) -> asyncio.Protocol | bytes:
        """Who speaks with the client that knocks; or what it is told, without further ado.

        Those that are refused with a moment's patience hold a descriptor as the others do.
        """
        held = len(self._connections) + len(self._expected)
        if held >= self.connections_max + REFUSED_MAX:
            self._accepted += 1
            self._refused += 1
            return BUSY_ERROR % self.connections_max
        connection = Connection(self)
        self._expected.add(connection)
        return cast("asyncio.Protocol", connection)

    def connected(self, connection: Connection) -> bool:
        """Take a new connection; answers whether there is room for it."""
        self._expected.discard(connection)
        self._connections[connection] = None
        self._accepted += 1
        if len(self._connections) > self.connections_max or self._is_ending:
            self._refused += 1
            return False
        connection.number = self._accepted
        return True

    def disconnected(self, connection: Connection) -> None:
        """A connection has ended."""
        self._expected.discard(connection)
        self._connections.pop(connection, None)
        self.rota.discard(connection)
        self.end_turn_soon(self.now())
        if self._is_ending and not self._connections:
            self._nobody_left.set()

    def note_stalled(self) -> None:
        """A connection is cut since its client takes no replies."""
        self._stalled += 1
        log.warning(
            "a client took none of its replies: its connection is cut",
            waited_s=self.config.stall_s_max,
        )

    # --- the turn ---------------------------------------------------------------------------------

    def go_on_soon(self, connection: Connection) -> None:
        """Let the connection's conversation go on at the end of the turn."""
        self.rota.add(connection)
        self.end_turn_soon()

    def heard(self, began: float) -> None:
        """A connection has said something at that time, and is answered as far as that goes.

        The turn ends when it has been long, or the other sockets have been read too, so that all
        share a batch; or now, if there is nobody to share with: that saves a turn of the loop.
        """
        if self._turn is None and self._busy_poll is not None:
            self._busy_poll.heard(began)
        if self._turn is not None or len(self._connections) > 1:
            self.end_turn_soon(began)
        else:
            self._turn_began = began
            self._end_turn()

    def end_turn_soon(self, began: float | None = None) -> None:
        """Let the turn end when all sockets have been read; it began then, or now.

        Those whom the loop has called say when that was, and end a turn that has been long by then.
        """
        if self._turn is None:
            self._turn_began = self.now() if began is None else began
            self._turn = asyncio.get_running_loop().call_soon(self._end_turn)
        elif began is not None and began - self._turn_began > LONG_TURN_S:
            self._turn.cancel()
            self._end_turn()

    def _end_turn(self) -> None:
        self._turn = None
        began = self._turn_began
        now = self.now()
        if self.rota:
            self.rota.go_on(now)
        if self.broker.hungry:
            serve(self.broker, now)
        self._committer.commit()
        is_behind = self._committer.is_behind and not self._committer.is_busy
        if self.rota or self.broker.hungry or is_behind:
            self.end_turn_soon()
        if self.broker.wheel.has_new_slot:
            self._set_timer(now)
        if now >= self._garbage.ages_at:
            self._garbage.let_age(now)
        now = self.now()
        took_s = now - began
        if took_s > STALL_S or took_s > self._stalls.longest_s:
            self._stalls.note(took_s)
        if self._busy_poll is not None and not self._committer.is_busy:
            self._busy_poll.turned(now, alone=len(self._connections) == 1)

    def _set_timer(self, now: float) -> None:
        deadline = timers.next_deadline(self.broker)
        self.broker.wheel.has_new_slot = False
        if deadline is None:
            return
        if self._timer is not None:
            if self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = asyncio.get_running_loop().call_later(
            max(deadline - now, 0.0) + TIMER_SLACK_S, self._tick
        )

    def _tick(self) -> None:
        self._timer = None
        now = self.now()
        timers.tick(self.broker, now)
        self.end_turn_soon(now)

    def _check_clock(self) -> None:
        self._check_room()
        self._peak.look()
        self._stalls.look()
        if follow_wall_clock(self._clock, self.broker):
            self.end_turn_soon()
        loop = asyncio.get_running_loop()
        self._clock_timer = loop.call_later(CLOCK_CHECK_S, self._check_clock)

    def _check_room(self) -> None:
        self._committer.look_for_room()
        had_room, self._has_room = self._has_room, bool(self._journal.room)
        if had_room and not self._has_room:
            log.warning(
                "the disk is full: PUTs are refused until there is room, all else goes on",
                data=str(self.config.data),
            )
        elif self._has_room and not had_room:
            log.info("the disk has room again: PUTs are taken", data=str(self.config.data))

    # --- what HELLO, CLIENTS and STATS say --------------------------------------------------------

    @property
    def sync(self) -> str:
        """The sync policy."""
        return self.config.sync

    def connections(self, after: int) -> Iterator[Seen]:
        """All connections with a higher number than that, in order; none that was refused."""
        return (each.seen() for each in self._connections if each.number > after)

    def figures(self) -> dict[str, int | float | str]:
        """What STATS says of the server and its journal."""
        return {
            "build": BUILD,
            "sync": self.sync,
            "uptime_s": self.now() - self._started_at,
            "recovery_s": self.recovery_s,
            "recovered_records": self.recovered_records,
            "connections": len(self._connections),
            "connections_max": self.connections_max,
            "connections_accepted_total": self._accepted,
            "connections_refused_total": self._refused,
            "connections_stalled_total": self._stalled,
            **self._stalls.figures(),
            **self._journal.stats(),
            "live_bytes": (live := live_bytes(self.broker)),
            "dead_bytes": max(self._journal.size - live, 0),
            "moved_bytes_total": self._compactor.moved_bytes,
        }
