"""Queues that are left alone for a while."""

import asyncio

import pytest

from qclient.tasks import Release
from qclient.worker.fetching import in_order
from qclient.worker.resting import Resting
from tests.unit.qclient.client_fakes import now, passes, until, virtual
from tests.unit.qclient.worker.fakes import delivery
from tests.unit.qclient.worker.test_fetching import Rig, rig


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_queue_that_rests_is_left_out_until_its_time_is_over() -> None:
    clock = Clock()
    resting = Resting(in_order(("a", "b", "c")), clock)
    resting.rest("b", 5)
    assert list(resting.order()) == ["a", "c"]
    clock.now += 4.9
    assert list(resting.order()) == ["a", "c"]
    clock.now += 0.1
    assert list(resting.order()) == ["a", "b", "c"]
    assert resting.left_s == 0


def test_the_longest_rest_holds() -> None:
    clock = Clock()
    resting = Resting(in_order(("a",)), clock)
    resting.rest("a", 5)
    resting.rest("a", 1)
    clock.now += 2
    assert list(resting.order()) == []
    resting.rest("a", 9)
    clock.now += 8
    assert list(resting.order()) == []


def test_a_get_waits_no_longer_than_until_the_first_is_back() -> None:
    clock = Clock()
    resting = Resting(in_order(("a", "b")), clock)
    assert resting.wait_s(20) == 20
    resting.rest("a", 7)
    resting.rest("b", 3)
    assert (resting.left_s, resting.wait_s(20), resting.wait_s(1)) == (3, 3, 1)
    clock.now += 50
    assert (resting.left_s, resting.wait_s(20)) == (0, 0)


def release(it: Rig, after: float) -> None:
    it.fetching._outcomes.finish(delivery(), Release(after=after))


def queues_asked(it: Rig) -> list[str]:
    return [" ".join(line.split(" ")[1:3]) for line in it.server.sent("GET")]


def test_a_release_has_the_worker_ask_for_other_queues_and_then_for_its_own_again() -> None:
    async def main() -> None:
        async with rig(1) as it:
            it.fetching._resting._order = in_order(("q", "other"))
            await it.put(1)
            await until(lambda: it.counts.done == 1)
            rested_at = now()
            release(it, after=5)
            await it.put(1)
            await passes(1)
            assert it.counts.done == 1
            assert queues_asked(it)[-1].startswith("other wait=")
            await passes(rested_at + 4.9 - now())
            assert it.counts.done == 1
            await until(lambda: it.counts.done == 2)
            assert now() - rested_at == pytest.approx(5, abs=0.01)

    virtual(main())


def test_while_all_queues_rest_nothing_is_asked_and_the_worker_is_well() -> None:
    async def main() -> None:
        async with rig(1) as it:
            await it.put(1)
            await until(lambda: it.counts.done == 1)
            rested_at = now()
            release(it, after=500)
            await passes(30)
            asked = len(it.gets())
            await passes(rested_at + 499.9 - now())
            assert len(it.gets()) == asked
            assert now() - it.fetching.heard_at <= 20
            await it.put(1)
            await until(lambda: it.counts.done == 2)
            assert now() - rested_at == pytest.approx(500, abs=0.01)

    virtual(main())


def test_a_worker_that_ends_when_there_is_nothing_more_waits_for_queues_that_rest() -> None:
    async def main() -> None:
        async with rig(1) as it:
            await it.put(1)
            await until(lambda: it.counts.done == 1)
            release(it, after=60)
            dry = asyncio.create_task(it.fetching.run_dry())
            await passes(50)
            assert not dry.done()
            await passes(40)
            assert dry.done()

    virtual(main())


def test_other_ways_to_end_have_no_queue_rest() -> None:
    async def main() -> None:
        async with rig(1) as it:
            for error in (None, ValueError(), asyncio.CancelledError()):
                it.fetching._outcomes.finish(delivery(), error)
            assert it.fetching._resting.left_s == 0

    virtual(main())
