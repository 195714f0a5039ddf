"""When a periodic task is due: times by a cron expression, or by a period. No clock in here.

    Cron("30 2 * * *", "Europe/Vienna")     half past two, as clocks on the wall there show it
    Every(30)                               whole half minutes

**Clocks that change.** A time of day that a change leaves out is due when the clock has jumped:
02:30 is due at 03:00. One that comes twice is due once, the first time. Expressions with `*` for
the minute or the hour go by what has really passed: `*/30 * * * *` is due every half hour on such a
day too. These are the rules of Debian's cron, and cronsim knows them.

**No drift, no agreement.** Each due time follows from the expression alone, for everyone the same;
periods count from 1970 in UTC. So any number of workers name the same times, whenever they began.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from qclient.errors import BadRequest
from qclient.words import Duration, duration

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
PERIOD_MIN: Final = timedelta(milliseconds=50)


class Schedule(Protocol):
    """Due times, in order."""

    def after(self, moment: datetime) -> datetime:
        """The first due time behind an aware moment, in UTC, in whole milliseconds."""
        ...

    def __str__(self) -> str:
        """For people."""
        ...


class Cron:
    """The times of a cron expression: minute, hour, day of the month, month, day of the week.

    Args:
        expression: `*/5 * * * *`; six fields begin with the second. Days and months may have
            names; `L` is the last day of the month, `MON#1` its first Monday, `5L` its last Friday.
        timezone: by its IANA name, or a tzinfo.

    Raises:
        BadRequest: the expression or the zone can't be read, or no time ever fits it.
    """

    def __init__(self, expression: str, timezone: str | tzinfo = "UTC") -> None:
        self.expression: Final = " ".join(expression.split())
        self.zone: Final = _zone(timezone)
        try:
            self.after(datetime.now(UTC))
        except ValueError as error:
            raise BadRequest(f"not a cron expression: {expression!r}: {error}") from None

    def after(self, moment: datetime) -> datetime:
        """See `Schedule`."""
        for due in self._from(moment.astimezone(self.zone)):
            found = due.astimezone(UTC)
            if found > moment:  # an hour that comes twice may be told from its first time on
                return found
        raise ValueError("no time fits it in 50 years")

    def __str__(self) -> str:
        return f"{self.expression} {self.zone}"

    def _from(self, moment: datetime) -> Iterator[datetime]:
        from cronsim import CronSim, CronSimError  # noqa: PLC0415  only where there are such tasks

        try:
            return CronSim(self.expression, moment)
        except CronSimError as error:
            raise ValueError(str(error)) from None


class Every:
    """The whole multiples of a period since 1970 in UTC.

    Args:
        period: seconds or timedelta, at least 50 ms.

    Raises:
        BadRequest: it is shorter, or no whole number of milliseconds.
    """

    def __init__(self, period: Duration) -> None:
        self.period: Final = timedelta(seconds=float(duration(period, "every")))
        if self.period < PERIOD_MIN or self.period % MILLISECOND:
            raise BadRequest(f"every is 0.05 s or more in whole milliseconds, not {period!r}")

    def after(self, moment: datetime) -> datetime:
        """See `Schedule`."""
        return EPOCH + ((moment - EPOCH) // self.period + 1) * self.period

    def __str__(self) -> str:
        return f"every {self.period.total_seconds():g} s"


def _zone(timezone: str | tzinfo) -> tzinfo:
    if not isinstance(timezone, str):
        return timezone
    if timezone == "UTC":
        return UTC
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise BadRequest(
            f"no time zone {timezone!r} here; "
            "a system without any needs the package tzdata (pip install tzdata)"
        ) from None
