"""One run of the load generator against a running server, and the median of several runs."""

import json
import statistics
import subprocess
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

from benchmarks.comparing.plan import Cell
from benchmarks.comparing.serving import FailedError, Running

PATIENCE_S = 600.0


@dataclass(frozen=True)
class Figures:
    """What one run has shown, or the medians of several.

    Latencies are those of a batch: from its first request sent to its last answer, put, get and ack
    together in a cycle. CPU is microseconds a message, of all threads of the server, and of the
    generator.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    server_us: float
    generator_us: float
    generator_share: float
    """Of the wall-clock time that the generator was busy: near 1 it is what was measured."""

    def as_json(self) -> dict[str, float]:
        """Rounded to what the figures are good for."""
        return {name: float(f"{value:.5g}") for name, value in asdict(self).items()}


def drive(
    generator: Path, running: Running, op: str, cell: Cell, messages: int, body_bytes: int
) -> Figures:
    """Run the generator once.

    Raises:
        FailedError: it got an answer that it did not expect, or none.
    """
    words = [running.contestant.protocol, op, running.port, running.process.pid]
    words += [cell.connections, cell.ahead, messages, body_bytes, int(running.every_ack_answered)]
    try:
        result = subprocess.run(
            [str(generator), *map(str, words)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        raise FailedError(f"{op} {cell} is not over after {PATIENCE_S:.0f} s") from None
    if result.returncode:
        raise FailedError(f"{op} {cell}: {result.stderr.strip()}")
    found = json.loads(result.stdout)
    return Figures(
        rate=messages / found["seconds"],
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        p999_ms=found["p999_us"] / 1e3,
        server_us=found["server_cpu_us"] / messages,
        generator_us=found["generator_cpu_us"] / messages,
        generator_share=found["generator_cpu_us"] / 1e6 / found["seconds"],
    )


def median(rounds: Iterable[Figures]) -> Figures:
    """Of each figure by itself."""
    return Figures(*map(statistics.median, zip(*map(astuple, rounds), strict=True)))
