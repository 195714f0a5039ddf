"""Workers with clocks of their own, a server with another, and time that is a number."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from qclient.errors import Full, NotFound
from qclient.reports import Put
from qclient.tasks.envelope import Envelope
from qclient.tasks.periodic import Periodic
from qclient.worker.periodic import PeriodicPuts

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


class PeriodicWorker:
    """One worker: what it puts, by a clock that is off by `skew_s`."""

    def __init__(self, world: "World", entries: list[Periodic], skew_s: float = 0) -> None:
        self.world = world
        self.skew = timedelta(seconds=skew_s)
        self.puts = PeriodicPuts(entries, world, lambda: world.now + self.skew)
        self.again_at = world.now

    async def step(self) -> None:
        self.again_at = await self.puts.step(self.world.now + self.skew) - self.skew

    async def passed(self, name: str, due_ms: int) -> None:
        self.puts.passed(name, due_ms)
        if self.puts._news.is_set():
            self.puts._news.clear()
            await self.step()


class World:
    """Keeps messages until they are due, and keys for as long as each says.

    Attributes:
        stored: due time, expiry, body and id of what waits.
        ran: the due times of what was run, with the task's name and when that was.
        looked: how often a message was looked for.
        is_full: puts are refused.
    """

    def __init__(self) -> None:
        self.now = START
        self.stored: list[tuple[datetime, datetime, Envelope, int]] = []
        self.keys: dict[str, tuple[datetime, int]] = {}
        self.last_id = 0
        self.looked = 0
        self.ran: list[tuple[str, datetime, datetime]] = []
        self.heads: list[bytes] = []
        self.duplicates = 0
        self.is_full = False
        self.workers: list[PeriodicWorker] = []

    def begin(self, *entries: Periodic, skew_s: float = 0) -> PeriodicWorker:
        worker = PeriodicWorker(self, list(entries), skew_s)
        self.workers.append(worker)
        return worker

    async def put_with(self, head: bytes, envelope: Envelope, dedup: str) -> Put:
        if self.is_full:
            raise Full("no room")
        self.heads.append(head)
        until, message_id = self.keys.get(dedup, (self.now, 0))
        if until > self.now:
            self.duplicates += 1
            return Put(message_id, is_duplicate=True)
        due = datetime.fromisoformat(str(option(head, "at")))
        self.last_id += 1
        self.keys[dedup] = self.now + seconds(head, "dedup_window"), self.last_id
        self.stored.append((due, self.now + seconds(head, "ttl"), envelope, self.last_id))
        return Put(self.last_id)

    async def peek(self, id: int) -> None:  # noqa: A002
        self.looked += 1
        if all(number != id for _, _, _, number in self.stored):
            raise NotFound("gone")

    async def until(self, end: datetime) -> None:
        """Let time pass: workers step when they said, messages run when they are due."""
        while True:
            times = [worker.again_at for worker in self.workers]
            if self.workers:
                times += [due for due, _, _, _ in self.stored]
            at = min([*times, end])
            self.now = max(self.now, at)
            if at >= end:
                return
            await self._deliver()
            for worker in self.workers:
                if worker.again_at <= self.now:
                    await worker.step()

    async def after(self, **passed: float) -> None:
        await self.until(self.now + timedelta(**passed))

    def dues(self) -> list[str]:
        """The due times of what ran, as minutes and seconds of the hour, in order of time."""
        return [f"{due:%H:%M:%S}".removesuffix(":00") for _, due, _ in self.ran]

    async def _deliver(self) -> None:
        due = [entry for entry in self.stored if entry[0] <= self.now]
        self.stored = [entry for entry in self.stored if entry[0] > self.now]
        for _, expires, envelope, _ in sorted(due, key=lambda entry: entry[2].due_ms):
            if expires > self.now:
                at = datetime.fromtimestamp(envelope.due_ms / 1000, UTC)
                self.ran.append((envelope.task, at, self.now))
                await self.workers[len(self.ran) % len(self.workers)].passed(
                    envelope.task, envelope.due_ms
                )


def option(head: bytes, name: str) -> Any:
    found = re.search(rf"\b{name}=(\S+)", head.decode())
    return found and found[1]


def seconds(head: bytes, name: str) -> timedelta:
    return timedelta(seconds=float(option(head, name)))
