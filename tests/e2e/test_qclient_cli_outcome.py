"""`qclient progress`, `done`, `result`, `clients` against a real server, as a user types them."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import PATIENCE_S, QServer
from tests.e2e.test_qclient_cli import COMMAND, Run, environment, on_terminal, runner
from tests.e2e.worker_process import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QServer]:
    with QServer(tmp_path / "data") as running:
        yield running


@pytest.fixture
def run(server: QServer) -> Run:
    return runner(server)


def test_a_result_is_left_and_asked_for(run: Run) -> None:
    run("put", "sums", "[1,2]")
    run("get", "sums")
    assert run("progress", "1.1", '{"at": 1E0}').stdout == b"1\n"
    waiting = run("result", "1")
    assert waiting.returncode == 1
    assert waiting.stdout == (
        b'{"id":1,"state":"leased","deliveries":1,"progress":{"at": 1E0},"result":null}\n'
    )
    assert json.loads(run("peek", "1").stdout)["progress"] == {"at": 1}
    done = run("done", "1.1", '{"sum": 3E0}', "--retain", "1h")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1\n", b"")
    told = run("result", "1", "--wait", "1m")
    assert (told.returncode, json.loads(told.stdout)["state"]) == (0, "done")
    assert told.stdout.endswith(b'"result":{"sum": 3E0}}\n')
    late = run("done", "1.1", "-4")
    assert (late.returncode, late.stdout) == (1, b"0\n")
    assert b"1.1 not-leased" in late.stderr


@pytest.mark.slow
def test_who_waits_for_a_result_is_told_when_it_is_there(server: QServer, run: Run) -> None:
    run("put", "sums", "[1,2]")
    run("get", "sums")
    with subprocess.Popen(
        [*COMMAND, "result", "1", "--wait", "60s"],
        stdout=subprocess.PIPE,
        env=environment(server),
    ) as asking:
        wait_until(lambda: b" result=" in server.ask(b"CLIENTS\n"))
        run("done", "1.1", "3", "--retain", "1h")
        said, _ = asking.communicate(timeout=PATIENCE_S)
    assert (asking.returncode, json.loads(said)["result"]) == (0, 3)


@pytest.mark.slow
def test_what_is_dead_or_gone_or_no_json_says_so(run: Run) -> None:
    run("put", "sums", "1")
    run("get", "sums")
    run("nack", "1.1", "--dead", "--reason", "no luck")
    dead = run("result", "1", "--wait", "1m")
    assert (dead.returncode, json.loads(dead.stdout)["reason"]) == (1, "no luck")
    gone = run("result", "17")
    assert (gone.returncode, gone.stdout) == (1, b"")
    assert b"not-found" in gone.stderr
    for command in ("done", "progress"):
        wrong = run(command, "1.1", "{a:1}")
        assert (wrong.returncode, wrong.stdout) == (1, b"")
        assert b"not JSON" in wrong.stderr
    assert run("done", "17", "1").returncode == 2


def _clients(run: Run) -> list[dict[str, object]]:
    return [json.loads(line) for line in run("clients").stdout.splitlines()]


def test_who_is_connected_is_listed(server: QServer, run: Run) -> None:
    (row,) = _clients(run)
    assert (row["number"], row["session"], row["waiting"]) == (1, None, [])
    shown = on_terminal(server, "clients")
    assert "waits for" in shown
    assert "result" in on_terminal(server, "--help")
