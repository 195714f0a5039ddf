"""GETs that wait for several queues, while a turn serves two of them: nobody is overtaken."""

import random

import pytest

from qserver.broker import admin, get, timers
from qserver.broker.message import READY, Message
from qserver.broker.queue import Queue
from qserver.broker.waiter import GetWaiter
from qserver.build import BUILD
from tests.unit.broker.bench import Bench, BenchClient

QUEUES = "abcd"
STEPS = 400


class Waiting(BenchClient):
    """Who waits, and tells what it gets."""

    def __init__(self, crowd: "Crowd", names: list[str], seconds: float) -> None:
        super().__init__()
        self.crowd = crowd
        self.names = names
        self.until = crowd.bench.now + seconds
        self.waiter: GetWaiter | None = None

    def delivered(self, messages: list[Message]) -> None:
        assert self.waiter is not None
        self.crowd.left(self)
        if messages:
            self.crowd.check_order(messages, self.waiter.number)
        else:
            assert self.until <= self.crowd.bench.now
            assert not any(self.crowd.has_something(name) for name in self.names)


class Crowd:
    """A broker, and what random clients see of it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bench = Bench()
        self.waiting: dict[Waiting, None] = {}
        self.last_id = dict.fromkeys(QUEUES, 0)

    def queue(self, name: str) -> Queue | None:
        return self.bench.broker.queues.get(name)

    def has_something(self, name: str) -> bool:
        queue = self.queue(name)
        return queue is not None and not queue.paused and queue.ready.count > 0

    def left(self, client: Waiting) -> None:
        del self.waiting[client]

    def check_order(self, messages: list[Message], number: int) -> None:
        """Each queue is first in, first out, and nobody who waits longer is left in its line."""
        for message in messages:
            name = message.queue.name
            assert message.id > self.last_id[name]
            self.last_id[name] = message.id
            line = list(self.bench.broker.waiters.get(name, ()))
            assert all(waiter.number > number for waiter in line)

    def ask(self, names: list[str], count: int, seconds: float) -> None:
        broker, now = self.bench.broker, self.bench.now
        client = Waiting(self, names, seconds)
        messages = get.get(broker, now, client, names, count, 1e7)
        if messages:
            self.check_order(messages, broker.last_waiter + 1)
        elif seconds or get.is_others_turn(broker, names):
            client.waiter = get.wait(broker, now, client, names, count, 1e7, seconds)
            self.waiting[client] = None
        else:
            assert not any(map(self.has_something, names))

    def step(self) -> None:
        chance, bench = self.random, self.bench
        name = chance.choice(QUEUES)
        what = chance.randrange(100)
        if what < 35:
            names = chance.sample(QUEUES, chance.randint(1, 3))
            self.ask(names, chance.choice([1, 1, 2, 5]), chance.choice([0.0, 0.0, 0.1, 1.0, 5.0]))
        elif what < 70:
            for _ in range(chance.randint(1, 6)):
                bench.put(name)
        elif what < 82:
            admin.pause(bench.broker, name, paused=what < 74)
        elif what < 85:
            admin.purge(bench.broker, name, [READY])
        elif what < 88 and self.waiting:
            client = chance.choice(list(self.waiting))
            assert client.waiter is not None
            client.waiter.forget(bench.broker)
            self.left(client)
        elif what < 94:
            bench.serve()
        else:
            bench.stall(chance.choice([0.02, 0.1, 1.0]))
            timers.tick(bench.broker, bench.now, chance.choice([1, 3, 250]))
        self.check_nobody_is_forgotten()

    def check_nobody_is_forgotten(self) -> None:
        broker = self.bench.broker
        assert broker.waiting == len(self.waiting)
        assert all(name in broker.hungry for name in broker.waiters if self.has_something(name))

    def end(self) -> None:
        for name in QUEUES:
            admin.pause(self.bench.broker, name, paused=False)
        for _ in range(1000):
            self.bench.serve()
        assert not self.bench.broker.hungry
        self.bench.stall(100)
        while self.bench.tick():
            pass
        assert not self.waiting


@pytest.mark.skipif(BUILD == "compiled", reason="a compiled constant can't be set so")
@pytest.mark.parametrize("servings", [1, 2, 7])
@pytest.mark.parametrize("seed", range(12))
def test_who_waits_longest_is_served_first_and_nobody_is_forgotten(
    seed: int, servings: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(get, "SERVINGS_MAX", servings)
    crowd = Crowd(seed)
    for _ in range(STEPS):
        crowd.step()
    crowd.end()
