"""What the tasks of every library call: it counts them in the worker's process, writes figures.

No import but the standard library's, since it runs in each library's own environment. Environment:

    PEER_TASKS   how many tasks there are; the last one that ends writes the figures
    PEER_OUT     the file they are written to, as JSON
    PEER_FORKS   set where each task has a process of its own: then each appends its time instead

Log lines below WARNING are off for everyone: several libraries write two for each task.
"""

import itertools
import json
import logging
import os
import struct
import time
from pathlib import Path

NAP_S = 0.01
TIMES = struct.Struct("=dd")
"""When a task began and ended, by the monotonic clock: one record where each task is a process."""

logging.disable(logging.INFO)

_tasks = int(os.environ.get("PEER_TASKS", "0"))
_out = Path(os.environ.get("PEER_OUT", "/dev/null"))
_forks = bool(os.environ.get("PEER_FORKS"))
_ended = itertools.count(1)
_first: list[tuple[float, float]] = []
_delays_ms: list[float] = []


def begin() -> float:
    """A task begins; answers when, for `end`."""
    if not _first:
        _first.append((time.monotonic(), time.process_time()))
    return time.monotonic() if _forks else 0.0


def end(began_at: float) -> None:
    """A task ends."""
    if _forks:
        with _out.open("ab", buffering=0) as file:
            file.write(TIMES.pack(began_at, time.monotonic()))
    elif next(_ended) == _tasks:
        _write()


def stamp(sent_at: float) -> None:
    """A task that was put at that monotonic time begins and ends."""
    now = time.monotonic()
    _delays_ms.append((now - sent_at) * 1000)
    if _forks:
        end(sent_at)
    elif next(_ended) == _tasks:
        _write()


def _write() -> None:
    """All at once, so that who waits for the file never reads half of it."""
    wall_s = cpu_s = 0.0
    if _first:
        wall_s = time.monotonic() - _first[0][0]
        cpu_s = time.process_time() - _first[0][1]
    figures = {"wall_s": wall_s, "cpu_s": cpu_s, "delays_ms": _delays_ms}
    unfinished = _out.with_suffix(".part")
    unfinished.write_text(json.dumps(figures))
    unfinished.rename(_out)
