"""celery with its gevent pool and no results, which nobody asks for; a group over one producer."""
# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator, no-untyped-call"

import os
import time
from typing import Any

from celery import Celery, group

from benchmarks.peer_apps import tally

app = Celery("peer", broker=os.environ["PEER_REDIS"])
app.conf.update(task_ignore_result=True, broker_connection_retry_on_startup=True)


@app.task
def nothing() -> None:
    tally.end(tally.begin())


@app.task
def nap() -> None:
    began_at = tally.begin()
    time.sleep(tally.NAP_S)
    tally.end(began_at)


@app.task
def stamp(sent_at: float) -> None:
    tally.stamp(sent_at)


TASKS: dict[str, Any] = {"nothing": nothing, "nap": nap, "stamp": stamp}


def one(task: str, *args: Any) -> None:
    TASKS[task].delay(*args)


def bulk(task: str, count: int) -> None:
    group(TASKS[task].s() for _ in range(count)).apply_async()
