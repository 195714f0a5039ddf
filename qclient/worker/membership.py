"""What a worker does differently that is one of several; `crew.py` looks after them.

It knows its number from the environment, and stops when its stdin ends, since then the process that
started it is gone.
"""

import logging
import os
import threading
from typing import Final

import msgspec

from qclient.worker.probe import numbered
from qclient.worker.settings import Settings
from qclient.worker.worker import Worker

logger = logging.getLogger("qclient.worker")

NUMBER: Final = "QCLIENT_WORKER_NUMBER"
"""In the environment of a worker that a crew has started."""


def number() -> int | None:
    """The number of this worker, from 1; None for one that stands alone."""
    told = os.environ.get(NUMBER, "")
    return int(told) if told.isdecimal() else None


def settings_of(settings: Settings, number: int, processes: int) -> Settings:
    """The settings of one of so many: a health file and a port of its own."""
    if processes == 1:
        return settings
    path, port = settings.health_file, settings.health_port
    return msgspec.structs.replace(
        settings,
        health_file=None if path is None else numbered(path, number),
        health_port=None if not port else port + number - 1,
    )


def follow(worker: Worker) -> None:
    """Stop when the process that started this one is gone."""
    threading.Thread(
        target=_wait_orphaned, args=(worker,), name="qclient crew", daemon=True
    ).start()


def _wait_orphaned(worker: Worker) -> None:
    while os.read(0, 1024):
        pass
    logger.warning("the process that started this worker is gone: it stops")
    worker.stop_soon()
