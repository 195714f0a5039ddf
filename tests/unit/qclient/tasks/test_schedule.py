"""When periodic tasks are due: no clock, only arithmetic."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qclient.errors import BadRequest
from qclient.tasks.schedule import Cron, Every, Schedule

VIENNA = ZoneInfo("Europe/Vienna")
MOMENTS = st.integers(946684800, 2208988800).map(lambda at: datetime.fromtimestamp(at, UTC))


def first(schedule: Schedule, moment: str, count: int = 1) -> list[str]:
    """The next due times after a moment in UTC."""
    found = []
    due = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    for _ in range(count):
        due = schedule.after(due)
        found.append(due.isoformat(timespec="minutes").removesuffix("+00:00"))
    return found


def test_a_due_time_is_behind_the_moment_never_at_it() -> None:
    assert first(Cron("*/5 * * * *"), "2026-11-22T10:05", 2) == [
        "2026-11-22T10:10",
        "2026-11-22T10:15",
    ]
    assert first(Cron("*/5 * * * *"), "2026-11-22T10:04:59.999") == ["2026-11-22T10:05"]


def test_a_zone_is_that_of_the_clocks_on_the_wall_there() -> None:
    half_past_two = Cron("30 2 * * *", "Europe/Vienna")
    assert first(half_past_two, "2026-01-10T00:00") == ["2026-01-10T01:30"]
    assert first(half_past_two, "2026-07-10T00:00") == ["2026-07-10T00:30"]
    assert first(Cron("30 2 * * *", VIENNA), "2026-07-10T00:00") == ["2026-07-10T00:30"]


def test_a_time_that_the_clocks_leave_out_is_due_when_they_have_jumped() -> None:
    assert first(Cron("30 2 * * *", VIENNA), "2026-03-28T12:00", 2) == [
        "2026-03-29T01:00",  # 03:00 there, where 02:30 is not
        "2026-03-30T00:30",
    ]


def test_a_time_that_the_clocks_show_twice_is_due_once() -> None:
    assert first(Cron("30 2 * * *", VIENNA), "2026-10-24T12:00", 2) == [
        "2026-10-25T00:30",
        "2026-10-26T01:30",
    ]
    # also for who asks in the hour that comes twice, when it has come the second time
    for minutes in range(31, 150):
        moment = datetime(2026, 10, 25, 0, tzinfo=UTC) + timedelta(minutes=minutes)
        assert Cron("30 2 * * *", VIENNA).after(moment) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_stars_go_by_what_has_really_passed() -> None:
    for day in ("2026-03-29T00:00", "2026-10-25T00:00"):
        dues = first(Cron("*/30 * * * *", VIENNA), day, 8)
        times = [datetime.fromisoformat(due) for due in dues]
        assert {after - before for before, after in pairwise(times)} == {timedelta(minutes=30)}


@given(
    MOMENTS,
    st.sampled_from(["30 2 * * *", "0 */3 * * *", "*/7 * * * *", "0 3 * * SUN", "0 3 L * *"]),
)
def test_who_begins_later_names_the_same_times(moment: datetime, expression: str) -> None:
    cron = Cron(expression, VIENNA)
    second = cron.after(cron.after(moment))
    between = moment + (second - moment) * 0.999
    assert cron.after(between) in {cron.after(moment), second}
    assert cron.after(second - timedelta(milliseconds=1)) == second


def test_periods_are_counted_from_1970_whoever_asks_when() -> None:
    every = Every(30)
    due = datetime(2026, 11, 22, 10, 0, 30, tzinfo=UTC)
    assert every.after(datetime(2026, 11, 22, 10, 0, 0, 1, tzinfo=UTC)) == due
    assert every.after(due) == due + timedelta(seconds=30)
    assert every.after(due.astimezone(VIENNA)) == due + timedelta(seconds=30)


@given(MOMENTS, st.integers(50, 10_000_000))
def test_periods_do_not_drift(moment: datetime, period_ms: int) -> None:
    every = Every(period_ms / 1000)
    due = every.after(moment)
    assert moment < due <= moment + every.period
    assert every.after(due) - due == every.period
    assert due.microsecond % 1000 == 0


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "61 * * * *", "* * * * NOON", "@daily", "0 0 30 2 *", "0 0 31 4 *"],
)
def test_what_is_no_cron_expression_or_never_due_is_refused(expression: str) -> None:
    with pytest.raises(BadRequest, match="not a cron expression"):
        Cron(expression)


def test_a_zone_that_nobody_knows_is_refused() -> None:
    for zone in ("Europe/Wien", "../../etc/passwd", ""):
        with pytest.raises(BadRequest, match="no time zone"):
            Cron("* * * * *", zone)


@pytest.mark.parametrize("period", [0, 0.049, -1, 0.0505, float("inf"), timedelta(microseconds=1)])
def test_a_period_that_is_too_short_or_too_fine_is_refused(period: float | timedelta) -> None:
    with pytest.raises(BadRequest):
        Every(period)


def test_schedules_say_what_they_are() -> None:
    assert str(Cron("30  2 * * *", "Europe/Vienna")) == "30 2 * * * Europe/Vienna"
    assert str(Every(0.2)) == "every 0.2 s"
