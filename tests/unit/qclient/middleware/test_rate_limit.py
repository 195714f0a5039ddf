"""At most so many runs in a time."""

import asyncio
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qclient import BadRequest
from qclient.middleware import compose
from qclient.middleware.rate_limit import Bucket, Rate, RateLimit
from qclient.middleware.timeout import timeout
from qclient.tasks import App, Release, Why
from qclient.worker.delivery import Delivery
from qclient.worker.outcome import Counts
from tests.unit.qclient.client_fakes import now, virtual
from tests.unit.qclient.middleware.chains import nothing, run
from tests.unit.qclient.worker.fakes import delivery, task_of

FOREVER = float("inf")


def waits(bucket: Bucket, at: float, count: int, within_s: float = FOREVER) -> list[float | None]:
    return [bucket.take(at, within_s) for _ in range(count)]


def test_tokens_come_one_by_one_after_the_burst() -> None:
    assert waits(Bucket(Rate(2)), 10, 3) == [0, 0.5, 1]
    assert waits(Bucket(Rate(2, burst=3)), 10, 5) == [0, 0, 0, 0.5, 1]
    assert waits(Bucket(Rate(6, per=timedelta(minutes=1))), 10, 3) == [0, 10, 20]


def test_a_bucket_fills_again_and_no_further_than_its_burst() -> None:
    bucket = Bucket(Rate(1, burst=3))
    waits(bucket, 10, 3)
    assert waits(bucket, 12, 3) == [0, 0, 1]
    assert waits(bucket, 999, 4) == [0, 0, 0, 1]


def test_a_token_that_would_come_too_late_is_not_taken() -> None:
    bucket = Bucket(Rate(1))
    assert waits(bucket, 10, 4, within_s=1.5) == [0, 1, None, None]
    assert waits(bucket, 11, 2, within_s=1.5) == [1, None]


@given(
    st.floats(0.1, 100),
    st.integers(1, 10),
    st.lists(st.floats(0, 3), min_size=1, max_size=60),
    st.floats(0, 5),
)
def test_no_stretch_of_time_sees_more_than_its_tokens_and_the_burst(
    rate: float, burst: int, gaps: list[float], within_s: float
) -> None:
    bucket = Bucket(Rate(rate, burst=burst))
    at = 1000.0
    begins: list[float] = []
    for gap in gaps:
        at += gap
        wait_s = bucket.take(at, within_s)
        if wait_s is not None:
            assert wait_s <= within_s
            begins.append(at + wait_s)
    assert begins[:1] == [1000.0 + gaps[0]]
    assert begins == sorted(begins)
    for first, begin in enumerate(begins):
        for count, end in enumerate(begins[first:], start=1):
            assert count <= burst + (end - begin) * rate + 1e-6


@pytest.mark.parametrize("rate", [Rate(0), Rate(-1), Rate(1, per=0), Rate(1, burst=0)])
def test_a_rate_that_makes_no_sense_is_refused(rate: Rate) -> None:
    with pytest.raises(BadRequest, match="a rate has a count, a time and a burst"):
        RateLimit({"nothing": rate})


@pytest.mark.parametrize("hold", [0, timedelta()])
def test_what_would_come_and_go_without_end_is_refused(hold: Any) -> None:
    with pytest.raises(BadRequest, match="hold is more than 0 seconds"):
        RateLimit({"nothing": 1}, hold=hold)


class Runs:
    """Runs of tasks through one limit, all at once; notes when each began or was given back."""

    def __init__(self, limit: dict[str, Any], **options: Any) -> None:
        self.limit = RateLimit(limit, clock=now, **options)
        self.began: list[float] = []
        self.released: list[float] = []
        self.aways: list[float] = []

    async def note(self, given: Delivery) -> None:
        self.began.append(round(now(), 3))
        if given.task.name == "nothing":
            assert given.began_at == pytest.approx(now() if now() > 0.001 else 0)

    async def one(self, name: str) -> None:
        try:
            await compose([self.limit], self.note)(delivery(1, task_of(name)))
        except Release as release:
            self.released.append(round(now(), 3))
            self.aways.append(release.after_s)

    async def all(self, *names: str) -> None:
        await asyncio.gather(*[self.one(name) for name in names])


def test_runs_wait_for_their_turn_and_are_given_back_at_once_when_it_is_too_far() -> None:
    runs = Runs({"nothing": 2}, hold=1)
    virtual(runs.all(*["nothing"] * 5))
    assert runs.began == [0, 0.5, 1]
    assert runs.released == [0, 0]
    assert runs.aways == [1, 1.5]


def test_no_more_wait_than_ten_and_the_others_come_back_when_five_of_them_are_through() -> None:
    runs = Runs({"nothing": 100})
    virtual(runs.all(*["nothing"] * 13))
    assert runs.began[-1] == 0.1
    assert runs.aways == pytest.approx([0.06, 0.07])


def test_without_a_bound_each_waits_until_it_can_run() -> None:
    runs = Runs({"nothing": 0.1}, hold=None)
    virtual(runs.all(*["nothing"] * 4))
    assert (runs.began, runs.released) == ([0, 10, 20, 30], [])


def test_each_task_has_its_own_limit_and_others_have_none() -> None:
    runs = Runs({"nothing": 1, "slow": 0.5}, hold=None)
    virtual(runs.all("nothing", "slow", "free", "free", "nothing", "slow"))
    assert runs.began == [0, 0, 0, 0, 1, 2]


def test_the_time_waited_is_not_part_of_the_timeout() -> None:
    seen: list[float | None] = []

    async def look(given: Delivery) -> None:
        seen.append(given.expires_at)

    async def main() -> None:
        chain = compose([RateLimit({"nothing": 0.1}, hold=None, clock=now), timeout], look)
        task = task_of(timeout=3)
        await asyncio.gather(*[chain(delivery(n, task)) for n in (1, 2)])

    virtual(main())
    assert seen == [3, pytest.approx(13, abs=0.01)]


def test_one_that_is_given_back_is_released_and_nothing_is_counted() -> None:
    limit = RateLimit({"nothing": 0.1}, hold=2, clock=lambda: 100)

    async def main() -> tuple[list[str], Counts]:
        await run([limit], delivery())
        return await run([limit], delivery())

    assert virtual(main()) == (["release 1.1 delay=9"], Counts(released=1))


@pytest.mark.parametrize(("why", "words"), [(Why.STOP, ["release 1.1"]), (Why.LOST, [])])
def test_one_that_waits_can_be_stopped_and_lost(why: Why, words: list[str]) -> None:
    limit = RateLimit({"nothing": 0.001}, hold=None, clock=now)

    async def main() -> tuple[list[str], float]:
        await run([limit], delivery())
        settled, _ = await run([limit], delivery(), nothing, why)
        return settled, now()

    settled, at = virtual(main())
    assert settled == words
    assert at < 10


def test_a_limit_for_a_task_that_is_not_there_is_refused_at_the_start() -> None:
    app = App("shop")
    task_of("send", app)
    worker: Any = SimpleNamespace(app=app)

    async def main() -> None:
        async with RateLimit({"send": 1}).lifespan(worker):
            pass
        with pytest.raises(BadRequest, match="app 'shop' has no task 'sned' to limit"):
            async with RateLimit({"send": 1, "sned": 1}).lifespan(worker):
                pass

    virtual(main())
