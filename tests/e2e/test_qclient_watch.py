"""`qclient top` and `qclient tail` against a real server, as a user watches them."""

import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.e2e.process import PATIENCE_S, QServer
from tests.e2e.test_qclient_cli import COMMAND, Run, environment, on_terminal, runner
from tests.e2e.worker_process import wait_until

OTHER_SCREEN, OWN_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
CURSOR_HIDDEN, CURSOR_SHOWN = b"\x1b[?25l", b"\x1b[?25h"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QServer]:
    with QServer(tmp_path / "data") as running:
        yield running


@pytest.fixture
def run(server: QServer) -> Run:
    return runner(server)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, server: QServer, *words: str) -> None:
        self.ours, self.theirs = pty.openpty()
        self.found = termios.tcgetattr(self.theirs)
        self.shown = b""
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *COMMAND, *words],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={**environment(server), "TERM": "xterm", "LINES": "30"},
        )

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
        self.process.wait(PATIENCE_S)
        os.close(self.ours)
        os.close(self.theirs)

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def read_until(self, condition: Callable[[bytes], bool]) -> bytes:
        """What is drawn from now on, until it is so."""
        gives_up_at = time.monotonic() + PATIENCE_S
        began = len(self.shown)
        while not condition(self.shown[began:]):
            assert time.monotonic() < gives_up_at, self.shown[began:].decode()
            if select.select([self.ours], [], [], 0.05)[0]:
                self.shown += os.read(self.ours, 65536)
        return self.shown[began:]

    def wait(self) -> int:
        """Its exit code, once it has ended; what it drew last is read."""
        self.read_until(lambda _: self.process.poll() is not None)
        while select.select([self.ours], [], [], 0)[0]:
            self.shown += os.read(self.ours, 65536)
        return self.process.returncode

    @property
    def is_as_found(self) -> bool:
        return (
            termios.tcgetattr(self.theirs) == self.found
            and self.shown.rindex(OWN_SCREEN) > self.shown.rindex(OTHER_SCREEN)
            and self.shown.rindex(CURSOR_SHOWN) > self.shown.rindex(CURSOR_HIDDEN)
        )


@pytest.mark.slow
@pytest.mark.parametrize("leave", [b"q", b"\x03", signal.SIGTERM])
def test_top_shows_the_server_and_leaves_the_terminal_as_it_was(
    server: QServer, run: Run, leave: bytes | signal.Signals
) -> None:
    run("put", "mail", stdin=b"1\n" * 12)
    with Terminal(server, "top", "--interval", "100ms") as terminal:
        shown = terminal.read_until(lambda shown: b"mail" in shown and b"waits for" in shown)
        assert OTHER_SCREEN in shown
        (line,) = [line for line in shown.decode("utf-8", "replace").split("\n") if "mail" in line]
        assert line.split()[1] == "12"
        assert termios.tcgetattr(terminal.theirs) != terminal.found
        server.ask(b"PUT post 1\n")
        terminal.read_until(lambda shown: b"post" in shown)
        if isinstance(leave, bytes):
            terminal.type(leave)
        else:
            terminal.process.send_signal(leave)
        assert (terminal.wait(), terminal.is_as_found) == (0, True)
        assert b"Traceback" not in terminal.shown


@pytest.mark.slow
def test_top_says_that_the_server_is_gone_and_goes_on_when_it_is_back(
    tmp_path: Path, server: QServer
) -> None:
    with Terminal(server, "top", "--interval", "100ms") as terminal:
        terminal.read_until(lambda shown: b"connections" in shown)
        server.kill()
        terminal.read_until(lambda shown: b"no answer from" in shown)
        with QServer(tmp_path / "data", port=server.port) as again:
            again.ask(b"PUT fresh 1\n")
            terminal.read_until(lambda shown: b"fresh" in shown and b"sync always" in shown)
            terminal.type(b"q")
            assert (terminal.wait(), terminal.is_as_found) == (0, True)


def test_top_that_is_suspended_gives_the_screen_back_and_takes_it_again(server: QServer) -> None:
    with Terminal(server, "top", "--interval", "100ms") as terminal:
        terminal.read_until(lambda shown: b"connections" in shown)
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.read_until(lambda shown: OWN_SCREEN in shown)
        assert os.waitpid(terminal.process.pid, os.WUNTRACED)[1] != 0  # it is stopped
        assert terminal.is_as_found
        terminal.process.send_signal(signal.SIGCONT)
        terminal.read_until(lambda shown: OTHER_SCREEN in shown and b"connections" in shown)
        terminal.type(b"q")
        assert (terminal.wait(), terminal.is_as_found) == (0, True)


