"""The clocks that a server reads: the only place where time comes in.

Everything below is told what time it is. A simulation gives a server clocks of its own.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from qserver.broker import timers
from qserver.broker.broker import Broker

log = structlog.get_logger("qserver")


@dataclass(frozen=True, slots=True)
class Clock:
    """Two clocks.

    Attributes:
        monotonic: seconds that only grow: leases, waits, timers.
        wall: seconds since 1970, as people set it: what is written down.
        boot: with what the monotonic clock began, so that a later process can tell whether its own
            is the same one; empty if that can't be told.
    """

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    boot: str = ""


def clock_of_this_machine() -> Clock:
    """The clocks that people and the kernel have here."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = Path("/proc/self/ns/time").stat().st_ino  # each has its own monotonic clock
    except OSError:  # another system than Linux
        return Clock()
    return Clock(boot=f"{boot}:{namespace}")


def follow_wall_clock(clock: Clock, broker: Broker) -> bool:
    """Answer whether the wall clock was set, at a start: while the server was away; go by it."""
    moved = timers.clock_checked(broker, clock.monotonic(), clock.wall())
    if moved:
        log.warning(
            "the wall clock was set: delays follow it, leases and waits don't",
            moved_s=round(moved, 3),
        )
    return bool(moved)
