"""Runs of a task through middleware, as a worker's slots do it, with what a test plays inside."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, cast

from qclient.middleware import Middleware, compose
from qclient.settling import Settling
from qclient.tasks import Why
from qclient.worker.delivery import Delivery
from qclient.worker.outcome import Counts, Outcomes
from tests.unit.qclient.client_fakes import until
from tests.unit.qclient.worker.fakes import Bench, Settled

Play = Callable[[], Coroutine[Any, Any, Any]]


def raising(error: BaseException) -> Play:
    async def play() -> None:
        raise error

    return play


async def nothing() -> None:
    """A run that ends well at once."""


async def never() -> None:
    """A run that ends when it is cancelled."""
    await asyncio.get_running_loop().create_future()


async def run(
    middleware: Sequence[Middleware],
    given: Delivery,
    play: Play = nothing,
    why: Why | None = None,
) -> tuple[list[str], Counts]:
    """Run once; cancelled for `why` once it waits. What was settled, and the counts."""
    settled = Settled()
    outcomes = Outcomes(cast("Settling", settled), Counts())
    bench = Bench(1, compose(middleware, lambda _: play()))
    bench.slots._clock = asyncio.get_running_loop().time
    bench.slots._finish = outcomes.finish
    bench.slots.take([given])
    await until(lambda: given.slot is not None)
    if why is not None:
        given.message.is_lost = why == Why.LOST
        bench.slots.cancel(given, why)
    await bench.slots.wait_quiet()
    await bench.slots.close()
    return settled.words, outcomes.counts


class StandingTime:
    """What a module takes for `time` while nothing passes."""

    @staticmethod
    def monotonic() -> float:
        return 1000.0

    @staticmethod
    def time() -> float:
        return 1e9


TIME = StandingTime()
