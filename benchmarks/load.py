"""A load generator that costs the server's machine as little as it can, for all benchmarks here.

It starts a real server, sends prebuilt buffers over a plain socket, and counts replies by counting
line ends, so that what it measures is the server: CPU seconds as the kernel counts them for the
server's process, and wall-clock seconds.
"""

import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

READ_BYTES = 1 << 18


class ServerProcess:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, data: Path) -> None:
        self.process = process
        self.port = port
        self.data = data
        self._talks: list[Talk] = []

    def cpu_s(self) -> float:
        """CPU seconds that the process has used so far, user and system together."""
        threads = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((t / "schedstat").read_text().split()[0]) for t in threads) / 1e9

    def rss_bytes(self) -> int:
        """Memory that the process occupies."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def figures(self) -> dict[str, str]:
        """What STATS says."""
        with (
            socket.create_connection(("127.0.0.1", self.port)) as sock,
            sock.makefile("rb") as replies,
        ):
            sock.sendall(b"STATS\nQUIT\n")
            lines = replies.read().decode().splitlines()
        return dict(line[2:].split("=", 1) for line in lines if line.startswith("* "))

    def connect(self) -> "Talk":
        """A new connection, closed when the server is stopped."""
        talk = Talk(socket.create_connection(("127.0.0.1", self.port)))
        self._talks.append(talk)
        return talk

    def stop(self) -> None:
        """Let it end in good order."""
        for talk in self._talks:
            talk.sock.close()
        self.process.terminate()
        self.process.wait(30)
        if self.process.stderr is not None:
            self.process.stderr.close()


class Talk:
    """One connection that counts replies."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, lines: bytes, replies: int) -> bytes:
        """Send lines and read until that many have come back; answers what was read."""
        self.sock.sendall(lines)
        got = []
        while replies > 0:
            data = self.sock.recv(READ_BYTES)
            if not data:
                raise ConnectionError("the server closed the connection")
            replies -= data.count(b"\n")
            got.append(data)
        return b"".join(got)


@contextmanager
def server(*flags: str, data: Path | None = None) -> Iterator[ServerProcess]:
    """A server on a free port, its data in a directory that is removed unless it is given."""
    directory = data or Path(tempfile.mkdtemp(prefix="qserver-bench-"))
    command = [sys.executable, "-m", "qserver", "--port", "0", "--data", str(directory), *flags]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    line = process.stderr.readline()
    try:
        port = json.loads(line)["port"]
    except (ValueError, KeyError):
        raise SystemExit(f"the server did not start: {line.decode()}") from None
    running = ServerProcess(process, port, directory)
    try:
        yield running
    finally:
        running.stop()
        if data is None:
            shutil.rmtree(directory, ignore_errors=True)


def yardstick_ms() -> float:
    """CPU milliseconds of a fixed loop, the best of five: how fast this machine is just now.

    A shared machine can be twice as slow an hour later. Figures of two runs can be compared as
    far as their yardsticks agree.
    """
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        total: dict[int, bytes] = {}
        for number in range(200_000):
            total[number] = b"%d" % number
        best = min(best, time.process_time() - began)
    return best * 1000


def about() -> str:
    """What was measured on: versions and the machine."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("qserver", "uvloop", "msgspec"))
    return (
        f"yardstick {yardstick_ms():.1f} ms, {versions}, Python {platform.python_version()}, "
        f"{os.cpu_count()} CPUs, {platform.system()} {platform.release()}"
    )


def body(size: int) -> bytes:
    """A JSON body of that many bytes."""
    return b'{"n":"' + b"x" * (size - 8) + b'"}'


def now() -> float:
    """Wall-clock seconds for differences."""
    return time.perf_counter()
