"""The end of a server's life, when its surroundings have gone before it."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
from pathlib import Path

from tests.e2e.process import PATIENCE_S, QServer, clean_environment


def test_a_server_whose_log_nobody_reads_any_more_stops_in_good_order(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        assert server.ask(b"PUT q 1\n") == b"OK 1\n"
        assert server.process.stderr is not None
        server.process.stderr.close()
        server.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_S) == 0
        server.process.stderr = None
    (segment,) = tmp_path.glob("journal-*.jsonl")
    assert b'{"op":"stop"' in segment.read_bytes()


def test_a_server_whose_terminal_is_closed_stops_in_good_order(tmp_path: Path) -> None:
    ours, its = pty.openpty()

    def own_the_terminal() -> None:
        os.setsid()
        fcntl.ioctl(its, termios.TIOCSCTTY, 0)

    server = subprocess.Popen(
        [sys.executable, "-m", "qserver", "--port", "0", "--data", str(tmp_path)],
        stdin=its,
        stdout=its,
        stderr=its,
        preexec_fn=own_the_terminal,  # noqa: PLW1509 - no threads here
        env=clean_environment(),
    )
    os.close(its)
    try:
        seen = b""
        while b"Ctrl-C" not in seen:  # the last line of its greeting
            seen += os.read(ours, 1000)
        os.close(ours)  # SIGHUP, and whatever it writes fails
        assert server.wait(PATIENCE_S) == 0
    finally:
        server.kill()
        server.wait()
    (segment,) = tmp_path.glob("journal-*.jsonl")
    assert b'{"op":"stop"' in segment.read_bytes()


def test_a_log_on_a_full_disk_loses_lines_and_holds_nothing_up() -> None:
    program = (
        "from qserver import logs; logs.configure('json', 'info')\n"
        "import structlog; structlog.get_logger().critical('lost'); print('went on')"
    )
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=full, check=False
        )
    assert (result.returncode, result.stdout) == (0, b"went on\n")


def test_a_server_that_is_started_with_no_stderr_serves() -> None:
    program = (
        "import os; os.close(2)\n"
        "import sys; sys.stderr = None  # as where it is closed before Python starts\n"
        "from qserver import logs; logs.configure('auto', 'info')\n"
        "import structlog; structlog.get_logger().info('lost'); print('went on')"
    )
    words = [sys.executable, "-c", program]
    result = subprocess.run(words, stdout=subprocess.PIPE, check=False)
    assert (result.returncode, result.stdout) == (0, b"went on\n")
