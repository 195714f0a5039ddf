"""What is due runs once: workers that come, go and have wrong clocks, in simulated time."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qclient.errors import BadRequest
from qclient.reports import Put
from qclient.tasks import App
from qclient.tasks.periodic import REACH, CatchUp, Periodic
from qclient.tasks.schedule import Every
from qclient.worker.periodic import PeriodicPuts
from tests.unit.qclient.worker.fakes import task_of
from tests.unit.qclient.worker.periodic_world import START, World, option, seconds


def every(period_s: float, catch_up: CatchUp = "once", name: str = "tick", **how: Any) -> Periodic:
    return Periodic(task_of(name, **how), Every(period_s), catch_up)


async def test_many_workers_run_each_due_time_once_at_its_time() -> None:
    world = World()
    world.now += timedelta(seconds=50)
    for skew_s in (0, -2, 0.5, 40):
        world.begin(every(300), skew_s=skew_s)
    await world.after(hours=1)
    assert world.dues()[:3] == ["10:05", "10:10", "10:15"]
    assert [due for _, due, _ in world.ran] == [at for _, _, at in world.ran]
    assert len(world.ran) == 12
    assert world.duplicates > 12


async def test_what_is_due_next_waits_at_the_server_while_nobody_works() -> None:
    world = World()
    world.begin(every(3600))
    await world.after(minutes=90)
    world.workers.clear()
    await world.after(minutes=10)
    assert world.dues() == ["11:00"]
    assert [due for due, *_ in world.stored] == [START + timedelta(hours=2)]


@pytest.mark.parametrize(
    ("catch_up", "missed"),
    [("once", ["11:00"]), ("all", ["11:00", "12:00", "13:00"]), ("none", [])],
)
async def test_what_was_missed_is_caught_up_as_the_policy_says(
    catch_up: CatchUp, missed: list[str]
) -> None:
    world = World()
    world.begin(every(3600, catch_up))
    await world.after(minutes=30)
    world.workers.clear()
    await world.after(hours=3)
    world.begin(every(3600, catch_up))
    world.begin(every(3600, catch_up))
    await world.after(minutes=25)
    assert world.dues() == missed
    await world.after(hours=1)
    assert world.dues() == [*missed, "14:00"]


async def test_after_more_than_a_day_all_catches_up_the_last_one() -> None:
    world = World()
    world.begin(every(3600, "all"))
    await world.after(minutes=30)
    world.workers.clear()
    await world.after(hours=40)
    world.begin(every(3600, "all"))
    await world.after(minutes=1)
    dues = sorted(due - START for _, due, _ in world.ran)
    assert dues == [timedelta(hours=hour) for hour in (1, *range(17, 41))]


async def test_a_new_task_has_missed_nothing() -> None:
    for catch_up in ("once", "all", "none"):
        world = World()
        world.now += timedelta(minutes=59)
        world.begin(every(3600, catch_up))
        await world.after(seconds=59)
        assert world.dues() == []


async def test_none_runs_what_is_less_than_a_minute_late() -> None:
    world = World()
    world.begin(every(3600, "none"))
    await world.after(minutes=59)
    world.workers.clear()
    await world.after(seconds=119)
    world.begin(every(3600, "none"))
    await world.after(seconds=2)
    assert world.dues() == ["11:00"]


async def test_a_blocked_worker_catches_up_like_one_that_was_away() -> None:
    cases: tuple[tuple[CatchUp, int], ...] = (("once", 1), ("all", 61))
    for catch_up, ran in cases:
        world = World()
        worker = world.begin(every(1, catch_up))
        await world.after(seconds=1)
        world.now += timedelta(seconds=60)
        await world.after(seconds=0.5)
        assert len(world.ran) == ran
        assert worker.again_at > world.now


async def test_a_lone_worker_whose_clock_is_late_is_told_by_the_server_s() -> None:
    world = World()
    world.begin(every(300), skew_s=-1000)
    await world.after(hours=1, seconds=1)
    assert [due for _, due, _ in world.ran][5:] == [at for _, _, at in world.ran][5:]
    assert len(set(world.ran)) == len(world.ran) >= 11


async def test_a_late_clock_does_not_make_short_periods_late_either() -> None:
    world = World()
    world.begin(every(10), skew_s=-15)
    await world.after(minutes=5)
    assert [at - due for _, due, at in world.ran[3:]] == [timedelta()] * 28


async def test_a_missed_message_that_comes_behind_the_first_put_is_caught_up_at_once() -> None:
    world = World()
    world.begin(every(3600, "all"))
    await world.after(minutes=30)
    world.workers.clear()
    await world.after(hours=3)
    world.duplicates = 0
    await world.begin(every(3600, "all")).step()
    await world.after(seconds=50)
    assert world.dues() == ["11:00", "12:00", "13:00"]
    assert {at - world.ran[0][2] for _, _, at in world.ran} == {timedelta()}
    assert world.duplicates == 0


async def test_what_is_refused_is_put_again_until_its_key_may_not_hold(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for away_s, dues in (
        (900, ["10:05", "10:10", "10:15", "10:25"]),
        (4200, ["10:05", "10:10", "11:20"]),
    ):
        world = World()
        world.begin(every(300))
        await world.after(seconds=310)
        world.is_full = True
        await world.after(seconds=away_s)
        world.is_full = False
        await world.after(minutes=6)
        assert world.dues() == dues
    refused = [record for record in caplog.records if "can't be put" in record.message]
    assert len(refused) == 5


async def test_a_queue_that_was_dropped_gets_its_next_due_time_again() -> None:
    world = World()
    world.begin(every(86400))
    await world.after(minutes=10)
    world.stored.clear()
    world.keys.clear()
    await world.after(days=1)
    assert len(world.ran) == 1


async def test_what_a_purge_took_is_put_again_once_and_runs_at_its_time() -> None:
    world = World()
    for skew_s in (0, -900, 900):
        world.begin(every(86400), skew_s=skew_s)
    for _ in range(3):
        await world.after(minutes=30)
        world.stored.clear()
    world.begin(every(86400))
    await world.after(minutes=2)
    assert len(world.stored) == 1
    await world.after(days=1)
    assert [(due, at - due) for _, due, at in world.ran] == [
        (START + timedelta(hours=14), timedelta())
    ]


async def test_what_is_purged_shortly_before_its_time_may_have_run_and_is_not_put_again() -> None:
    world = World()
    world.begin(every(7200))
    await world.after(minutes=59)
    assert world.looked > 50
    await world.after(minutes=3)
    world.stored.clear()
    await world.after(hours=3)
    assert world.dues() == ["14:00"]


async def test_what_ran_while_it_was_looked_for_is_not_put_again() -> None:
    class Slow(World):
        async def peek(self, id: int) -> None:  # noqa: A002
            self.now += timedelta(minutes=90)
            self.stored.clear()  # another worker has it
            await super().peek(id)

    world = Slow()
    world.begin(every(7200))
    await world.after(minutes=1, seconds=30)
    assert (world.looked, world.stored) == (1, [])


async def test_what_is_due_within_the_hour_is_not_looked_for() -> None:
    world = World()
    world.begin(every(1800))
    world.begin(every(1800))
    await world.after(hours=3)
    assert world.duplicates > 0
    assert world.looked == 0


async def test_a_message_says_how_long_it_and_its_key_hold() -> None:
    world = World()
    world.begin(every(3600, priority=9, queue="reports"), every(3600, "all", "b", ttl=60))
    await world.after(seconds=1)
    once, each = world.heads
    assert once.startswith(b"PUT reports at=2026-11-22T11:00:00Z priority=9 ")
    assert seconds(once, "ttl") == timedelta(days=30, hours=1)
    assert seconds(once, "dedup_window") == timedelta(hours=3)
    assert seconds(each, "ttl") == timedelta(hours=1, seconds=60)
    assert seconds(each, "dedup_window") == timedelta(hours=26)
    assert option(each, "dedup") is None


def test_keys_are_made_of_name_and_time_in_utc() -> None:
    entry = every(0.2)
    assert entry.dedup(START) == "tick@2026-11-22T10:00:00Z"
    assert entry.dedup(START + timedelta(seconds=0.2)) == "tick@2026-11-22T10:00:00.200Z"
    assert entry.envelope(START).due_ms == START.timestamp() * 1000


SKEWS = st.sampled_from([0.0, -1500.0, -20.0, 0.3, 30.0, 1500.0])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), SKEWS),
        st.tuples(st.just("end"), st.integers(0, 3)),
        st.tuples(st.just("pass"), st.sampled_from([0.5, 10.0, 61.0, 900.0, 4000.0])),
        st.tuples(st.just("stall"), st.sampled_from([5.0, 400.0])),
        st.tuples(st.just("full"), st.booleans()),
        st.tuples(st.just("purge"), st.just(0)),
    ),
    max_size=15,
)


@settings(max_examples=100)
@given(STEPS, st.sampled_from(["once", "all", "none"]), st.sampled_from([100.0, 7200.0]))
def test_nothing_runs_twice_whatever_happens(
    steps: list[tuple[str, Any]], catch_up: CatchUp, period_s: float
) -> None:
    async def main() -> None:
        world = World()
        for word, value in steps:
            if word == "begin":
                world.begin(every(period_s, catch_up), skew_s=value)
            elif word == "end" and world.workers:
                del world.workers[value % len(world.workers)]
            elif word == "pass":
                await world.after(seconds=value)
            elif word == "stall":
                world.now += timedelta(seconds=value)
            elif word == "full":
                world.is_full = value
            elif word == "purge":
                world.stored.clear()
        dues = [due for _, due, _ in world.ran]
        assert len(set(dues)) == len(dues)
        assert all(due <= at for _, due, at in world.ran)

    asyncio.run(main())


@settings(max_examples=30)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20000)), max_size=12))
def test_all_leaves_out_nothing_of_the_last_day(steps: list[tuple[bool, int]]) -> None:
    async def main() -> None:
        world = World()
        world.begin(every(600, "all"))
        await world.after(seconds=1)
        for is_working, seconds_passed in steps:
            world.workers.clear()
            if is_working:
                world.begin(every(600, "all"))
            await world.after(seconds=seconds_passed)
        world.workers.clear()
        world.begin(every(600, "all"))
        await world.after(seconds=1)
        kept_from = world.now - REACH["all"]
        dues = sorted(due for _, due, _ in world.ran)
        first = START + timedelta(seconds=600)
        wanted = [first + timedelta(seconds=600 * n) for n in range(500)]
        wanted = [due for due in wanted if kept_from < due < world.now]
        assert [due for due in dues if kept_from < due < world.now] == wanted

    asyncio.run(main())


def test_an_app_lists_what_is_periodic() -> None:
    app = App()

    @app.cron("0 9 * * MON", timezone="Europe/Vienna")
    @app.every(30, catch_up="all")
    @app.task(queue="reports")
    async def report(days: int = 1) -> None: ...

    assert [(each.task.name, str(each)) for each in app.periodic] == [
        ("report", "every 30 s, catch up all"),
        ("report", "0 9 * * MON Europe/Vienna"),
    ]
    assert report is app.tasks["report"]


def test_what_cannot_be_put_by_itself_is_refused() -> None:
    app = App()
    with pytest.raises(BadRequest, match="gives it arguments"):

        @app.every(30)
        @app.task
        async def needs(n: int) -> None: ...

    with pytest.raises(BadRequest, match=r"over @app\.task"):

        @app.every(30)  # type: ignore[type-var]
        async def plain() -> None: ...

    with pytest.raises(BadRequest, match="too long"):

        @app.every(30)
        @app.task(name="n" * 201)
        async def long() -> None: ...

    assert app.periodic == ()


async def test_it_runs_by_the_loop_s_timer_and_ends_when_cancelled() -> None:
    third = asyncio.Event()

    class Watched(World):
        async def put_with(self, *given: Any) -> Put:
            put = await super().put_with(*given)
            if len(self.stored) == 3:
                third.set()
            return put

    world = Watched()
    world.now = datetime.now(UTC)
    run = asyncio.create_task(PeriodicPuts([every(0.05)], world).run())
    async with asyncio.timeout(60):
        await third.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert len({due for due, *_ in world.stored}) == len(world.stored) >= 3
