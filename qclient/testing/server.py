"""A real server as a process: on a free port of 127.0.0.1, with its data where it is told."""

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from qclient import sync
from qclient.errors import CannotConnect

PATIENCE_S: Final = 20.0
"""How long a start or a stop may take."""

LINES_MAX: Final = 1000
"""The last lines of the log are kept."""

FLAGS: Final = ("--sync", "never")
"""What a test's server is started with: its end loses nothing, and a power cut is not tested."""


class ServerProcess:
    """A server that runs within its block. It is killed at the end, and its data stays.

    Attributes:
        data: its directory.
        port: where it listens; the same after a restart.
        process: the operating system's, for signals.
        log: the last lines it has logged, each decoded.
    """

    def __init__(self, data: Path, *flags: str) -> None:
        """Nothing happens before `start`, which `with` calls.

        Args:
            data: a directory, made if it is not there.
            flags: of `qserver`, besides `FLAGS`, which they overrule.
        """
        self.data: Final = data
        self.port = 0
        self.process: subprocess.Popen[str]
        self.log: deque[dict[str, Any]] = deque(maxlen=LINES_MAX)
        self._flags: Final = (*FLAGS, *flags)
        self._listens = threading.Event()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"qserver://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until clients can connect.

        Raises:
            CannotConnect: it ended instead, or said nothing; with what it logged.
        """
        self._listens.clear()
        self.log.clear()
        words = ["--host", "127.0.0.1", "--port", str(self.port), "--data", str(self.data)]
        words += ["--log-format", "json", "--log-level", "info", *self._flags]
        self.process = subprocess.Popen(  # noqa: S603  our own program
            [sys.executable, "-m", "qserver", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={name: value for name, value in os.environ.items() if name[:8] != "QSERVER_"},
        )
        reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        reader.start()
        self._listens.wait(PATIENCE_S)
        if not self.port or self.process.poll() is not None:
            self.kill()
            reader.join(PATIENCE_S)
            said = "\n".join(str(line.get("event", line)) for line in self.log)
            raise CannotConnect(
                f"no server was started in {self.data}: {said or 'it said nothing'}"
            )

    def stop(self) -> int:
        """End it in good order; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def restart(self, *, kill: bool = True) -> None:
        """End it, by a crash or in good order, and start it again with the same data and port."""
        if kill:
            self.kill()
        else:
            self.stop()
        self.start()

    def empty(self) -> None:
        """Drop all queues: messages, settings, dedup keys. Clients stay connected."""
        with sync.connect(self.url) as client:
            for queue in list(client.queues()):
                client.drop(queue.name)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _read(self, process: subprocess.Popen[str]) -> None:
        """Keep what it logs, so that it never waits for a reader."""
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                try:
                    self.log.append(msgspec.json.decode(line, type=dict[str, Any]))
                except msgspec.DecodeError:  # a usage error, a traceback
                    self.log.append({"event": line.rstrip("\n")})
                if "port" in self.log[-1]:
                    self.port = self.log[-1]["port"]
                    self._listens.set()
        self._listens.set()
