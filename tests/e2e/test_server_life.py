"""Start, stop, crash and restart of a real process."""

import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.process import PATIENCE_S, QServer
from tests.e2e.vitals import cpu_s
from tests.e2e.worker_process import wait_until


def test_it_starts_with_nothing_and_creates_its_directory_for_the_owner_only(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path / "data") as server:
        assert server.ask(b"PING\n") == b"OK\n"
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "data").iterdir()} == {0o600}


@pytest.mark.hasty
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_an_idle_server_within_a_second_with_exit_code_0(
    tmp_path: Path, number: signal.Signals
) -> None:
    with QServer(tmp_path) as server, server.connect() as idle:
        idle.sendall(b"PING\n")
        assert idle.recv(10) == b"OK\n"
        began = time.monotonic()
        server.send_signal(number)
        assert server.wait() == 0
        assert time.monotonic() - began < 1
        assert idle.recv(10) == b""
    assert [line["event"].split(":")[0] for line in server.logged[-2:]] == ["stopping", "stopped"]


def test_an_interval_that_is_over_while_the_journal_is_closed_is_no_failure(tmp_path: Path) -> None:
    slow = "import os, time; close = os.close; os.close = lambda at: (time.sleep(0.1), close(at))"
    with QServer(tmp_path, "--sync", "100ms", planted=slow) as server:
        assert server.ask(b"PUT q 1\n") == b"OK 1\n"
        assert server.stop() == 0
    assert [line["event"].split(":")[0] for line in server.logged[1:]] == ["stopping", "stopped"]


@pytest.mark.hasty
def test_a_server_that_was_asked_in_quick_succession_sleeps_when_nobody_asks_any_more(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path, "--memory-only") as server, server.connect() as sock:
        for _ in range(5000):
            sock.sendall(b"PING\n")
            assert sock.recv(10) == b"OK\n"
        before = cpu_s(server)
        time.sleep(0.5)
        assert cpu_s(server) - before < 0.1
        sock.sendall(b"PING\n")
        assert sock.recv(10) == b"OK\n"


def test_a_stop_ends_waiting_gets_with_nothing_and_answers_what_was_read(tmp_path: Path) -> None:
    with QServer(tmp_path) as server, server.connect() as waiting:
        waiting.sendall(b"GET q wait=60\nPUT q 1\nGET q\n")
        wait_until(lambda: b" waiting=q" in server.ask(b"CLIENTS\n"))
        assert server.stop() == 0
        # The PUT behind the GET is carried out; nothing is leased to a client that is sent away.
        assert waiting.makefile("rb").read() == b"OK 0\nOK 1\nOK 0\n"
    with QServer(tmp_path) as server:
        assert server.ask(b"GET q\n") == b"* 1.1 q 1\nOK 1\n"


def test_a_second_signal_leaves_at_once_and_loses_nothing_acknowledged(tmp_path: Path) -> None:
    with QServer(tmp_path) as server, server.connect() as slow:
        assert server.ask(b"PUT q " + b'"%b"' % (b"x" * 500_000) + b"\n") == b"OK 1\n"
        slow.sendall(b"PEEK 1\n" * 50)  # a client that takes none of it keeps a stop waiting
        assert slow.recv(1) == b"*"
        server.send_signal(signal.SIGINT)
        server.hear("stopping")  # else the system makes one of two signals
        assert server.process.poll() is None
        server.send_signal(signal.SIGINT)
        assert server.wait() == 128 + signal.SIGINT
    with QServer(tmp_path) as server:
        assert b"q ready=1" in server.ask(b"LIST\n")


