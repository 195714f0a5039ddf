"""The command line `qclient` against a real server, as a user types it."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.process import PATIENCE_S, QServer
from tests.e2e.worker_process import wait_until

COMMAND = (sys.executable, "-m", "qclient")

Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QServer]:
    with QServer(tmp_path / "data") as running:
        yield running


def environment(server: QServer) -> dict[str, str]:
    return {**os.environ, "QCLIENT_URL": server.url, "NO_COLOR": "1", "COLUMNS": "120"}


@pytest.fixture
def shared(lasting_server: QServer) -> Run:
    """For tests that don't know the ids."""
    lasting_server.empty()
    return runner(lasting_server)


@pytest.fixture
def run(server: QServer) -> Run:
    return runner(server)


def runner(server: QServer) -> Run:
    def go(*words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*COMMAND, *words],
            input=stdin,
            capture_output=True,
            check=False,
            env=environment(server),
            timeout=PATIENCE_S,
        )

    return go


def test_what_is_put_comes_back_byte_for_byte(run: Run) -> None:
    body = '{ "to" : "ada@exämple.com", "n": 1.0E5, "z": -0 }'
    put = run("put", "emails", body)
    assert (put.returncode, put.stdout, put.stderr) == (0, b"1\n", b"")
    got = run("get", "emails", "--ack")
    assert (got.returncode, got.stdout) == (0, body.encode() + b"\n")
    nothing = run("get", "emails")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (1, b"", b"")


def test_a_bulk_is_put_line_by_line_and_got_back_in_order(shared: Run) -> None:
    lines = b"".join(b'{"n": %d, "pad": "%b"}\n' % (n, b"x" * (n % 300)) for n in range(5000))
    put = shared("put", "bulk", stdin=lines)
    assert (put.returncode, put.stdout) == (0, b"")
    assert put.stderr == b"5,000 messages are stored\n"
    got = shared("get", "bulk", "-n", "9999", "--ack")
    assert got.stdout == lines
    assert shared("list", "bulk").stdout == b""


def test_a_bad_line_ends_a_bulk_and_is_named(shared: Run) -> None:
    put = shared("put", "q", "-", stdin=b'1\r\n\n{"a":\n4\n')
    assert put.returncode == 1
    assert b"1 message is stored" in put.stderr
    assert b"line 3: " in put.stderr
    assert b"nothing behind it was stored" in put.stderr
    assert shared("get", "q", "-n", "9").stdout == b"1\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"delay=5 1", b"malformed"),
        (b'"\xff"', b"not UTF-8 at byte 2"),
        (b"[" * 100_000, b"line 1"),
        (b'"' + b"x" * 1_100_000 + b'"', b"over the server's limit"),
        (b"NaN", b"line 1"),
        (b'"\\ud800"', b"line 1"),
    ],
)
def test_hostile_lines_are_named_and_not_stored(shared: Run, line: bytes, said: bytes) -> None:
    put = shared("put", "q", stdin=line + b"\n")
    assert put.returncode == 1
    assert said in put.stderr
    assert shared("get", "q").returncode == 1


def test_a_last_line_without_its_line_feed_is_a_line(run: Run) -> None:
    assert run("put", "q", "--ids", stdin=b"1\n2").stdout == b"1\n2\n"
    assert run("put", "q", stdin=b"").stderr == b"0 messages are stored\n"


@pytest.mark.slow
def test_options_of_put_arrive(run: Run) -> None:
    words = [
        "--delay",
        "5m",
        "--priority",
        "9",
        "--ttl",
        "2h",
        "--key",
        "k",
        "--trace",
        "t",
        "--dedup",
        "d",
    ]
    assert run("put", "q", "1", *words).stdout == b"1\n"
    again = run("put", "q", "1", *words)
    assert (again.stdout, again.returncode) == (b"1\n", 0)
    assert b"duplicate" in again.stderr
    run("put", "q", "2", "--at", "2099-01-31T09:30:00+01:00")
    one, two = map(json.loads, run("list", "q").stdout.splitlines())
    assert (one["state"], one["priority"], one["key"], one["trace"]) == ("delayed", 9, "k", "t")
    assert (one["dedup"], one["body"]) == ("d", 1)
    assert two["due_in"] > 86400 * 365


def test_receipts_go_from_get_to_ack_through_a_pipe(run: Run) -> None:
    run("put", "q", stdin=b"1\n2\n3\n")
    got = run("get", "q", "-n", "3", "--lease", "5m", "--full").stdout
    first = json.loads(got.splitlines()[0])
    assert (first["receipt"], first["queue"], first["body"]) == ("1.1", "q", 1)
    touched = run("touch", "-", "--lease", "10m", stdin=got)
    assert (touched.returncode, touched.stdout) == (0, b"3\n")
    assert run("nack", "1.1", "--reason", "disk full", "--dead").stdout == b"1\n"
    assert run("release", "2.2", "--delay", "5m").stdout == b"1\n"
    assert 290 < json.loads(run("list", "q", "--state", "delayed").stdout)["due_in"] <= 300
    acked = run("ack", "-", stdin=got)
    assert (acked.returncode, acked.stdout) == (1, b"1\n")
    assert b"1.1 not-leased" in acked.stderr
    dead = json.loads(run("list", "q", "--state", "dead").stdout)
    assert (dead["id"], dead["reason"]) == (1, "disk full")
    assert json.loads(run("peek", "1").stdout)["state"] == "dead"
    assert run("redrive", "q", "--reason", "disk*", "--dry").stdout == b"1\n"
    assert run("redrive", "q").stdout == b"1\n"


