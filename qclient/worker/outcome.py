"""What becomes of a message when its run has ended, and why, for who reads LIST and PEEK.

a result                        ACK, or DONE with the result where the task keeps it
Reject                          NACK dead=yes
Retry                           NACK, delay= its own
another exception               NACK, the queue's backoff
Release                         RELEASE, delay= its own: nothing is counted
cancelled for a stop            RELEASE: nothing is counted
cancelled for a lost lease      nothing: the message is someone else's
"""

import asyncio
import logging
import traceback
from typing import Any, Final, Literal

import msgspec

from qclient.errors import BadJson, TooLong
from qclient.message import Message, reason_text
from qclient.settling import Settling
from qclient.tasks.control import Reject, Release, Retry, Why
from qclient.worker.delivery import Delivery
from qclient.worker.keeping import Keeping

logger = logging.getLogger("qclient.worker")

FRAMES_MAX: Final = 6
"""Lines of a traceback that are kept: the innermost ones, of code that is not this package's."""

LATE_S: Final = 0.5
"""How late something can be that was given back for a while: on its way, and in the server."""

_OURS: Final = __file__.rsplit("/", 2)[0]


Ending = Literal["done", "failed", "dead", "released", "lost"]
"""How a run ended, in the words of `Counts`."""


class Counts(msgspec.Struct):
    """How many runs ended how.

    Attributes:
        done: ended well, and acked: also where that came too late, see `Worker.stale`.
        failed: to be tried again.
        dead: given up.
        released: given back, nothing counted: not begun, cancelled because the worker stopped, or
            not for here and now (`Release`).
        lost: their lease ended while they ran or waited.
    """

    done: int = 0
    failed: int = 0
    dead: int = 0
    released: int = 0
    lost: int = 0


class Outcomes:
    """Settles what has run.

    Attributes:
        counts: what came of it all.
        back_at: when the last one will have come back that a run released, by the loop's clock.
    """

    def __init__(self, settling: Settling, counts: Counts, keeping: Keeping | None = None) -> None:
        self.counts = counts
        self.back_at = 0.0
        self._settling = settling
        self._keeping = keeping

    def finish(self, delivery: Delivery, error: BaseException | None) -> None:
        """Settle a delivery that has run."""
        message = delivery.message
        if delivery.reporter is not None:
            delivery.reporter.close()
        ended = ending(delivery, error)
        if ended == "done":
            keep_s = delivery.task.rules.keep_s
            if keep_s is not None:
                self._keep(delivery, keep_s)
                return
            self.counts.done += 1
            self._settling.ack(message, None)
        elif ended == "lost":
            self.counts.lost += 1
        elif ended == "released":
            self.release(message, error.after_s if isinstance(error, Release) else 0)
        else:
            assert error is not None
            self.fail(message, error)

    def _keep(self, delivery: Delivery, keep_s: float) -> None:
        assert self._keeping is not None
        message = delivery.message
        try:
            self._keeping.keep(message, delivery.result, keep_s)
        except (BadJson, TooLong) as error:
            logger.error("%s has run, and is dead: its result can't be kept: %s", delivery, error)  # noqa: TRY400  it is no fault here
            self.fail(message, Reject(f"its result can't be kept: {error}"))
        else:
            self.counts.done += 1

    def fail(self, message: Message[Any], error: BaseException) -> None:
        """Settle what failed."""
        is_dead = isinstance(error, Reject)
        if is_dead:
            self.counts.dead += 1
        else:
            self.counts.failed += 1
        delay = error.after_s if isinstance(error, Retry) else None
        self._settling.nack(message, None, delay=delay, reason=reason(error), dead=is_dead)

    def release(self, message: Message[Any], delay_s: float = 0) -> None:
        """Give back what was not finished, or not begun."""
        self.counts.released += 1
        if delay_s:
            self.back_at = max(self.back_at, asyncio.get_running_loop().time() + delay_s + LATE_S)
        self._settling.release(message, None, delay=delay_s)


def ending(delivery: Delivery, error: BaseException | None) -> Ending:
    """How a run ended that raised this, or nothing."""
    if delivery.message.is_lost:
        return "lost"
    if error is None:
        return "done"
    if isinstance(error, Reject):
        return "dead"
    is_stopped = isinstance(error, asyncio.CancelledError) and delivery.cancelled_for == Why.STOP
    return "released" if is_stopped or isinstance(error, Release) else "failed"


def reason(error: BaseException) -> str:
    """Type, text and the end of the traceback, at most 4,096 bytes.

    Of a Retry or Reject that was made from another exception it is that one which says why.
    """
    cause = error.__cause__
    said = str(error)
    if isinstance(error, Retry | Reject) and cause is not None:
        text = reason(cause)
        return reason_text(f"{text}\n{said}") or text if said and said not in text else text
    if isinstance(error, Retry | Reject) and said:
        first = said
    else:
        first = reason_text(error) or type(error).__name__
    return reason_text("\n".join([first, *_where(error)])) or first


def _where(error: BaseException) -> list[str]:
    """The innermost frames of the user's code, the last call last.

    Of a timeout it is the cancelling that says where it was.
    """
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(_OURS)]
    if not theirs and error.__cause__ is not None:
        return _where(error.__cause__)
    return [f"  {f.filename}:{f.lineno} {f.name}: {f.line}" for f in theirs[-FRAMES_MAX:]]
