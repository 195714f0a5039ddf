"""Clients that do, at random, what clients do, and tell the history what they see."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from random import Random

from tests.simulation.history import History, Lease, Purge, Put, Session
from tests.simulation.loop import SimLoop
from tests.simulation.network import Network
from tests.simulation.talk import Reply, Talk, read_delivered

QUEUES = ("a", "b")
SETTINGS = "lease=3 max_failures=0 max_losses=0 backoff=1 backoff_factor=2 backoff_max=2"
"""Of each queue."""

VERBS = ("ACK", "DONE", "NACK", "RELEASE", "TOUCH", "forget")
"""What becomes of a message that a client holds."""

Held = tuple[Put, Lease]


class Client:
    """One client with a script of its own.

    Args:
        fail: told what a step of it raised.
        tell: told each line that is sent and received, for a trace.
    """

    def __init__(
        self,
        number: int,
        chance: Random,
        loop: SimLoop,
        network: Network,
        history: History,
        tell: Callable[[str, object], None],
        fail: Callable[[BaseException], None],
    ) -> None:
        self.talk: Talk | None = None
        self._number = number
        self._chance = chance
        self._loop = loop
        self._network = network
        self._history = history
        self._tell = tell
        self._fail = fail
        self._tokens = 0
        self._held: list[Held] = []
        self._steps: set[asyncio.Task[None]] = set()
        self._session: str | None = None
        self._pace_s = chance.choice((0.02, 0.1, 0.3))
        self._weights = [chance.choice((1, 4, 12)), chance.choice((0, 4, 8)), 8, 1, 1]
        if chance.random() < 0.5:
            self._session = f"s{number}"
            grace_s = chance.choice((0.5, 2.0, 8.0))
            history.sessions[self._session] = Session(grace_s, broken_at=-1.0)

    # --- its life --------------------------------------------------------------------------------

    async def live(self, until: float) -> None:
        """Connect, do things, vanish, and come back, until then."""
        while self._loop.time() < until:
            talk = self.talk = Talk(self._loop, self._network)
            if self._session is not None:
                self._start(self._hello(talk))
            patience = self._chance.expovariate(1 / 8.0)
            leaves_at = min(self._loop.time() + patience, until)
            while not talk.is_over and self._loop.time() < leaves_at:
                if talk.unanswered < 8:
                    self._act(talk)
                await self._loop.pause(self._chance.expovariate(1 / self._pace_s))
            if self._session is not None:
                self._history.session_broken(self._session, self._loop.time())
            if self._chance.random() < 0.3:
                talk.end_input()  # what was asked is still answered
            else:
                talk.cut()
            await self._loop.pause(self._chance.choice((0.01, 0.2, 1.0, 4.0)))
            talk.cut()
        while self._steps:
            await asyncio.wait(self._steps)

    def _act(self, talk: Talk) -> None:
        chance = self._chance
        what = chance.choices(("put", "get", "settle", "admin", "look"), self._weights)[0]
        if what == "put":
            for _ in range(chance.choice((1, 1, 1, 5))):
                self._start(self._put(talk))
        elif what == "get" and len(self._held) < 20:
            self._start(self._get(talk))
        elif what == "settle" and self._held:
            self._start(self._settle(talk))
        elif what == "admin" and chance.random() < 0.3:
            self._start(self._administer(talk))
        elif what == "look":
            self._start(self._look(talk))

    def _start(self, step: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(step)
        self._steps.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._steps.discard(task)
        error = task.exception()
        if error is not None:
            self._fail(error)

    async def _ask(self, talk: Talk, line: str, wait_s: float = 0.0) -> Reply | None:
        self._tell(f"client {self._number}", line)
        asked_at = self._loop.time()
        reply = await talk.ask(line.encode(), wait_s)
        self._tell(f"client {self._number}", (line[:20], reply))
        if reply is None or reply.is_unknown or asked_at <= self._history.undone_at:
            return None
        return reply

    # --- requests --------------------------------------------------------------------------------

    async def _hello(self, talk: Talk) -> None:
        assert self._session is not None
        grace_s = self._history.sessions[self._session].grace_s
        reply = await self._ask(talk, f"HELLO session={self._session} grace={grace_s}")
        if reply is not None and not talk.is_over:
            self._history.session_joined(self._session, reply.at)

    async def _put(self, talk: Talk) -> None:
        chance = self._chance
        self._tokens += 1
        token = self._number * 1_000_000 + self._tokens
        pad = "x" * chance.choice((0, 10, 100, 600))
        delay_s = chance.choice((0.0,) * 6 + (0.5, 3.0))
        priority = chance.choice((4,) * 6 + (7,))
        dedup = f"k{chance.randrange(5)}" if chance.random() < 0.1 else None
        now = self._loop.time()
        put = Put(
            token,
            json.dumps({"token": token, "pad": pad}, separators=(",", ":")).encode(),
            chance.choice(QUEUES),
            priority,
            now,
            now + delay_s,
            not delay_s,
            dedup,
        )
        self._history.puts[token] = put
        line = f"PUT {put.queue}" + (f" delay={delay_s}" if delay_s else "")
        line += (f" priority={priority}" if priority != 4 else "") + (
            f" dedup={dedup}" if dedup else ""
        )
        if not self._history.may_delay(now):
            put.not_before = now
        reply = await self._ask(talk, f"{line} {put.body.decode()}")
        if reply is not None and reply.is_ok:
            is_duplicate = reply.last.endswith(b" duplicate")
            self._history.put_told(put, reply.count, reply.at, duplicate=is_duplicate)
        elif reply is not None:
            put.is_refused = True

    async def _get(self, talk: Talk) -> None:
        chance = self._chance
        asked_at = self._loop.time()
        queues = chance.choice((*QUEUES, ",".join(QUEUES)))
        wait_s = chance.choice((0, 0, 0.5, 5))
        lease_s = chance.choice((3.0, 3.0, 0.3, 20.0))
        line = f"GET {queues} count={chance.choice((1, 1, 3, 10))} lease={lease_s}"
        line += f" wait={wait_s}" if wait_s else ""
        reply = await self._ask(talk, line, wait_s)
        if reply is None:
            self._history.lost_gets.append((asked_at, self._loop.time()))
            return
        for row in reply.rows:
            held = self._history.delivered(
                read_delivered(row), asked_at, reply.at, asked_at + lease_s, self._session
            )
            self._held.append(held)

    async def _settle(self, talk: Talk) -> None:
        chance = self._chance
        put, lease = self._held.pop(chance.randrange(len(self._held)))
        verb = chance.choices(VERBS, (8, 3, 3, 3, 3, 1))[0]
        if verb == "forget":
            return
        now = self._loop.time()
        receipt = f"{put.id}.{lease.number}"
        if verb == "TOUCH":
            self._held.append((put, lease))
            reply = await self._ask(talk, f"TOUCH {receipt} lease=6")
            if reply is not None and reply.is_ok and reply.count:
                self._history.touched(lease, now + 6)
            return
        lease.settled_at = min(lease.settled_at, now)
        delay_s = chance.choice((0.2, 4.0))
        more = {"NACK": f" delay={delay_s}", "DONE": ' {"sum":1}'}
        if verb == "RELEASE" and chance.random() < 0.5:
            more["RELEASE"] = f" delay={delay_s}"
        line = f"{verb} {receipt}{more.get(verb, '')}"
        ends = verb in ("ACK", "DONE")
        put.may_be_gone += ends  # and another client's, whose lease this one's may have followed
        reply = await self._ask(talk, line)
        if reply is None:
            return
        put.may_be_gone -= ends
        if not reply.is_ok or not reply.count:
            return
        if ends:
            self._history.acked(put, lease, reply.at)
        elif verb in more:
            kept_s = delay_s if self._history.may_delay(now) else 0.0
            self._history.returned(put, lease, now + kept_s)
        else:
            self._history.returned(put, lease, now)
            put.given_back[lease.number] = now, reply.at

    async def _administer(self, talk: Talk) -> None:
        queue = self._chance.choice(QUEUES)
        history = self._history
        what = self._chance.random()
        if what < 0.2:
            purge = Purge(queue, self._loop.time())
            history.purges.append(purge)
            reply = await self._ask(talk, f"PURGE {queue}")
            if reply is not None and reply.is_ok:
                purge.told_at = reply.at
        elif what < 0.6:
            resumed = history.resumes[queue]
            reply = await self._ask(talk, f"PAUSE {queue}")
            if reply is not None and reply.is_ok:
                history.pause_told(queue, resumed, reply.at)
            await self._loop.pause(self._chance.choice((0.5, 5.0)))
            await self._resume(talk, queue)
        else:
            await self._resume(talk, queue)

    async def _resume(self, talk: Talk, queue: str) -> None:
        self._history.resuming(queue)
        await self._ask(talk, f"RESUME {queue}")
        await self._loop.pause(0.1)
        self._history.resumed(queue)

    async def _look(self, talk: Talk) -> None:
        line = self._chance.choice(("PING", "STATS", "LIST", "LIST a count=5", "BAD", "GET .x"))
        await self._ask(talk, line)
