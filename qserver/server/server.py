"""The server: one turn of its loop, its start and its stop.

    all sockets that have something are read, for some ms; each conversation goes on
      └─ end of the turn (once):  GETs that wait are served, some of a crowd
                                  what was recorded is committed, replies are given out
                                  the timer is set for what is due next

So what many clients ask at the same time is stored by one write and one sync.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable
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
    RESERVED_NUMBERS,
    STOP_S_MAX,
    Config,
)
from qserver.dispatch.grammar import Grammar
from qserver.dispatch.tokens import Tokens
from qserver.errors import StorageError, StorageFull
from qserver.ports import Journal, Progress
from qserver.server.busy_poll import busy_poll_for
from qserver.server.clock import Clock, clock_of_this_machine, follow_wall_clock
from qserver.server.commit import Committer
from qserver.server.compactor import Compactor
from qserver.server.connection import Connection
from qserver.server.connections import Connections
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
        connections: who is connected.
        tokens: who says one of them is let in.
        rota: who goes on at the end of the turn.
        keeps: whether the journal keeps anything, so that replies wait for it.
    """

    def __init__(
        self, config: Config, journal: Journal, connections_max: int, clock: Clock | None = None
    ) -> None:
        self._clock = clock or clock_of_this_machine()
        self.now = self._clock.monotonic
        self.config = config
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
        self.tokens = Tokens(config.tokens)
        self.connections = Connections(connections_max)
        self.seen = self.connections.seen
        self._clients = self.connections.all
        self._compactor = Compactor(journal, self._recorder, self.broker)
        self._committer = Committer(
            journal,
            self._recorder,
            self.broker,
            self._compactor,
            config.sync_s,
            self._journal_failed,
            self._clients,
        )
        self.hold = self._committer.hold
        self._peak = Peak(self.broker)
        self._garbage = Garbage()
        self._listener: asyncio.Server | Listener | None = None
        self.keeps = journal.is_kept
        self._turn: asyncio.Handle | None = None
        self._turn_began = 0.0
        self._stalls = Stalls()
        self._busy_poll = busy_poll_for(config, self.now)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._clock_timer: asyncio.TimerHandle | None = None
        self._has_room = True
        self._stopped = asyncio.Event()
        self._nobody_left = asyncio.Event()
        self._started_at = self.now()

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
        self.connections.is_open = False
        assert self._listener is not None
        self._listener.close()
        for connection in list(self._clients):
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
        if not self._clients:
            return
        try:
            await asyncio.wait_for(self._nobody_left.wait(), STOP_S_MAX)
        except TimeoutError:
            log.warning(
                "clients have not got, or not taken, their last replies: their connections are cut",
                connections=len(self._clients),
                waited_s=STOP_S_MAX,
            )
            for connection in list(self._clients):
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
        return self.connections.expect(lambda: Connection(self))

    def disconnected(self, connection: Connection) -> None:
        """A connection has ended."""
        self.connections.discard(connection)
        self.rota.discard(connection)
        self.end_turn_soon(self.now())
        if not self.connections.is_open and not self._clients:
            self._nobody_left.set()

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
        if self._turn is not None or len(self._clients) > 1:
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
            self._busy_poll.turned(now, alone=len(self._clients) == 1)

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
        self.connections.part_with_strangers(self.now())
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

    def figures(self) -> dict[str, int | float | str]:
        """What STATS says of the server and its journal."""
        return {
            "build": BUILD,
            "sync": self.sync,
            "uptime_s": self.now() - self._started_at,
            "recovery_s": self.recovery_s,
            "recovered_records": self.recovered_records,
            **self.connections.figures(),
            **self._stalls.figures(),
            **self._journal.stats(),
            "live_bytes": (live := live_bytes(self.broker)),
            "dead_bytes": max(self._journal.size - live, 0),
            "moved_bytes_total": self._compactor.moved_bytes,
        }
