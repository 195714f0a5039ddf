"""rq: a worker runs one job at a time, each in a fork; `enqueue_many` in pipelines of 1,000."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

import os
import time
from typing import Any

from redis import Redis
from rq import Queue

from benchmarks.peer_apps import tally

AT_ONCE = 1000
queue = Queue(connection=Redis.from_url(os.environ["PEER_REDIS"]))


def nothing() -> None:
    tally.end(tally.begin())


def nap() -> None:
    began_at = tally.begin()
    time.sleep(tally.NAP_S)
    tally.end(began_at)


def stamp(sent_at: float) -> None:
    tally.stamp(sent_at)


TASKS: dict[str, Any] = {"nothing": nothing, "nap": nap, "stamp": stamp}


def one(task: str, *args: Any) -> None:
    queue.enqueue(TASKS[task], *args)


def bulk(task: str, count: int) -> None:
    left = count
    while left:
        some = min(left, AT_ONCE)
        queue.enqueue_many([Queue.prepare_data(TASKS[task]) for _ in range(some)])
        left -= some
