"""benchmarks.tail: what its open loop sees, and one run of all its rows against a real server."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import tail
from benchmarks.comparing.compiling import build, compiler
from benchmarks.load import Talk, server
from benchmarks.tailing import beside
from benchmarks.tailing.pacing import SOURCES, OpenLoopError, Paced, paced

RATE = 1000
PAUSE_S = 0.2


@pytest.fixture(scope="module")
def open_loop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if compiler() is None:
        pytest.skip("no C compiler")
    return build(tmp_path_factory.mktemp("open_loop"), SOURCES)


@contextmanager
def answering(answer: bytes, pause_s: float = 0.0) -> Iterator[int]:
    """A port where each line of one client is answered so; after the first 100 with a pause."""

    def answer_all() -> None:
        client, _ = door.accept()
        answered = 0
        with client:
            while data := client.recv(1 << 16):
                lines = data.count(b"\n")
                if answered < 100 <= answered + lines:
                    time.sleep(pause_s)
                answered += lines
                client.sendall(answer * lines)

    with socket.create_server(("127.0.0.1", 0)) as door:
        thread = threading.Thread(target=answer_all)
        thread.start()
        yield door.getsockname()[1]
        thread.join()


def run(open_loop: Path, port: int, seconds: float = 0.5) -> Paced:
    return paced(open_loop, port, 0, 1, RATE, seconds, 30)


@pytest.mark.hasty
def test_a_pause_shows_in_every_put_that_was_due_meanwhile(open_loop: Path) -> None:
    with answering(b"OK 1\n", PAUSE_S) as port:
        found = run(open_loop, port)
    p50, p99, _, longest = found.took_ms
    assert longest >= 1000 * PAUSE_S
    assert p99 >= 500 * PAUSE_S  # of 500 it held up 200, and most of them for long
    assert p50 < 500 * PAUSE_S
    assert found.held_up_ms >= 500 * PAUSE_S


def test_the_lateness_of_the_loop_itself_is_told_apart(open_loop: Path) -> None:
    with answering(b"OK 1\n") as port:
        found = run(open_loop, port)
    assert all(left <= took for left, took in zip(found.left_ms, found.took_ms, strict=True))
    assert all(late <= found.took_ms[-1] for late in found.late_ms)


def test_an_answer_that_is_not_ok_ends_it_with_what_it_was(open_loop: Path) -> None:
    with (
        answering(b"ERR full there is no room\n") as port,
        pytest.raises(OpenLoopError, match="the answer was: ERR full"),
    ):
        run(open_loop, port)


def test_what_goes_on_beside_it_is_gone_afterwards_and_told_if_it_failed() -> None:
    def put_and_fail(talk: Talk, stop: threading.Event) -> None:
        talk.ask(b"PUT load 1\nPUT big 1\nPUT deep 1\n", 3)
        stop.wait()
        raise ValueError("so it was")

    with (
        server("--sync", "100ms") as running,
        pytest.raises(ValueError, match="so it was"),
        beside.beside(running, put_and_fail),
    ):
        running.connect().ask(b"PING\n", 1)
    with server("--sync", "100ms") as running:
        with beside.beside(running, beside.nobody):
            running.connect().ask(b"PUT load 1\nPUT deep 1\n", 2)
        assert running.figures()["messages"] == "1"


@pytest.mark.slow
@pytest.mark.parametrize("sync", ["100ms", "always"])
def test_every_row_is_measured(
    sync: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"--sync {sync} --rounds 1 --seconds 0.5 --messages 1000 --rate 500"
    monkeypatch.setattr(sys, "argv", ["tail", *words.split()])
    tail.main()
    said = capsys.readouterr().out
    for name in (*tail.DISTURBANCES, tail.FLOOR):
        assert f"\n| {name:<10} | " in said


def test_one_command_prints_the_table(
    open_loop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--sync 100ms --rounds 1 --seconds 0.2 --messages 1000 --rate 500 --only list leases"
    monkeypatch.setattr(sys, "argv", ["tail", *words.split()])
    tail.main()
    said = capsys.readouterr().out
    assert "sync=100ms, 1,000 messages queued, 500 PUTs/s, 50 connections" in said
    assert "\n| list       | " in said
    assert "\n| leases     | " in said
