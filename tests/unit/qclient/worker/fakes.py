"""Deliveries without a server, and a clock that is a number."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from qclient.backoff import Backoff
from qclient.message import Message, anything
from qclient.tasks import App, Task
from qclient.worker.delivery import Delivery
from qclient.worker.slots import Run, Slots


async def _nothing() -> None:
    """What a task does whose run a test plays."""


def task_of(name: str = "nothing", app: App | None = None, **rules: Any) -> Task[..., Any]:
    rules.setdefault("backoff", Backoff(first_s=2, max_s=8, random=lambda: 1.0))
    made: Task[..., Any] = (app or App()).task(name=name, **rules)(_nothing)
    return made


class Settled:
    """Notes what was settled, in words."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.reasons: list[str | None] = []

    def ack(self, message: Message[Any], waiter: object) -> None:
        self.words.append(f"ack {message.receipt}")

    def release(self, message: Message[Any], waiter: object, *, delay: float = 0) -> None:
        self.words.append(f"release {message.receipt}{f' delay={delay:g}' if delay else ''}")

    def nack(
        self, message: Message[Any], waiter: object, *, delay: Any, reason: str | None, dead: bool
    ) -> None:
        options = "" if delay is None else f" delay={delay:g}"
        self.words.append(f"nack {message.receipt}{options}{' dead' if dead else ''}")
        self.reasons.append(reason)


def message(number: int, raw: bytes = b'{"task":"nothing"}', **metadata: Any) -> Message[Any]:
    return Message(f"{number}.{number}", "q", raw, anything, **metadata)


def delivery(number: int = 1, task: Task[..., Any] | None = None, **metadata: Any) -> Delivery:
    return Delivery(message(number, **metadata), task or task_of())


class Bench:
    """Slots whose runs a test plays: `plays` maps a delivery's id to what it does."""

    def __init__(self, count: int, run: Run | None = None) -> None:
        self.now = 100.0
        self.began: list[int] = []
        self.ended: dict[int, BaseException | None] = {}
        self.rooms = 0
        self.stuck = 0
        self.plays: dict[int, Callable[[], Coroutine[Any, Any, Any]]] = {}
        self.gates: dict[int, asyncio.Event] = {}
        self.slots = Slots(
            count, run or self._run, self._finish, self._on_room, self._on_stuck, lambda: self.now
        )

    def take(self, *numbers: int) -> list[Delivery]:
        made = [delivery(number) for number in numbers]
        self.slots.take(made)
        return made

    def gate(self, number: int) -> asyncio.Event:
        """This one waits for the test."""
        event = self.gates[number] = asyncio.Event()
        return event

    async def _run(self, given: Delivery) -> Any:
        self.began.append(given.id)
        if given.id in self.gates:
            await self.gates[given.id].wait()
        if given.id in self.plays:
            return await self.plays[given.id]()
        return None

    def _finish(self, given: Delivery, error: BaseException | None) -> None:
        self.ended[given.id] = error

    def _on_room(self) -> None:
        self.rooms += 1

    def _on_stuck(self) -> None:
        self.stuck += 1
