"""Failures become `Retry` after the task's backoff, or `Reject` after its last attempt."""

import asyncio
from typing import Any

from qclient.middleware import CallNext
from qclient.tasks.control import Reject, Release, Retry
from qclient.worker.delivery import Delivery


async def retry(call_next: CallNext, delivery: Delivery) -> Any:
    """Say what becomes of a run that failed.

    Attempts are counted by the message's `failures`, which the server keeps: whoever ran it, and
    however often it was lost or released in between. A task that raises CancelledError although
    nobody cancels it, or SystemExit, has failed as with any other exception.

    Raises:
        Retry: from the exception, with the delay until the next attempt.
        Reject: from the exception, of the last attempt.
    """
    try:
        return await call_next(delivery)
    except (Reject, Release):
        raise
    except (Exception, asyncio.CancelledError, SystemExit) as error:
        if isinstance(error, asyncio.CancelledError) and delivery.cancelled_for is not None:
            raise
        rules = delivery.task.rules
        failures = delivery.failures + 1
        if failures >= rules.max_attempts:
            raise Reject(f"failed {failures} of {rules.max_attempts} times") from error
        after_s = error.after_s if isinstance(error, Retry) else None
        if after_s is None:
            after_s = rules.backoff.delay_s(failures - 1)
        raise Retry(after=after_s) from error
