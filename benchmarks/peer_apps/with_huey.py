"""huey with 100 greenlets; `map` puts a list, one by one."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

import os
import time
from typing import Any

from gevent import monkey
from huey import RedisHuey

from benchmarks.peer_apps import tally

if "PEER_TASKS" in os.environ:  # a worker: greenlets want this, the consumer does not do it itself
    monkey.patch_all()

huey = RedisHuey(url=os.environ["PEER_REDIS"])


@huey.task()
def nothing() -> None:
    tally.end(tally.begin())


@huey.task()
def nap() -> None:
    began_at = tally.begin()
    time.sleep(tally.NAP_S)
    tally.end(began_at)


@huey.task()
def stamp(sent_at: float) -> None:
    tally.stamp(sent_at)


TASKS: dict[str, Any] = {"nothing": nothing, "nap": nap, "stamp": stamp}


def one(task: str, *args: Any) -> None:
    TASKS[task](*args)


def bulk(task: str, count: int) -> None:
    TASKS[task].map(() for _ in range(count))
