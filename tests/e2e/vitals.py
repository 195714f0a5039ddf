"""What the system says of a process, and the wait for a condition."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.process import PATIENCE_S, QServer


def memory_bytes(server: QServer) -> int:
    """What it has in memory now."""
    return _memory(server, "VmRSS")


def memory_bytes_max(server: QServer) -> int:
    """The most that it ever had."""
    return _memory(server, "VmHWM")


def _memory(server: QServer, name: str) -> int:
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) << 10
    raise AssertionError(name)


def cpu_s(server: QServer) -> float:
    """Seconds that it has computed."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descriptors(server: QServer) -> int:
    """Files and sockets that it has open."""
    return len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))


def figures(server: QServer) -> dict[str, str]:
    """What STATS says."""
    lines = server.ask(b"STATS\n").decode().splitlines()[:-1]
    return dict(line[2:].split("=", 1) for line in lines)


def wait_until(happens: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Fail unless it happens in that time."""
    until = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.01)
