"""dramatiq: threads; a group is put message by message."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

import os
import time
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.peer_apps import tally

dramatiq.set_broker(RedisBroker(url=os.environ["PEER_REDIS"]))


@dramatiq.actor
def nothing() -> None:
    tally.end(tally.begin())


@dramatiq.actor
def nap() -> None:
    began_at = tally.begin()
    time.sleep(tally.NAP_S)
    tally.end(began_at)


@dramatiq.actor
def stamp(sent_at: float) -> None:
    tally.stamp(sent_at)


TASKS: dict[str, Any] = {"nothing": nothing, "nap": nap, "stamp": stamp}


def one(task: str, *args: Any) -> None:
    TASKS[task].send(*args)


def bulk(task: str, count: int) -> None:
    dramatiq.group([TASKS[task].message() for _ in range(count)]).run()
