"""What limits do with a run that has to wait.

It waits in its place in the worker, if its turn comes soon: within `hold`, a second if nothing else
is said, and with no more than about ten before it. Otherwise its message goes back to the queue for
about as long as it takes until its turn comes, with nothing counted: each behind the last one that
went. So a backlog over its limit keeps neither the places of other tasks nor the server busy, also
where they share a queue: its messages come once, go, and come again one by one, as they can run.

    a rate          knows when the turn comes
    a concurrency   guesses it, by how long runs take

A turn that is further away than five minutes is not waited for: who looks in by then finds that the
limit was raised, or that those before it are gone. `hold=None` lets each wait in its place until it
can run, however many there are, which suits a worker that does nothing else; a stop then waits its
grace for them before it gives them back.

The time waited is not part of the run: `timeout` and metrics count from when it began in earnest.
"""

import math
import random
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from qclient.errors import BadRequest
from qclient.words import Duration, duration

if TYPE_CHECKING:
    from qclient.worker.worker import Worker

HOLD_S: Final = 1.0

LINE_MAX: Final = 10
"""Runs of one limit that wait in their places: enough that a turn is never left out because the
next message is on its way, few enough to leave the places to others."""

LINE_S: Final = 0.05
"""How long the line of a rate may always be: what is on its way is this late now and then."""

AWAY_S_MAX: Final = 300.0


class Away:
    """Those of one limit that went back to the queue: each comes again behind the last."""

    def __init__(self) -> None:
        self._last_at = -math.inf

    def next_s(
        self,
        now: float,
        soonest_s: float,
        apart_s: float,
        chance: Callable[[], float] = random.random,
    ) -> float:
        """For how long the next one goes.

        Past AWAY_S_MAX there is no line any more, and they come back spread out.

        Args:
            now: monotonic seconds.
            soonest_s: it does not come back before.
            apart_s: how long after the one that went before it.
            chance: a random number from 0 to 1.
        """
        at = max(self._last_at + apart_s, now + soonest_s)
        if at - now > AWAY_S_MAX:
            return AWAY_S_MAX * (1 - chance() / 2)
        self._last_at = at
        return at - now

    def forget(self) -> None:
        """They didn't come: another worker has them, or they were purged."""
        self._last_at = -math.inf


def hold_s(hold: Duration | None) -> float:
    """In seconds; None is for ever.

    Raises:
        BadRequest: it is not more than 0.
    """
    if hold is None:
        return math.inf
    seconds = float(duration(hold, "hold"))
    if not seconds:
        raise BadRequest("hold is more than 0 seconds, or what goes back would come again at once")
    return seconds


def seconds(value: Duration) -> float:
    """Of seconds or a timedelta."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def check_names(worker: "Worker", names: Iterable[str]) -> None:
    """A limit that no task has would limit nothing, and nobody would see it.

    Raises:
        BadRequest: the worker's app has no task of that name.
    """
    for name in names:
        if name not in worker.app.tasks:
            raise BadRequest(f"app {worker.app.name!r} has no task {name!r} to limit")
