"""Bounded concurrency, and cancelling one delivery without touching the next."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from qclient.tasks import Why
from qclient.worker.delivery import Delivery, current
from tests.unit.qclient.client_fakes import passes, until, virtual
from tests.unit.qclient.worker.fakes import Bench, delivery


def playing(count: int, play: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        bench = Bench(count)
        try:
            await play(bench)
            assert not bench.slots.fault.done()
        finally:
            await bench.slots.close()

    virtual(main())


def test_all_run_in_order_and_never_more_than_there_are_places() -> None:
    async def play(bench: Bench) -> None:
        gates = [bench.gate(number) for number in range(1, 8)]
        bench.take(*range(1, 8))
        await until(lambda: len(bench.began) == 3)
        assert (bench.began, bench.slots.running, bench.slots.free) == ([1, 2, 3], 3, -4)
        gates[1].set()
        await until(lambda: len(bench.began) == 4)
        assert bench.began == [1, 2, 3, 4]
        for gate in gates:
            gate.set()
        assert await bench.slots.wait_quiet()
        assert bench.began == [1, 2, 3, 4, 5, 6, 7]
        assert (bench.ended, bench.slots.held) == (dict.fromkeys(range(1, 8)), {})
        assert (bench.slots.ended, bench.rooms, bench.slots.free) == (7, 7, 3)

    playing(3, play)


def test_every_place_is_used_at_once_when_many_come_together() -> None:
    async def play(bench: Bench) -> None:
        await asyncio.sleep(0)  # all are idle
        for number in range(1, 101):
            bench.gate(number)
        bench.take(*range(1, 101))
        for _ in range(10):  # each woken runner wakes two more
            await asyncio.sleep(0)
        assert bench.slots.running == 100
        for gate in bench.gates.values():
            gate.set()
        await bench.slots.wait_quiet()

    playing(100, play)


def test_what_comes_while_others_wait_begins_at_once() -> None:
    async def play(bench: Bench) -> None:
        bench.gate(1)
        bench.take(1)
        await until(lambda: bench.began == [1])
        bench.take(2)
        bench.take(3)
        await until(lambda: len(bench.ended) == 2)
        assert bench.began == [1, 2, 3]
        bench.gates[1].set()
        await bench.slots.wait_quiet()

    playing(2, play)


def test_a_deadline_is_never_early_and_late_by_a_tick_at_most() -> None:
    async def play(bench: Bench) -> None:
        bench.gate(1)
        (given,) = bench.take(1)
        await until(lambda: bench.began == [1])
        given.expires_at = bench.now + 1.0
        bench.now += 0.999
        await passes(0.2)
        assert bench.ended == {}
        bench.now += 0.001
        await passes(0.051)
        assert isinstance(bench.ended[1], asyncio.CancelledError)
        assert given.cancelled_for == Why.TIMEOUT

    playing(1, play)


def test_the_one_behind_a_cancelled_one_runs_unharmed() -> None:
    async def play(bench: Bench) -> None:
        bench.gate(1)
        bench.plays[2] = lambda: passes(1)
        first, _ = bench.take(1, 2)
        await until(lambda: bench.began == [1])
        bench.slots.cancel(first, Why.LOST)
        await bench.slots.wait_quiet()
        assert isinstance(bench.ended[1], asyncio.CancelledError)
        assert bench.ended[2] is None

    playing(1, play)


def test_one_that_swallows_its_cancelling_ends_well_and_the_next_runs_unharmed() -> None:
    async def stubborn() -> None:
        try:
            await passes(10)
        except asyncio.CancelledError:
            await passes(1)

    async def play(bench: Bench) -> None:
        bench.plays[1] = stubborn
        bench.plays[2] = lambda: passes(1)
        first, _ = bench.take(1, 2)
        await until(lambda: bench.began == [1])
        bench.slots.cancel(first, Why.TIMEOUT)
        await bench.slots.wait_quiet()
        assert bench.ended == {1: None, 2: None}

    playing(1, play)


def test_one_that_cancels_its_own_runner_harms_neither_the_next_nor_the_runner() -> None:
    async def cancels_itself() -> None:
        runner = asyncio.current_task()
        assert runner is not None
        runner.cancel()

    async def cancels_later() -> None:
        runner = asyncio.current_task()
        assert runner is not None
        asyncio.get_running_loop().call_later(1, runner.cancel)

    async def play(bench: Bench) -> None:
        bench.take(9)
        await bench.slots.wait_quiet()  # the loop has just had its turn, and none is due
        bench.plays[1] = cancels_itself
        bench.plays[2] = lambda: passes(0.5)
        bench.plays[3] = cancels_later
        bench.take(1, 2, 3)
        await bench.slots.wait_quiet()
        await passes(2)  # the runner is idle when the late cancelling comes
        bench.take(4)
        await bench.slots.wait_quiet()
        assert bench.ended == dict.fromkeys([9, 1, 2, 3, 4])

    playing(1, play)


@pytest.mark.parametrize("why", Why)
def test_what_has_not_begun_is_dropped_when_it_is_cancelled(why: Why) -> None:
    async def play(bench: Bench) -> None:
        gate = bench.gate(1)
        _, second, _ = bench.take(1, 2, 3)
        await until(lambda: bench.began == [1])
        bench.slots.cancel(second, why)
        assert list(bench.slots.held) == ["1.1", "3.3"]
        gate.set()
        await bench.slots.wait_quiet()
        assert bench.began == [1, 3]

    playing(1, play)


def test_dropping_what_is_ready_leaves_what_runs() -> None:
    async def play(bench: Bench) -> None:
        gate = bench.gate(1)
        bench.take(1, 2, 3)
        await until(lambda: bench.began == [1])
        assert [each.id for each in bench.slots.drop_ready()] == [2, 3]
        assert [each.id for each in bench.slots.running_deliveries()] == [1]
        assert not await bench.slots.wait_quiet(0.5)
        gate.set()
        assert await bench.slots.wait_quiet(0.5)
        assert bench.began == [1]

    playing(1, play)


def test_what_waits_too_long_for_a_place_is_told() -> None:
    async def play(bench: Bench) -> None:
        gate = bench.gate(1)
        bench.take(1, 2)
        bench.now += 0.49
        await passes(0.1)
        assert bench.stuck == 0
        bench.now += 0.01
        await passes(0.05)
        assert bench.stuck == 1
        gate.set()
        await bench.slots.wait_quiet()

    playing(1, play)


def test_runs_that_never_wait_give_the_loop_its_turn() -> None:
    async def play(bench: Bench) -> None:
        async def slow() -> None:
            bench.now += 0.001

        bench.plays = dict.fromkeys(range(1, 101), slow)
        turns: list[int] = []

        def turn() -> None:
            turns.append(len(bench.ended))
            if len(bench.ended) < 100:
                asyncio.get_running_loop().call_soon(turn)

        turn()
        bench.take(*range(1, 101))
        await bench.slots.wait_quiet()
        steps = [after - before for before, after in itertools.pairwise(turns)]
        assert max(steps) <= 4

    playing(1, play)


def test_what_a_run_binds_in_its_context_is_gone_in_the_next() -> None:
    bound: ContextVar[str] = ContextVar("bound", default="")
    seen: list[Any] = []

    async def binds() -> None:
        seen.append((current().id, bound.get()))
        bound.set("left over")
        await passes(0.1)
        seen.append((current().id, bound.get()))

    async def play(bench: Bench) -> None:
        bench.plays = {1: binds, 2: binds}
        bench.take(1, 2)
        await bench.slots.wait_quiet()
        assert seen == [(1, ""), (1, "left over"), (2, ""), (2, "left over")]

    playing(1, play)


def test_a_fault_of_ours_is_told_and_not_buried() -> None:
    async def main() -> None:
        bench = Bench(1)

        def broken(given: Delivery, error: BaseException | None) -> None:
            raise AssertionError("broken")

        bench.slots._finish = broken
        bench.slots.take([delivery()])
        with pytest.raises(AssertionError, match="broken"):
            await bench.slots.fault

    virtual(main())


def test_a_task_that_exits_ends_itself_only() -> None:
    async def exits() -> None:
        raise SystemExit(3)

    async def play(bench: Bench) -> None:
        bench.plays[1] = exits
        bench.take(1, 2)
        await bench.slots.wait_quiet()
        assert isinstance(bench.ended[1], SystemExit)
        assert bench.ended[2] is None

    playing(1, play)
