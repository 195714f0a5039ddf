"""What fails is logged, by structlog, and every line that a task logs knows whose it is.

`message`, `task`, `queue` and `attempt` are bound as structlog's context variables
(`structlog.contextvars.merge_contextvars` is among its default processors), for the length of the
run. Runs that end well are not logged unless that is asked for: nobody reads 20,000 lines a second.
"""

import time
from contextvars import ContextVar
from typing import Any, Final

import structlog
from structlog.contextvars import bind_contextvars, unbind_contextvars

from qclient.middleware import CallNext
from qclient.tasks.control import Reject, Release, Retry
from qclient.worker.delivery import Delivery

logger = structlog.stdlib.get_logger("qclient.worker")


def _variables(*names: str) -> tuple[ContextVar[Any], ...]:
    """The variables that structlog has for these names: setting one costs a tenth of binding."""
    tokens = bind_contextvars(**dict.fromkeys(names))
    unbind_contextvars(*names)
    return tuple(tokens[name].var for name in names)


_MESSAGE, _TASK, _QUEUE, _ATTEMPT = _variables("message", "task", "queue", "attempt")


class Logging:
    """Logs runs.

    Args:
        successes: those that end well, too.
    """

    def __init__(self, *, successes: bool = False) -> None:
        self._successes: Final = successes

    async def __call__(self, call_next: CallNext, delivery: Delivery) -> Any:
        """Run, and say how it failed."""
        message = delivery.message
        _MESSAGE.set(message.receipt)
        _TASK.set(delivery.task.name)
        _QUEUE.set(message.queue)
        _ATTEMPT.set(message.failures + 1)
        try:
            result = await call_next(delivery)
        except Retry as error:
            logger.warning("failed, will be tried again", after_s=error.after_s, **_why(error))
            raise
        except Reject as error:
            logger.error("failed for good", exc_info=error.__cause__, **_why(error))  # noqa: TRY400
            raise
        except Release as error:
            logger.debug("given back", **_why(error))
            raise
        except Exception as error:
            logger.warning("failed", exc_info=error)
            raise
        if self._successes:
            seconds = time.monotonic() - delivery.began_at
            logger.info("done", seconds=round(seconds, 3))
        return result


def _why(error: BaseException) -> dict[str, str]:
    cause = error.__cause__
    if cause is None:
        return {"reason": str(error)}
    return {"reason": str(error), "error": repr(cause)} if str(error) else {"error": repr(cause)}


logging = Logging()