@pytest.mark.slow
def test_queues_are_looked_after(run: Run) -> None:
    settings = run("queue", "q", "retain=1h", "max_failures=3")
    assert json.loads(settings.stdout)["retain"] == 3600
    assert b"paused now" in run("pause", "q").stderr
    run("put", "q", stdin=b"1\n2\n")
    queue = json.loads(run("queues").stdout)
    assert (queue["name"], queue["ready"], queue["is_paused"]) == ("q", 2, True)
    assert run("list").stdout.startswith(b'{"name":"q"')
    assert b"goes on" in run("resume", "q").stderr
    assert run("purge", "q", "--state", "ready").stdout == b"2\n"
    assert run("drop", "q").stdout == b"0\n"
    assert "queues" in json.loads(run("stats").stdout)
    assert b"answered in" in run("ping").stdout


@pytest.mark.slow
def test_a_list_is_paged_to_its_end(run: Run) -> None:
    run("put", "q", stdin=b"1\n" * 1203)
    assert len(run("list", "q").stdout.splitlines()) == 100
    assert len(run("list", "q", "-n", "7").stdout.splitlines()) == 7
    every = run("list", "q", "--all").stdout.splitlines()
    assert [json.loads(line)["id"] for line in every] == list(range(1, 1204))


EACH_KIND = [
    (("frob",), 2, b"No such command"),
    (("get", "not a name"), 2, b"not a name"),
    (("put", "q", "{"), 1, b"not JSON"),
    (("peek", "99"), 1, b"not-found"),
    (("queue", "q", "colour=red"), 2, b"colour"),
    (("--help",), 0, b"\n    2  wrong usage\n"),
    (("worker", "--help"), 0, b"\n  qclient worker shop.tasks:app\n"),
]
OTHERS = [
    (("get",), 2, b"Missing argument"),
    (("get", "q", "--lease", "soon"), 2, b"not a duration"),
    (("put", "q", "1", "--at", "2027-01-31"), 2, b"no zone"),
    (("put", "q", "1", "--at", "tomorrow"), 2, b"not a time"),
    (("ack", "17"), 2, b"not a receipt"),
    (("queue", "q", "lease"), 2, b"SETTING=VALUE"),
    (("list", "--state", "dead"), 2, b"need a QUEUE"),
    (("put", "q", "--dedup", "d"), 2, b"one message"),
    (("-u", "http://x", "ping"), 2, b"not an address"),
    (("--version",), 0, b"qclient"),
]


def check_exit_code(run: Run, words: tuple[str, ...], code: int, said: bytes) -> None:
    done = run(*words)
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True)
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(("words", "code", "said"), EACH_KIND)
def test_exit_codes_say_what_was_wrong(
    shared: Run, words: tuple[str, ...], code: int, said: bytes
) -> None:
    check_exit_code(shared, words, code, said)


@pytest.mark.slow
@pytest.mark.parametrize(("words", "code", "said"), OTHERS)
def test_exit_codes_say_all_that_can_be_wrong(
    shared: Run, words: tuple[str, ...], code: int, said: bytes
) -> None:
    check_exit_code(shared, words, code, said)


def test_a_server_that_is_not_there_is_exit_code_3_and_says_what_to_do(shared: Run) -> None:
    done = shared("-u", "127.0.0.1:1", "ping")
    assert (done.returncode, done.stdout) == (3, b"")
    assert done.stderr == (
        b"qclient: cannot connect to 127.0.0.1:1: connection refused: "
        b"is qserver running? start it with: qserver\n"
    )


def test_a_reader_that_has_enough_is_no_error(shared: Run, lasting_server: QServer) -> None:
    shared("put", "q", stdin=b'"%b"\n' % (b"x" * 1000) * 2000)
    piped = f"{sys.executable} -m qclient get q -n 2000 --ack | head -1 | wc -l"
    done = subprocess.run(
        ["bash", "-c", f"{piped}; echo ${{PIPESTATUS[0]}}"],
        capture_output=True,
        check=True,
        env=environment(lasting_server),
        timeout=PATIENCE_S,
    )
    assert (done.stdout.split(), done.stderr) == ([b"1", b"0"], b"")


def test_ctrl_c_is_quiet_and_what_was_read_is_stored(server: QServer) -> None:
    process = subprocess.Popen(
        [*COMMAND, "put", "q"],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(server),
    )
    assert process.stdin is not None
    process.stdin.write(b"1\n2\n")
    process.stdin.flush()
    wait_until(lambda: server.ask(b"LIST q\n").endswith(b"OK 2\n"))
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said.strip()) == (130, b"2 messages are stored")


@pytest.mark.slow
def test_on_a_terminal_people_get_tables(run: Run, server: QServer) -> None:
    run("put", "emails", '{"to":"ada"}')
    for words, shown in (
        (("list", "emails"), "metadata"),
        (("queues",), "oldest"),
        (("stats",), "figure"),
        (("peek", "1"), "put_at"),
        (("queue", "emails"), "setting"),
    ):
        assert shown in on_terminal(server, *words)
    assert '"id":1' in on_terminal(server, "list", "emails", "--json")


def on_terminal(server: QServer, *words: str) -> str:
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*COMMAND, *words], stdout=theirs, env=environment(server))
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:  # how Linux says that the other side has closed
        pass
    finally:
        os.close(ours)
    assert process.wait(timeout=PATIENCE_S) == 0
    return shown.decode()