def test_top_of_no_server_says_so_and_leaves_the_terminal_alone(server: QServer) -> None:
    with Terminal(server, "-u", "127.0.0.1:1", "top") as terminal:
        assert terminal.wait() == 3
        assert b"is qserver running?" in terminal.shown
        assert OTHER_SCREEN not in terminal.shown


@pytest.mark.slow
def test_top_once_is_one_table_or_one_line_with_rates(server: QServer, run: Run) -> None:
    run("put", "mail", stdin=b"1\n2\n")
    found = run("top", "--once", "--interval", "100ms")
    assert (found.returncode, found.stderr) == (0, b"")
    shown = json.loads(found.stdout)
    assert shown["rates"]["put_per_s"] == 0
    assert [(row["name"], row["ready"]) for row in shown["queues"]] == [("mail", 2)]
    assert shown["clients"][0]["connections"] == 1
    table = on_terminal(server, "top", "--once", "--interval", "100ms")
    assert ("net/s" in table, "mail" in table) == (True, True)


def test_top_once_has_seen_the_busiest_of_thousands_of_queues(server: QServer, run: Run) -> None:
    puts = b"".join(b"PUT q%04d 1\n" % number for number in range(4500))
    server.ask(puts + b"PUT q4321 1\n")
    shown = json.loads(run("top", "--once", "--interval", "100ms", "-n", "3").stdout)
    assert [row["name"] for row in shown["queues"]] == ["q4321", "q0000", "q0001"]


def test_top_without_a_terminal_is_a_line_for_each_look(server: QServer) -> None:
    with Watching(server, "top", "--interval", "100ms") as watching:
        first, second = watching.lines(2)
        assert (first["rates"], second["rates"]["put_per_s"]) == ({}, 0)
        server.ask(b"PUT mail 1\n" * 50)
        assert any(line["rates"]["put_per_s"] > 0 for line in watching.lines(10))
        assert watching.interrupt() == (130, b"")


