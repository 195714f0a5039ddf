"""A run that takes longer than the task's `timeout` is cancelled, and fails with TimeoutError.

There is no timer for each run: the worker looks at what is running every 50 ms (`slots.TICK_S`). So
a timeout is never early and at most that late, plus what the loop itself is late.
"""

import asyncio
from typing import Any

from qclient.middleware import CallNext
from qclient.tasks.control import Why
from qclient.worker.delivery import Delivery


async def timeout(call_next: CallNext, delivery: Delivery) -> Any:
    """Give the run its deadline.

    Raises:
        TimeoutError: it was cancelled for that.
    """
    limit_s = delivery.task.rules.timeout_s
    if limit_s is None:
        return await call_next(delivery)
    delivery.expires_at = delivery.began_at + limit_s
    try:
        return await call_next(delivery)
    except asyncio.CancelledError as error:
        if delivery.cancelled_for != Why.TIMEOUT:
            raise
        raise TimeoutError(f"it ran for longer than its timeout of {limit_s:g} s") from error
    finally:
        delivery.expires_at = None
