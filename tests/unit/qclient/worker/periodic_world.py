"""Workers with clocks of their own, a server with another, and time that is a number."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from qclient.errors import Full
from qclient.tasks.envelope import Envelope
from qclient.tasks.periodic import Periodic
from qclient.worker.periodic import PeriodicPuts

START = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


class PeriodicWorker:
    """One worker: what it puts, by a clock that is off by `skew_s`."""

    def __init__(self, world: "World", entries: list[Periodic], skew_s: float = 0) -> None:
        self.world = world
        self.skew = timedelta(seconds=skew_s)
        self.puts = PeriodicPuts(entries, world.put, lambda: world.now + self.skew)
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
        stored: due time, expiry and body of what waits.
        ran: the due times of what was run, with the task's name and when that was.
        is_full: puts are refused.
    """

    def __init__(self) -> None:
        self.now = START
        self.stored: list[tuple[datetime, datetime, Envelope]] = []
        self.keys: dict[str, datetime] = {}
        self.ran: list[tuple[str, datetime, datetime]] = []
        self.heads: list[bytes] = []
        self.duplicates = 0
        self.is_full = False
        self.workers: list[PeriodicWorker] = []

    def begin(self, *entries: Periodic, skew_s: float = 0) -> PeriodicWorker:
        worker = PeriodicWorker(self, list(entries), skew_s)
        self.workers.append(worker)
        return worker

    async def put(self, head: bytes, envelope: Envelope, dedup: str) -> None:
        if self.is_full:
            raise Full("no room")
        self.heads.append(head)
        if self.keys.get(dedup, self.now) > self.now:
            self.duplicates += 1
            return
        due = datetime.fromisoformat(str(option(head, "at")))
        self.keys[dedup] = self.now + seconds(head, "dedup_window")
        self.stored.append((due, self.now + seconds(head, "ttl"), envelope))

    async def until(self, end: datetime) -> None:
        """Let time pass: workers step when they said, messages run when they are due."""
        while True:
            times = [worker.again_at for worker in self.workers]
            if self.workers:
                times += [due for due, _, _ in self.stored]
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
        for _, expires, envelope in sorted(due, key=lambda entry: entry[2].due_ms):
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
