"""What metrics say about a run, whichever system they go to.

    how it ended    done, failed, dead, released, lost: the words of the worker's `Counts`
    seconds         how long it ran, of those that ran to an end: done, failed, dead
    latency         from when it could begin to when it began, of first attempts

The latency needs to know when the run could begin: producers whose App has such a middleware write
that into the message (`due_ms`). A first attempt is one without failures and losses, so that no
backoff is measured; what waited for a limit, or was given back to wait, has waited all along. The
producer's clock and the worker's are compared, so they have to agree.
"""

import time

import msgspec

from qclient.tasks.putting import Putting
from qclient.worker.delivery import Delivery
from qclient.worker.outcome import Ending, ending


class Measure(msgspec.Struct, gc=False):
    """Of one run.

    Attributes:
        ended: how.
        seconds: how long it ran, or None.
        latency_s: how long it had to wait before, or None.
    """

    ended: Ending
    seconds: float | None = None
    latency_s: float | None = None


def measured(delivery: Delivery, error: BaseException | None) -> Measure:
    """Of a run that ends now, and raised this or nothing."""
    ended = ending(delivery, error)
    if ended in ("released", "lost"):
        return Measure(ended)
    seconds = time.monotonic() - delivery.began_at
    message = delivery.message
    if not delivery.due_ms or message.failures or message.losses:
        return Measure(ended, seconds)
    return Measure(ended, seconds, max(0.0, time.time() - seconds - delivery.due_ms / 1000))


def timed(putting: Putting) -> None:
    """Have the messages of a put say when they could begin."""
    putting.is_timed = True
