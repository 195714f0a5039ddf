"""A real server process, as a user runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE_S = 60.0
"""So long is a silent process waited for before the test fails."""


class QServer:
    """A server on a free port, with its data in the directory. Killed at the end if still there."""

    def __init__(
        self,
        data: Path,
        *flags: str,
        port: int = 0,
        file_bytes_max: int | None = None,
        files_max: int | None = None,
        planted: str = "",
    ) -> None:
        """Start it and wait until it listens, or has ended.

        Args:
            file_bytes_max: the operating system lets no file grow past this.
            files_max: it lets the process open no more files and sockets.
            planted: Python that is run first, to break something.
        """
        self.data = data
        limits = {"fsize": file_bytes_max, "nofile": files_max}
        given = [f"--{name}={limit}" for name, limit in limits.items() if limit is not None]
        limit = ["prlimit", *given] if given else []
        program = ["-c", f"{planted}\nimport qserver.__main__"] if planted else ["-m", "qserver"]
        words = ["--port", str(port), "--data", str(data), *flags]
        self.process = subprocess.Popen(
            [*limit, sys.executable, *program, *words],
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        self.logged: list[dict[str, Any]] = []
        self.port = 0
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.logged.append(json.loads(line))
            if "port" in self.logged[-1]:
                self.port = self.logged[-1]["port"]
                break

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"qserver://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """A plain socket to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def ask(self, lines: bytes) -> bytes:
        """Everything it answers to these lines, until it closes."""
        with self.connect() as sock:
            sock.sendall(lines)
            sock.shutdown(socket.SHUT_WR)
            with sock.makefile("rb") as replies:
                return replies.read()

    def empty(self) -> None:
        """Drop all queues, with their messages and settings."""
        *queues, _ = self.ask(b"LIST\n").splitlines()
        for queue in queues:
            self.ask(b"DROP %b\n" % queue.split()[1])
        assert self.ask(b"LIST\n") == b"OK 0\n"

    def hear(self, event: str) -> None:
        """Read its log until it tells of such an event."""
        assert self.process.stderr is not None
        enough = threading.Timer(PATIENCE_S, self.process.kill)
        enough.start()
        for line in self.process.stderr:
            self.logged.append(json.loads(line))
            if self.logged[-1]["event"].startswith(event):
                break
        else:
            raise AssertionError(f"it never logged {event!r}")
        enough.cancel()

    def send_signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait until it has ended; answers its exit code, with the rest of its log in `logged`."""
        _, rest = self.process.communicate(timeout=PATIENCE_S)
        self.logged += [json.loads(line) for line in rest.splitlines()]
        return self.process.returncode

    def stop(self) -> int:
        """End it in good order."""
        self.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End it as a crash would."""
        self.send_signal(signal.SIGKILL)
        self.wait()


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings of ours."""
    ours = ("QSERVER_", "QCLIENT_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | more
