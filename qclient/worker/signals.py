"""SIGTERM and SIGINT: the first stops a worker in good order, the second leaves now.

The handlers are Python's own, not the loop's, so that they run while a task blocks it. A loop that
does not leave by itself after a second signal is not waited for: what the worker holds is released
from a thread, on a new connection, and the process ends. A third signal ends it there and then.
"""

import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Final

from qclient import verbs
from qclient.dialler import address
from qclient.errors import Error
from qclient.sync.dialler import Dialler

if TYPE_CHECKING:
    from qclient.worker.worker import Worker

logger = logging.getLogger("qclient.worker")

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
LEAVE_S: Final = 1.0
"""How long a second signal waits for the loop."""


@contextmanager
def stopping_on_signals(worker: "Worker") -> Iterator[None]:
    """Within this, the two signals stop the worker. For a program's main thread."""
    count = 0

    def handle(number: int, _frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count == 1:
            worker.stop_soon()
        elif count == 2:  # noqa: PLR2004
            worker.stop_soon(leave=True)
            threading.Thread(target=_force, args=(worker, number), daemon=True).start()
        else:
            os._exit(128 + number)

    before = {each: signal.signal(each, handle) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _force(worker: "Worker", number: int) -> None:
    """End the process, if it is still there."""
    time.sleep(LEAVE_S)
    receipts = worker.receipts()
    logger.warning("the event loop does not leave: %d messages are released", len(receipts))
    with contextlib.suppress(Error):
        release(worker.url, receipts)
    os._exit(128 + number)


def release(url: str, receipts: list[str]) -> None:
    """Release from outside the loop: a receipt is proof enough on any connection."""
    if receipts:
        dial = Dialler(address(url), client=None, session=None, grace=None, connect_timeout=LEAVE_S)
        connection = dial()
        for at in range(0, len(receipts), 500):
            connection.exchange(verbs.release(receipts[at : at + 500]), LEAVE_S)
        connection.close()
