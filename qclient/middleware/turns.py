"""What limits do with a run that has to wait.

It waits in its place in the worker, if its turn comes within `hold`: a second, if nothing else is
said. Otherwise its message goes back to the queue with nothing counted, for any worker to take, and
this worker leaves the queue alone for about as long: what goes back is ready again at once, and
would only come and go. So a backlog over its limit keeps neither the places of other tasks nor the
server busy.

    a rate          knows when the turn comes: what is too early goes back at once
    a concurrency   can't know: it waits for `hold` first, also in the hope for a run that is short

A queue rests as a whole, so tasks with a limit belong in one of their own. `hold=None` lets each
wait in its place until it can run, which suits a worker that does nothing else; a stop then waits
its grace for them before it gives them back.

The time waited is not part of the run: `timeout` and metrics count from when it began in earnest.
"""

import math
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from qclient.errors import BadRequest
from qclient.words import Duration, duration

if TYPE_CHECKING:
    from qclient.worker.worker import Worker

HOLD_S: Final = 1.0


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
