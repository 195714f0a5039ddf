"""The innermost part of a run: the task's function, on the loop, in a thread or a process."""

import os
from collections.abc import Coroutine
from typing import Any

from qclient.worker.delivery import Delivery
from qclient.worker.processes import Processes
from qclient.worker.settings import Settings
from qclient.worker.threads import Threads


class Runs:
    """Calls functions. Threads and processes are started when they are needed."""

    def __init__(self, settings: Settings) -> None:
        self._threads = Threads(settings.task_threads or settings.concurrency)
        self._processes = Processes(settings.task_processes or os.cpu_count() or 1)

    def run(self, delivery: Delivery) -> Coroutine[Any, Any, Any]:
        """The coroutine that runs a delivery's function."""
        task = delivery.task
        function = task.function
        where = task.rules.where
        if where == "loop":
            result = function(*delivery.args, **delivery.kwargs)
            return result if task.is_async else _value(result)
        if where == "thread":
            return self._threads.run(function, delivery.args, delivery.kwargs)
        place = function.__module__, function.__qualname__
        return self._processes.run(*place, delivery.args, delivery.kwargs)

    def close(self) -> None:
        """End threads and processes."""
        self._threads.close()
        self._processes.close()


async def _value(value: Any) -> Any:
    return value