class Watching:
    """A command whose output is read through a pipe."""

    def __init__(self, server: QServer, *words: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(server),
        )
        assert self.process.stdout is not None
        self.stdout = self.process.stdout

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

    def lines(self, count: int) -> list[Any]:
        return [json.loads(self.stdout.readline()) for _ in range(count)]

    def bodies(self, count: int) -> list[Any]:
        return [line["body"] for line in self.lines(count)]

    def interrupt(self) -> tuple[int, bytes]:
        """Its exit code and what it said on stderr, after Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(PATIENCE_S), self.said().strip()

    def said(self) -> bytes:
        assert self.process.stderr is not None
        return self.process.stderr.read()


def tailing(server: QServer, *words: str) -> Watching:
    """A `tail` that has begun to look."""
    before = _lists(server)
    watching = Watching(server, "tail", *words, "--interval", "50ms")
    gives_up_at = time.monotonic() + PATIENCE_S
    while _lists(server) < before + 4:  # HELLO, the search for the end, a look
        assert time.monotonic() < gives_up_at
        time.sleep(0.02)
    return watching


def _lists(server: QServer) -> int:
    """How many requests were taken up of the connections that say who they are."""
    rows = [line.split() for line in server.ask(b"CLIENTS\n").decode().splitlines()]
    fields = [dict(word.split("=", 1) for word in row[2:] if "=" in word) for row in rows]
    return sum(int(each["requests"]) for each in fields if "client" in each)


def test_tail_shows_what_comes_and_takes_nothing(server: QServer, run: Run) -> None:
    run("put", "mail", stdin=b'"old"\n' * 3)
    with tailing(server, "mail") as watching:
        server.ask(b'PUT mail 1\nPUT other 2\nPUT mail delay=1h key=k {"n": 3E0}\n')
        now, later = watching.lines(2)
        assert (now["state"], now["body"]) == ("ready", 1)
        assert (later["state"], later["key"], later["body"]) == ("delayed", "k", {"n": 3})
        server.ask(b"PUT mail %d\n" % 4 * 1203)
        assert watching.bodies(1203) == [4] * 1203
        assert watching.interrupt() == (130, b"")
    assert json.loads(run("list", "mail", "-n", "1").stdout).get("deliveries") is None


def test_tail_begins_behind_the_last_message_of_a_queue_whose_ids_have_holes(
    server: QServer,
) -> None:
    server.ask(b"PUT other 1\n" * 700 + b'PUT mail "old"\n' + b"PUT other 1\n" * 99)
    server.ask(b'PUT mail "old"\n' * 5 + b"DROP other\n")
    with tailing(server, "mail") as watching:
        server.ask(b"PUT mail 1\n")
        assert watching.bodies(1) == [1]


def test_tail_of_a_queue_that_is_not_there_yet_waits_for_it(server: QServer) -> None:
    with tailing(server, "mail") as watching:
        server.ask(b"PUT mail 1\n")
        assert watching.bodies(1) == [1]


def test_tail_from_the_start_ends_after_as_many_as_were_asked_for(run: Run) -> None:
    run("put", "mail", stdin=b"".join(b"%d\n" % n for n in range(1200)))
    found = run("tail", "mail", "--from-start", "-n", "1100")
    assert (found.returncode, found.stderr) == (0, b"")
    assert [json.loads(line)["body"] for line in found.stdout.splitlines()] == list(range(1100))


def test_tail_shows_full_pages_once(server: QServer) -> None:
    server.ask(b"".join(b"PUT mail %d\n" % n for n in range(1000)))
    with Watching(server, "tail", "mail", "--from-start", "--interval", "50ms") as watching:
        assert watching.bodies(1000) == list(range(1000))
        server.ask(b"PUT mail 1000\n")
        assert watching.bodies(1) == [1000]


def test_tail_of_a_state_shows_what_comes_into_it_and_comes_again(server: QServer) -> None:
    server.ask(b"PUT mail 1\nPUT mail 2\nGET mail\nNACK 1.1 dead=yes\n")
    with tailing(server, "mail", "--state", "dead") as watching:
        server.ask(b'GET mail\nPUT mail 3\nNACK 2.2 dead=yes reason="no such user"\n')
        (line,) = watching.lines(1)
        assert (line["id"], line["state"], line["reason"]) == (2, "dead", "no such user")
        server.ask(b"REDRIVE mail count=1\n")
        looked = _lists(server)
        wait_until(lambda: _lists(server) >= looked + 3)
        server.ask(b"GET mail\nNACK 1.3 dead=yes\n")
        assert [line["id"] for line in watching.lines(1)] == [1]


@pytest.mark.slow
def test_tail_goes_on_where_it_was_when_the_server_is_back(tmp_path: Path, server: QServer) -> None:
    with tailing(server, "mail") as watching:
        server.ask(b"PUT mail 1\n")
        assert watching.bodies(1) == [1]
        server.kill()
        assert watching.process.stderr is not None
        assert b"going on when the server is back" in watching.process.stderr.readline()
        with QServer(tmp_path / "data", "--token", "new", port=server.port):
            told = [watching.process.stderr.readline()]
            while b"wants a token" not in told[-1]:
                told.append(watching.process.stderr.readline())
        assert len(set(told)) == len(told)
        assert len(told) < 4
        with QServer(tmp_path / "data", port=server.port) as again:
            again.ask(b"PUT mail 2\n")
            assert watching.bodies(1) == [2]
            told = [watching.process.stderr.readline()]
            while told[-1] != b"the server is back\n":
                assert b"going on when the server is back" in told[-1]  # it was gone once more
                told.append(watching.process.stderr.readline())
        assert len(told) < 4


def test_tail_ends_quietly_when_its_reader_has_enough(server: QServer) -> None:
    with tailing(server, "mail") as watching:
        server.ask(b"PUT mail 1\n")
        assert watching.bodies(1) == [1]
        watching.stdout.close()
        server.ask(b"PUT mail 2\n")
        assert watching.process.wait(PATIENCE_S) == 0
        assert watching.said() == b""


def test_intervals_that_would_be_a_burden_are_refused(run: Run) -> None:
    for words in (("top", "--interval", "10ms"), ("tail", "q", "--interval", "0")):
        done = run(*words)
        assert (done.returncode, b"or more" in done.stderr) == (2, True)
