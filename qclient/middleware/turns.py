"""What limits do with a run that has to wait.

It waits in its place in the worker, for at most `hold_s`; then its message goes back to the queue,
with nothing counted, and comes again. So no run keeps a place for long, and another worker may have
room. Why it is held at all: the server has no release with a delay, so what went back at once would
come again at once, and worker and server would do nothing else. The price is that at most
`concurrency / hold_s` deliveries a second only come and go.

While many wait they take the places of others. So tasks with a limit belong in a queue of their
own, with a worker of its own; there `hold=None` lets each wait until it can run, and a stop waits
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
        raise BadRequest("hold is more than 0 seconds: what goes back at once comes again at once")
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
