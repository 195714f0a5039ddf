"""At most so many runs at once."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from qclient import BadRequest
from qclient.middleware import compose
from qclient.middleware.concurrency_limit import RUN_S, ConcurrencyLimit, Limit
from qclient.tasks import App, Release, Why
from qclient.worker.delivery import Delivery
from qclient.worker.outcome import Counts
from tests.unit.qclient.client_fakes import now, passes, virtual
from tests.unit.qclient.middleware.chains import nothing, run
from tests.unit.qclient.worker.fakes import delivery, task_of


class Runs:
    """Runs of a second each, all at once; notes when each ended, and how many were inside."""

    def __init__(self, limits: Mapping[str, Limit | int], **options: Any) -> None:
        self.limit = ConcurrencyLimit(limits, clock=now, **options)
        self.inside: dict[Any, int] = {}
        self.most: dict[Any, int] = {}
        self.ended: list[tuple[int, int]] = []
        self.released: list[tuple[int, int]] = []
        self.aways: list[float] = []

    async def second(self, given: Delivery) -> None:
        key = given.args[0] if given.args else given.kwargs.get("customer")
        self.inside[key] = self.inside.get(key, 0) + 1
        self.most[key] = max(self.most.get(key, 0), self.inside[key])
        await passes(1)
        self.inside[key] -= 1
        if given.args[1:] == ("fails",):
            raise ValueError
        self.ended.append((given.id, round(now())))

    async def one(self, given: Delivery) -> None:
        try:
            await compose([self.limit], self.second)(given)
        except Release as release:
            self.released.append((given.id, round(now())))
            self.aways.append(release.after_s)
        except ValueError:
            pass

    def play(self, *given: Delivery) -> None:
        async def main() -> None:
            await asyncio.gather(*[self.one(each) for each in given])

        virtual(main())
        assert self.limit._rooms == {}


def sync_task() -> Any:
    async def sync(customer: str, mode: str = "", /, *, fast: bool = False) -> None: ...

    return App().task(sync)


def keyed(number: int, *args: Any, **kwargs: Any) -> Delivery:
    made = delivery(number, SYNC)
    made.args, made.kwargs = args, kwargs
    return made


SYNC = sync_task()


def test_no_more_run_at_once_and_the_others_follow_in_order() -> None:
    runs = Runs({"nothing": 2}, hold=None)
    runs.play(*[delivery(number) for number in range(1, 6)])
    assert runs.ended == [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)]
    assert runs.most == {None: 2}


def test_what_waits_too_long_is_given_back() -> None:
    runs = Runs({"nothing": 1}, hold=2.5)
    runs.play(*[delivery(number) for number in range(1, 6)])
    assert runs.ended == [(1, 1), (2, 2), (3, 3)]
    assert sorted(runs.released) == [(4, 2), (5, 2)]
    assert runs.aways == pytest.approx([0.75, 1.25], abs=0.01)


def test_no_more_wait_than_ten_and_the_others_come_back_when_half_of_them_are_through() -> None:
    runs = Runs({"nothing": 2}, hold=30)
    runs.play(*[delivery(number) for number in range(14)])
    assert runs.released == [(12, 0), (13, 0)]
    assert runs.aways == pytest.approx([5.5 * RUN_S / 2, 6.5 * RUN_S / 2], abs=0.001)


def test_how_long_runs_take_is_learned_and_one_that_runs_tells_already() -> None:
    runs = Runs({"nothing": 1}, hold=30)

    async def main() -> None:
        first = asyncio.ensure_future(runs.one(delivery(0)))
        await passes(0.5)
        others = [runs.one(delivery(number)) for number in range(1, 12)]
        await asyncio.gather(first, *others)

    virtual(main())
    assert runs.aways == pytest.approx([5.5 * 0.5], abs=0.01)
    assert runs.limit._run_s["nothing"] == pytest.approx(1, abs=0.3)


def test_as_many_may_wait_as_may_run() -> None:
    runs = Runs({"nothing": 12}, hold=1.5)
    runs.play(*[delivery(number) for number in range(25)])
    assert [number for number, _ in runs.released] == [24]


def test_other_tasks_have_no_limit() -> None:
    runs = Runs({"other": 1})
    runs.play(*[delivery(number) for number in range(1, 6)])
    assert runs.most == {None: 5}


@pytest.mark.parametrize("key", ["customer", lambda given: given.args[0]])
def test_a_limit_can_be_of_each_key(key: Any) -> None:
    runs = Runs({"sync": Limit(1, key=key)}, hold=None)
    runs.play(keyed(1, "a"), keyed(2, "a"), keyed(3, "b"), keyed(4, "b", "x"), keyed(5, "c"))
    assert runs.ended == [(1, 1), (3, 1), (5, 1), (2, 2), (4, 2)]
    assert runs.most == {"a": 1, "b": 1, "c": 1}


def test_an_argument_is_found_by_place_by_name_and_by_default() -> None:
    async def mixed(first: int, customer: str = "a") -> None: ...

    task = App().task(mixed)
    by_place, by_name, by_default = (delivery(number, task) for number in (1, 2, 3))
    again = delivery(4, task)
    by_place.args = 7, "b"
    by_name.args, by_name.kwargs = (8,), {"customer": "b"}
    by_default.args = (9,)
    again.args = 7, "a"
    runs = Runs({"mixed": Limit(1, key="customer")}, hold=None)
    runs.play(by_place, by_name, by_default, again)
    assert runs.ended == [(1, 1), (3, 1), (2, 2), (4, 2)]


def test_tasks_do_not_share_their_room() -> None:
    runs = Runs({"nothing": 1, "other": 1}, hold=None)
    runs.play(
        *[delivery(number, task_of(name)) for number, name in enumerate(["nothing", "other"])]
    )
    assert runs.ended == [(0, 1), (1, 1)]


def test_a_run_that_fails_makes_room() -> None:
    runs = Runs({"sync": 1}, hold=None)
    runs.play(keyed(1, "a", "fails"), keyed(2, "a"))
    assert runs.ended == [(2, 2)]


def test_the_time_waited_is_not_part_of_the_run() -> None:
    first, second = delivery(1), delivery(2)
    Runs({"nothing": 1}, hold=None).play(first, second)
    assert first.began_at == 0
    assert second.began_at == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    ("why", "words", "counts"),
    [
        (None, ["release 1.1 delay=1"], Counts(released=1)),
        (Why.STOP, ["release 1.1"], Counts(released=1)),
        (Why.LOST, [], Counts(lost=1)),
    ],
)
def test_one_that_waits_is_given_back_stopped_or_lost(
    why: Why | None, words: list[str], counts: Counts
) -> None:
    limit = ConcurrencyLimit({"nothing": 1}, hold=5, clock=lambda: round(now()) / 6)

    async def main() -> tuple[list[str], Counts]:
        chain = compose([limit], lambda _: passes(60))
        first = asyncio.ensure_future(chain(delivery(9)))
        await passes(1)
        found = await run([limit], delivery(), nothing, why)
        assert now() < 10
        await first
        assert limit._rooms == {}
        return found

    assert virtual(main()) == (words, counts)


def test_one_that_was_stopped_while_it_waited_leaves_its_turn_to_the_next() -> None:
    limit = ConcurrencyLimit({"nothing": 1}, hold=None)

    async def main() -> float:
        chain = compose([limit], lambda _: passes(1))
        first, second, third = (asyncio.ensure_future(chain(delivery(n))) for n in (1, 2, 3))
        await passes(0.5)
        second.cancel()
        await asyncio.gather(first, third)
        return now()

    assert virtual(main()) == pytest.approx(2, abs=0.1)


def test_a_limit_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(BadRequest, match="the limit of task 'nothing' is 1 or more, not 0"):
        ConcurrencyLimit({"nothing": 0})
    with pytest.raises(BadRequest, match="hold is more than 0 seconds"):
        ConcurrencyLimit({"nothing": 1}, hold=0)


def test_a_limit_for_a_task_or_an_argument_that_is_not_there_is_refused_at_the_start() -> None:
    worker: Any = SimpleNamespace(app=SYNC._app)

    async def start(limits: dict[str, Limit | int]) -> None:
        async with ConcurrencyLimit(limits).lifespan(worker):
            pass

    virtual(start({"sync": Limit(1, key="customer")}))
    virtual(start({"sync": Limit(1, key=lambda _: 1)}))
    with pytest.raises(BadRequest, match="app 'app' has no task 'snyc' to limit"):
        virtual(start({"snyc": 1}))
    with pytest.raises(BadRequest, match="task 'sync' has no argument 'client' to limit by"):
        virtual(start({"sync": Limit(1, key="client")}))
