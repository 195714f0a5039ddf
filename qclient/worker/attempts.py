"""Attempts that a queue would cut short: said when a worker starts, not when one is missed.

A task's `max_attempts` and its queue's `max_failures` both hold. The queue's setting is left as it
is: whoever set it may have meant it.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from qclient.client import Client
from qclient.errors import Error
from qclient.tasks.task import Task

logger = logging.getLogger("qclient.worker")


async def warn(client: Client, queues: Iterable[str], tasks: Iterable[Task[..., Any]]) -> None:
    """Log each task of these queues that has more attempts than its queue allows."""
    tasks = list(tasks)
    await asyncio.gather(
        *[
            _warn_of(client, queue, [task for task in tasks if task.queue == queue])
            for queue in queues
        ]
    )


async def _warn_of(client: Client, queue: str, tasks: Iterable[Task[..., Any]]) -> None:
    wanted = {task.name: task.rules.max_attempts for task in tasks}
    if not wanted:
        return
    try:
        allowed = (await client.queue(queue)).max_failures
    except Error as error:
        logger.debug("the settings of queue %s could not be read: %s", queue, error)
        return
    for name, attempts in wanted.items():
        if 0 < allowed < attempts:
            logger.warning(
                "task %s has max_attempts=%d, but queue %s makes a message dead after %d failures; "
                "to allow them: qclient queue %s max_failures=%d",
                name,
                attempts,
                queue,
                allowed,
                queue,
                max(wanted.values()),
            )