def test_a_killed_server_has_everything_again(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        server.ask(
            b"QUEUE q retain=1h max_failures=5\nPAUSE other\n"
            b"PUT q 1\nPUT q key=k trace=t priority=9 2\nPUT q delay=1h 3\nPUT q dedup=d 4\n"
            b"PUT q 5\nHELLO session=s grace=60s\nGET q lease=1h\nGET q lease=1h\n"
            b"GET q\nNACK 4.3 reason=no dead=yes\nGET q\nACK 5.4\n"
        )
        before = server.ask(b"LIST q\nLIST\nQUEUE q\n")
        server.kill()
    with QServer(tmp_path) as server:
        after = server.ask(b"LIST q\nLIST\nQUEUE q\n")
        assert _without_times(after) == _without_times(before)
        assert server.ask(b"PUT q dedup=d 9\nPUT q 9\nTOUCH 2.1 1.2\nACK 2.1 1.2\n") == (
            b"OK 4 duplicate\nOK 6\nOK 2\nOK 2\n"
        )
        assert server.ask(b"GET q\n") == b"* 6.5 q 9\nOK 1\n"


def _without_times(reply: bytes) -> list[list[bytes]]:
    timed = (b"expires_in=", b"due_in=", b"kept_for=", b"oldest=")
    return [
        [word for word in line.split() if not word.startswith(timed)] for line in reply.splitlines()
    ]


@pytest.mark.slow
def test_what_expired_while_the_server_was_away_is_not_delivered_at_its_start(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path) as server:
        replies = server.ask(b"PUT q ttl=1s 1\n" * 3000 + b"PUT q 2\n")
        assert replies.endswith(b"OK 3001\n")
        server.kill()
    time.sleep(1)
    with QServer(tmp_path) as server:
        assert server.ask(b"GET q count=2\n") == b"* 3001.1 q 2\nOK 1\n"


def test_a_torn_end_is_cut_off_and_told(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        server.ask(b"PUT q 1\n")
        server.kill()
    (segment,) = tmp_path.glob("journal-*.jsonl")
    with segment.open("ab") as file:
        file.write(b'{"op":"put","id":2,"que')
    with QServer(tmp_path) as server:
        assert server.ask(b"PUT q 2\nGET q count=5\n") == b"OK 2\n* 1.1 q 1\n* 2.2 q 2\nOK 2\n"
        torn = [line for line in server.logged if "torn" in line["event"]]
        assert [line["bytes"] for line in torn] == [23]
        assert [path.read_bytes() for path in tmp_path.glob("torn-*")] == [
            b'{"op":"put","id":2,"que'
        ]


def test_a_flipped_bit_refuses_the_start_names_the_place_and_changes_nothing(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path) as server:
        server.ask(b'PUT q {"amount":100}\n')
        assert server.stop() == 0
    (segment,) = tmp_path.glob("journal-*.jsonl")
    segment.write_bytes(segment.read_bytes().replace(b"100", b"900"))
    before = segment.read_bytes()
    with QServer(tmp_path) as server:
        assert server.wait() == 1
        assert segment.name in server.logged[-1]["error"]
        assert "byte" in server.logged[-1]["error"]
    assert segment.read_bytes() == before


def test_a_second_server_on_the_directory_is_refused_with_a_clear_message(tmp_path: Path) -> None:
    with QServer(tmp_path) as first, QServer(tmp_path) as second:
        assert second.wait() == 1
        assert str(tmp_path) in second.logged[-1]["error"]
        assert str(first.process.pid) in second.logged[-1]["error"]
        assert first.ask(b"PING\n") == b"OK\n"


def test_a_port_in_use_is_refused_with_a_clear_message(tmp_path: Path) -> None:
    with (
        QServer(tmp_path / "a") as first,
        QServer(tmp_path / "b", port=first.port) as second,
    ):
        assert second.wait() == 1
        assert "--port" in second.logged[-1]["event"]
        assert second.logged[-1]["port"] == first.port


def test_leases_of_a_session_end_after_its_grace_and_survive_a_reconnect_within(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path) as server:
        server.ask(b"PUT q 1\n")
        hello = b"HELLO session=w grace=300ms\n"
        assert b"leases=0" in server.ask(b"HELLO session=w grace=60s\nGET q lease=1h\n")
        with server.connect() as again:
            again.sendall(hello)
            assert b"leases=1" in again.recv(1000)
            assert server.ask(b"GET q\n") == b"OK 0\n"
            assert server.ask(b"GET q wait=5\nPING\n") == b"OK 0\nOK\n"  # EOF ends the wait
        with server.connect() as waiting:
            waiting.sendall(b"GET q wait=60\n")
            assert waiting.makefile("rb").readline() == b"* 1.2 q deliveries=2 losses=1 1\n"


@pytest.mark.parametrize("sync", ["always", "50ms", "never"])
def test_what_was_answered_survives_sigkill_under_every_policy(tmp_path: Path, sync: str) -> None:
    with QServer(tmp_path, "--sync", sync) as server, server.connect() as sock:
        sock.sendall(b"PUT q 1\n" * 5000)
        replies = sock.makefile("rb")
        answered = [replies.readline() for _ in range(2500)]
        server.kill()
        assert answered[-1] == b"OK 2500\n"
    with QServer(tmp_path, "--sync", sync) as server:
        ready = int(server.ask(b"LIST\n").split(b"ready=")[1].split()[0])
        assert ready >= 2500


@pytest.mark.slow
def test_a_journal_that_can_not_be_written_stops_the_server_and_loses_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path, file_bytes_max=20_000) as server, server.connect() as sock:
        sock.sendall(b"PUT q 1\n" * 5000)
        replies = sock.makefile("rb").read().splitlines()
        assert replies[-1].startswith(b"ERR storage ")
        assert server.wait() == 1
        stored = len(replies) - 1
        assert replies[:-1] == [b"OK %d" % number for number in range(1, stored + 1)]
        assert "the server stops" in server.logged[-1]["event"]
    with QServer(tmp_path) as server:
        ready = int(server.ask(b"LIST\n").split(b"ready=")[1].split()[0]) if stored else 0
        assert ready >= stored


FAULT_IN_STATS = """
from qserver.storage.file import FileJournal
stats = FileJournal.stats
def once(journal):  # the start asks for it
    FileJournal.stats = lambda _journal: 1 / 0
    return stats(journal)
FileJournal.stats = once
"""


def test_a_fault_of_ours_ends_the_process_at_once_and_loses_nothing_acknowledged(
    tmp_path: Path,
) -> None:
    with QServer(tmp_path, planted=FAULT_IN_STATS) as server:
        assert server.ask(b"PUT q 1\n") == b"OK 1\n"
        assert server.ask(b"STATS\n") == b""
        assert server.wait() == 70
        assert "ZeroDivisionError" in server.logged[-1]["exception"]
        assert "recovers from its journal" in server.logged[-1]["event"]
    with QServer(tmp_path) as server:
        assert server.ask(b"GET q\n") == b"* 1.1 q 1\nOK 1\n"


def test_dead_segments_are_dropped_while_it_runs(tmp_path: Path) -> None:
    with QServer(tmp_path, "--segment-bytes-max", "20KiB") as server, server.connect() as sock:
        replies = sock.makefile("rb")
        for number in range(20):
            sock.sendall(b"PUT q %b\n" % (b'"' + b"x" * 90 + b'"') * 100)
            assert [replies.readline() for _ in range(100)][-1] == b"OK %d\n" % (100 * (number + 1))
            sock.sendall(b"GET q count=100\n")
            receipts = [replies.readline().split()[1] for _ in range(100)]
            replies.readline()
            sock.sendall(b"ACK " + b" ".join(receipts) + b"\n")
            assert replies.readline() == b"OK 100\n"
        assert len(list(tmp_path.glob("journal-*"))) <= 3


def test_segments_smaller_than_what_each_begins_with_do_not_keep_the_server_busy(
    tmp_path: Path,
) -> None:
    def journal_bytes() -> int:
        return sum(path.stat().st_size for path in tmp_path.glob("journal-*"))

    with QServer(tmp_path, "--segment-bytes-max", "100") as server:
        assert server.ask(b"QUEUE q lease=5\nQUEUE r lease=6\nPUT q 1\n").endswith(b"OK 1\n")
        assert server.ask(b"GET q\n").endswith(b"OK 1\n")
        assert server.ask(b"ACK 1.1\n") == b"OK 1\n"
        seen = [-1]

        def is_at_rest() -> bool:
            time.sleep(0.2)
            seen.append(journal_bytes())
            return seen[-2] == seen[-1] < 2000

        wait_until(is_at_rest)
    with QServer(tmp_path) as server:
        assert b" lease=5 " in server.ask(b"QUEUE q\n")
        assert b" lease=6 " in server.ask(b"QUEUE r\n")


def test_memory_only_leaves_no_trace(tmp_path: Path) -> None:
    with QServer(tmp_path / "data", "--memory-only") as server:
        assert server.ask(b"PUT q 1\nGET q\n") == b"OK 1\n* 1.1 q 1\nOK 1\n"
        assert server.stop() == 0
    assert not (tmp_path / "data").exists()


def test_printf_into_netcat_works_with_every_netcat(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        for netcat in _netcats():
            result = subprocess.run(
                [*netcat, "127.0.0.1", str(server.port)],
                input=b'PUT q {"n":1}\nLIST q count=1\nQUIT\n',
                capture_output=True,
                timeout=PATIENCE_S,
                check=True,
            )
            assert result.stdout.endswith(b' ready {"n":1}\nOK 1 next=1\nOK\n') or (
                result.stdout.endswith(b' ready {"n":1}\nOK 1\nOK\n')
            )


def _netcats() -> list[list[str]]:
    found = [
        [path, *flags]
        for path, flags in (
            ("/usr/bin/nc.openbsd", ["-N"]),
            ("/usr/bin/nc.openbsd", []),
            ("/usr/bin/nc.traditional", []),
            ("/bin/nc.openbsd", []),
            ("/bin/nc.traditional", []),
            ("/usr/bin/ncat", []),
        )
        if Path(path).exists()
    ]
    if not found:
        pytest.skip("no netcat here: apt-get install netcat-openbsd")
    return found


def test_more_connections_than_allowed_are_refused_and_the_others_live_on(tmp_path: Path) -> None:
    with QServer(tmp_path, "--connections-max", "3") as server:
        held = [server.connect() for _ in range(3)]
        for sock in held:
            sock.sendall(b"PING\n")
            assert sock.recv(10) == b"OK\n"
        assert server.ask(b"PING\n").startswith(b"ERR busy ")
        held.pop().close()
        wait_until(lambda: server.ask(b"PING\n") == b"OK\n")
        for sock in held:
            sock.close()
