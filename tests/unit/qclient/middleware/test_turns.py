"""Those that have to wait longer than a place can be kept for them."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from qclient.middleware import Middleware, compose
from qclient.middleware.concurrency_limit import ConcurrencyLimit
from qclient.middleware.rate_limit import Rate, RateLimit
from qclient.middleware.turns import AWAY_S_MAX, LINE_MAX, LINE_S, Away
from qclient.tasks import Release
from qclient.worker.delivery import Delivery
from tests.unit.qclient.client_fakes import now, passes, virtual
from tests.unit.qclient.worker.fakes import delivery

LATE_S = 0.02


def test_each_comes_back_behind_the_one_before() -> None:
    away = Away()
    assert [away.next_s(100, 0.5, 2) for _ in range(3)] == [0.5, 2.5, 4.5]
    assert away.next_s(103, 0.5, 2) == 3.5
    assert away.next_s(200, 0.5, 2) == 0.5


def test_those_that_did_not_come_are_not_waited_for() -> None:
    away = Away()
    for _ in range(9):
        away.next_s(100, 0.5, 2)
    away.forget()
    assert away.next_s(100, 0.5, 2) == 0.5


def test_nobody_goes_for_longer_than_the_bound_and_those_past_it_do_not_come_all_at_once() -> None:
    away = Away()
    chances = iter([0.0, 0.5, 1.0])
    line = [away.next_s(0, 0, 1, lambda: next(chances)) for _ in range(int(AWAY_S_MAX) + 4)]
    assert line[-4:] == [AWAY_S_MAX, AWAY_S_MAX, AWAY_S_MAX * 0.75, AWAY_S_MAX * 0.5]
    assert away.next_s(5, 0, 1) == AWAY_S_MAX - 4
    assert AWAY_S_MAX / 2 <= Away().next_s(0, AWAY_S_MAX * 9, 1) <= AWAY_S_MAX


class Queue:
    """Messages that come through a limit until they have run, as a server would give them.

    Attributes:
        began: which message, and when.
        came: how often one came.
        held: the most that were with the worker at once.
    """

    def __init__(self, limit: Middleware, run_s: float = 0.0) -> None:
        async def run(given: Delivery) -> None:
            self.began.append((given.id, now()))
            if run_s:
                await passes(run_s)

        self._chain: Callable[[Delivery], Coroutine[Any, Any, Any]] = compose([limit], run)
        self._held = 0
        self.began: list[tuple[int, float]] = []
        self.came = 0
        self.held = 0

    async def play(self, numbers: Sequence[int]) -> None:
        await asyncio.gather(*[self._message(number) for number in numbers])

    async def _message(self, number: int) -> None:
        while True:
            self.came += 1
            self._held += 1
            self.held = max(self.held, self._held)
            try:
                await self._chain(delivery(number))
            except Release as release:
                self._held -= 1
                await passes(release.after_s + LATE_S)
            else:
                self._held -= 1
                return


@pytest.mark.parametrize("rate", [0.5, 2, 10, 100])
def test_a_backlog_runs_at_its_rate_in_order_and_each_of_it_goes_away_once(rate: float) -> None:
    queue = Queue(RateLimit({"nothing": rate}, clock=now))
    virtual(queue.play(range(100)))
    assert [number for number, _ in queue.began] == list(range(100))
    assert queue.began[-1][1] == pytest.approx(99 / rate, rel=0.02)
    assert queue.came <= 200
    assert queue.held <= LINE_MAX + 2


@pytest.mark.slow
def test_a_high_rate_is_kept_though_all_that_comes_back_is_late() -> None:
    queue = Queue(RateLimit({"nothing": 1000}, clock=now))
    virtual(queue.play(range(1000)))
    assert queue.began[-1][1] == pytest.approx(1, rel=0.05)
    assert queue.held <= 1000 * LINE_S + 2


def test_what_is_put_over_the_rate_for_a_while_finds_its_turn_behind_the_others() -> None:
    queue = Queue(RateLimit({"nothing": Rate(10, burst=5)}, clock=now))

    async def main() -> None:
        async with asyncio.TaskGroup() as puts:
            for at in range(0, 300, 30):
                puts.create_task(queue.play(range(at, at + 30)))
                await passes(1)

    virtual(main())
    assert queue.began[-1][1] == pytest.approx(295 / 10, rel=0.02)
    assert queue.came <= 900


def test_after_a_purge_nobody_waits_for_those_that_are_gone() -> None:
    limit = RateLimit({"nothing": 10}, clock=now)
    gone, new = Queue(limit), Queue(limit)

    async def main() -> float:
        purged = asyncio.ensure_future(gone.play(range(1000)))
        await passes(3)
        purged.cancel()
        await passes(5)
        put_at = now()
        await new.play(range(50))
        return now() - put_at

    assert virtual(main()) == pytest.approx(4.9, abs=0.1)


@pytest.mark.parametrize("run_s", [0.01, 0.1, 3])
def test_a_backlog_keeps_all_the_room_there_is_busy(run_s: float) -> None:
    queue = Queue(ConcurrencyLimit({"nothing": 2}, clock=now), run_s)
    count = 200
    virtual(queue.play(range(count)))
    assert queue.began[-1][1] == pytest.approx((count / 2 - 1) * run_s, rel=0.1)
    assert queue.held <= LINE_MAX + 3


@pytest.mark.slow
def test_a_backlog_of_long_runs_comes_and_goes_slowly() -> None:
    queue = Queue(ConcurrencyLimit({"nothing": 2}, clock=now), 30)
    virtual(queue.play(range(100)))
    assert queue.came <= 100 + 2.5 * queue.began[-1][1]


def test_where_all_may_wait_none_goes_away() -> None:
    for limit in (RateLimit({"nothing": 10}, hold=None, clock=now),
                  ConcurrencyLimit({"nothing": 2}, hold=None, clock=now)):  # fmt: skip
        queue = Queue(limit, 0.1)
        virtual(queue.play(range(60)))
        assert queue.came == queue.held == 60
