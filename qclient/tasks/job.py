"""What putting a task gives back: where it stands, and what came of it.

    job = await convert.put("film.mkv")
    await job.status()              Status(id=17, state='running', progress=Progress(0.4, 'frames'))
    await job.result(timeout=60)    what the function returned, of a task with `keep_result=`

Who has only the number gets the same from the task: `convert.job(17)`.

    waiting ──► running ──► done ──► gone, `keep_result` later
       ▲           ├──────► gone: done, of a task that keeps no result
       └── retry ──┴──────► dead
"""

from datetime import timedelta
from enum import StrEnum
from time import monotonic
from typing import Any, Final, Generic, TypeVar

import msgspec

from qclient.errors import BadRequest, Closed, Error, NotFound
from qclient.reports import Outcome
from qclient.words import Duration

R = TypeVar("R")

WAIT_S: Final = 600.0
"""One RESULT waits for at most this, and is asked again: less than any server's `wait_max`."""


class State(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    """For its time, for a worker, or for its next attempt."""
    RUNNING = "running"
    """A worker has it."""
    DONE = "done"
    """Its result is kept."""
    DEAD = "dead"
    """Given up: among the dead letters, with the reason."""
    GONE = "gone"
    """Done, and nothing of it is kept; or purged, or never put. The server can't tell which."""


_STATES: Final = {
    "ready": State.WAITING,
    "delayed": State.WAITING,
    "leased": State.RUNNING,
    "done": State.DONE,
    "dead": State.DEAD,
}


class Progress(msgspec.Struct, frozen=True):
    """How far the last attempt has got, as `delivery.progress(…)` said it.

    Attributes:
        fraction: 0 to 1, or None where it was not said.
        text: for people; may be empty. Of a PROGRESS that is none of ours, its JSON.
    """

    fraction: float | None = None
    text: str = ""

    def __str__(self) -> str:
        percent = "" if self.fraction is None else f"{self.fraction:.0%}"
        return " ".join(part for part in (percent, self.text) if part)


class Status(msgspec.Struct, frozen=True):
    """A job as it stood when the server was asked.

    Attributes:
        id: the message's number.
        state: see `State`.
        progress: of the last attempt that said any, or None.
        reason: why it last failed, or why it is dead; None where it never did.
        failures: attempts that failed.
        losses: attempts that were lost with their worker.
        is_delayed: it waits for its time, or for its next attempt; else for a worker.
    """

    id: int
    state: State
    progress: Progress | None = None
    reason: str | None = None
    failures: int = 0
    losses: int = 0
    is_delayed: bool = False

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will be done."""
        return self.state in (State.DONE, State.DEAD, State.GONE)


class JobFailed(Error):
    """A job is dead.

    Attributes:
        id: the message's number.
        reason: the last failure as it is kept with the message: type, text, where it was raised.
    """

    code = "job-failed"

    def __init__(self, number: int, reason: str | None) -> None:
        super().__init__(f"job {number} is dead: {reason or 'nobody said why'}")
        self.id: Final = number
        self.reason: Final = reason


class JobNotEnded(Error, TimeoutError):
    """A job has not ended in the time that it was waited for. It goes on; asking again can help.

    Attributes:
        id: the message's number.
        state: where it stood when the time was over.
    """

    code = "job-not-ended"
    is_retryable = True

    def __init__(self, number: int, state: State, seconds: float | None = None) -> None:
        within = "" if seconds is None else f" within {seconds:g} s"
        super().__init__(f"job {number} is {state}, and has not ended{within}")
        self.id: Final = number
        self.state: Final = state


class Job(msgspec.Struct, Generic[R], frozen=True):
    """A task that was put.

    Attributes:
        id: the message's number, for `peek`.
        queue: where it was put.
        is_duplicate: nothing was stored, since one with this `dedup` key was put before; `id` is
            that one's.
        task: what was put.
    """

    id: int
    queue: str
    is_duplicate: bool = False
    task: Any = None

    async def status(self) -> Status:
        """Where it stands now.

        Raises:
            Closed: the app is not connected.
        """
        try:
            return read_status(await self._outcome(0))
        except NotFound:
            return Status(self.id, State.GONE)

    async def result(self, *, timeout: Duration | None = None) -> R:  # noqa: ASYNC109  as `get`
        """What the function returned, once it has; retries are waited for.

        Each that waits has a connection of its own, of which a client has `waiting_max`.

        Args:
            timeout: how long to wait, seconds or timedelta; for as long as it takes by default.

        Raises:
            JobFailed: it is dead.
            JobNotEnded: it has not ended in time; it goes on. A TimeoutError, too.
            NotFound: it is gone: its result was kept until now, or it was purged.
            BadBody: what is kept is not what the function is annotated to return.
            BadRequest: the task keeps no result.
            Closed: the app is not connected.
        """
        if self.task is not None and self.task.rules.keep_s is None:
            raise BadRequest(f"task {self.task.name!r} keeps no result: @app.task(keep_result=…)")
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        ends_at = None if seconds is None else monotonic() + seconds
        while True:
            left_s = WAIT_S if ends_at is None else max(ends_at - monotonic(), 0.0)
            outcome = await self._outcome(min(left_s, WAIT_S))
            if outcome.has_ended:
                return self.read(outcome)
            if ends_at is not None and monotonic() >= ends_at:
                raise JobNotEnded(self.id, read_status(outcome).state, seconds)

    def read(self, outcome: Outcome[Any]) -> R:
        """The result from what a client's `result(job.id)` answered; for `qclient.sync`.

        Raises:
            JobFailed: it is dead.
            JobNotEnded: it has not ended.
            BadBody: what is kept is not what the function is annotated to return.
        """
        if outcome.state == "dead":
            raise JobFailed(self.id, outcome.reason)
        if outcome.state != "done":
            raise JobNotEnded(self.id, read_status(outcome).state)
        return self.task.returned.read(outcome.raw, self.id)  # type: ignore[no-any-return]

    async def _outcome(self, wait_s: float) -> Outcome[Any]:
        if self.task is None:
            raise Closed("this job was made by hand: task.job(id) makes one that can ask")
        try:
            return await self.task.outlet.result(self.id, wait=wait_s)  # type: ignore[no-any-return]
        except NotFound:
            raise NotFound(f"job {self.id} is gone, or never was") from None


def read_status(outcome: Outcome[Any]) -> Status:
    """A Status from what RESULT answered."""
    return Status(
        outcome.id,
        _STATES.get(outcome.state, State.WAITING),
        read_progress(outcome.progress),
        outcome.reason,
        outcome.failures,
        outcome.losses,
        is_delayed=outcome.state == "delayed",
    )


def read_progress(said: Any) -> Progress | None:
    """What `written_progress` wrote, or what anyone else left with a message."""
    if said is None:
        return None
    if isinstance(said, int | float) and not isinstance(said, bool):
        return Progress(float(said))
    try:
        return msgspec.convert(said, Progress)
    except msgspec.ValidationError:
        return Progress(text=said if isinstance(said, str) else msgspec.json.encode(said).decode())


def written_progress(progress: Progress) -> bytes:
    """As JSON: a number where that says all."""
    said = progress if progress.text or progress.fraction is None else progress.fraction
    return msgspec.json.encode(said)
