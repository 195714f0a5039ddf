"""One run of the open loop against a running server."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

PATIENCE_S = 120.0
SOURCES = (Path(__file__).parent / "open_loop.c",)

Quantiles = tuple[float, float, float, float]
"""p50, p99, p99.9 and the longest."""


class OpenLoopError(Exception):
    """The open loop got an answer that it did not expect, or none."""


@dataclass(frozen=True)
class Paced:
    """What one run has shown.

    Latencies are milliseconds from the time at which a PUT was to be sent to its answer.
    """

    took_ms: Quantiles
    late_ms: Quantiles
    """How long after its time a PUT was sent: that is no fault of a server's."""
    left_ms: Quantiles
    """Latency without that, and without the server's own waits for a core."""
    held_up_ms: int
    """In so many milliseconds of the run a PUT was due of which more than 10 ms were left so."""
    busy: float
    """CPU of the server, in shares of a core."""


def paced(
    open_loop: Path,
    port: int,
    pid: int,
    connections: int,
    rate: float,
    seconds: float,
    body_bytes: int,
) -> Paced:
    """PUTs at that rate, for so long.

    Raises:
        OpenLoopError: any of them was not answered with OK.
    """
    words = [open_loop, port, pid, connections, rate, seconds, body_bytes]
    result = subprocess.run(
        list(map(str, words)),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S + seconds,
    )
    if result.returncode:
        raise OpenLoopError(result.stderr.strip())
    found = json.loads(result.stdout)
    return Paced(
        took_ms=_milliseconds(found["took_us"]),
        late_ms=_milliseconds(found["late_us"]),
        left_ms=_milliseconds(found["left_us"]),
        held_up_ms=found["held_up_ms"],
        busy=found["server_cpu_us"] / 1e6 / seconds,
    )


def _milliseconds(microseconds: list[float]) -> Quantiles:
    p50, p99, p999, longest = (each / 1e3 for each in microseconds)
    return p50, p99, p999, longest
