"""What a task says by raising, and why it was cancelled.

    raise Retry(after=60)       failed for now: again in a minute
    raise Reject("no such user")    will never work: to the dead letters
    raise Release(after=60)     not now: again in a minute, nothing counted
    any other exception         failed: again after the task's backoff, if attempts are left

A cancelled task asks its delivery why: `current().cancelled_for`.
"""

from datetime import timedelta
from enum import StrEnum

from qclient.words import Duration


class Retry(Exception):
    """Raised by a task: it failed for now, try it again.

    It counts as a failure: with the last of the task's `max_attempts` the message becomes dead.

    Args:
        reason: kept with the message, for people.
        after: until the next attempt, seconds or timedelta; the task's backoff by default.
    """

    def __init__(self, reason: str = "", *, after: Duration | None = None) -> None:
        super().__init__(reason)
        self.after_s = after.total_seconds() if isinstance(after, timedelta) else after


class Reject(Exception):
    """Raised by a task: it will never work, so its message goes to the dead letters at once.

    Args:
        reason: kept with the message, for people.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


class Release(Exception):
    """Raised by middleware, or a task: not now, and nobody's fault.

    The message goes back to its own place, for any worker, and nothing is counted, however often.

    Args:
        reason: for people; it is not kept with the message.
        after: until it is delivered again, seconds or timedelta.
    """

    def __init__(self, reason: str = "", *, after: Duration = 1.0) -> None:
        super().__init__(reason)
        self.after_s = after.total_seconds() if isinstance(after, timedelta) else after


class Why(StrEnum):
    """Why a running task is cancelled."""

    TIMEOUT = "timeout"
    """It ran for longer than its `timeout`: a failure."""
    LOST = "lost"
    """Its lease ended: someone else has or will have the message, nothing can be settled here."""
    STOP = "stop"
    """The worker stops and its grace is over: the message is released, nothing is counted."""
