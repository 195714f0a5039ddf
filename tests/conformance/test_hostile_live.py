"""The hostile table over sockets of one server process, which has to outlive it unmoved."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.hostile import CASES, Case
from tests.conformance.live import LiveLine, LiveServer, serving


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LiveServer]:
    with serving(tmp_path / "data") as server:
        yield server


def ask(line: LiveLine, case: Case) -> str:
    """Send it; the line that closes the answer."""
    line.send(case.sent)
    answer = line.receive()
    while answer.startswith("* "):
        answer = line.receive()
    return answer


def test_a_server_answers_the_hostile_table_and_logs_no_error(tmp_path: Path) -> None:
    server = LiveServer(tmp_path / "data")
    through = server.connect()
    for case in CASES:
        line = server.connect() if case.closes else through
        answer = ask(line, case)
        expected = "OK" if case.code == "OK" else f"ERR {case.code} "
        assert answer.startswith(expected), f"{case.name}: {answer}"
        if case.closes:
            assert line.is_closed(), case.name
            line.close()
    through.send(b"LIST evil\nPING\n")
    assert [through.receive(), through.receive(), through.rest()] == ["OK 0", "OK", b""]
    logged = [line for line in server.stop() if line["level"] not in {"info", "debug"}]
    assert logged == []


def test_a_client_that_sends_100_mb_without_an_end_is_told_and_cut(server: LiveServer) -> None:
    line = server.connect()
    with contextlib.suppress(OSError):  # cut while it still sends
        for _ in range(100):
            line.send(b"x" * 1_000_000)
    assert line.receive().startswith("ERR too-long ")
    other = server.connect()
    other.send(b"PING\n")
    assert other.receive() == "OK"
