"""The comparison with real servers, a few messages each; a server that is missing is skipped."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import compare
from benchmarks.comparing import compiling
from benchmarks.comparing.compiling import NoCompilerError, build, compiler
from benchmarks.comparing.contestants import Contestant, Echo, contestants
from benchmarks.comparing.driving import drive
from benchmarks.comparing.keeping import keep
from benchmarks.comparing.plan import Cell
from benchmarks.comparing.race import Race
from benchmarks.comparing.serving import Running, serving
from tests.e2e.process import PATIENCE_S

BODY_BYTES = 30
SERVERS = {each.name: each for each in contestants(None)}
QUEUES = [name for name, each in SERVERS.items() if each.stores]


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if compiler() is None:
        pytest.skip("no C compiler")
    return build(tmp_path_factory.mktemp("generator"))


@pytest.fixture(scope="module", params=QUEUES)
def running(request: pytest.FixtureRequest) -> Iterator[Running]:
    """Each of them with nothing on disk, empty before and after each test."""
    with serving(there(request.param), "none") as running:
        yield running


def there(name: str) -> Contestant:
    if reason := SERVERS[name].missing():
        pytest.skip(reason)
    return SERVERS[name]


@contextmanager
def dribble(port: int) -> Iterator[int]:
    """A port behind which replies come in pieces of a few bytes."""
    door = socket.create_server(("127.0.0.1", 0))

    def pass_on(source: socket.socket, to: socket.socket, size: int) -> None:
        to.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while data := source.recv(size):
                to.sendall(data)
        except OSError:
            pass
        finally:
            to.close()

    def accept() -> None:
        client, _ = door.accept()
        server = socket.create_connection(("127.0.0.1", port))
        threading.Thread(target=pass_on, args=(client, server, 1 << 16)).start()
        threading.Thread(target=pass_on, args=(server, client, 3)).start()

    thread = threading.Thread(target=accept)
    thread.start()
    yield door.getsockname()[1]
    thread.join(PATIENCE_S)
    door.close()


def fill_cycle_and_drain(generator: Path, running: Running) -> None:
    for cell, count in ((Cell(3, 4), 22), (Cell(1, 1), 5), (Cell(1, 100), 250)):
        held = []
        for op in ("put", "cycle", "drain"):
            figures = drive(generator, running, op, cell, count, BODY_BYTES)
            assert figures.rate > 0
            assert 0 < figures.p50_ms <= figures.p99_ms <= figures.p999_ms
            held.append(running.queued())
        assert held == [count, count, 0]


def test_what_is_put_is_stored_and_what_is_drained_or_cycled_is_gone(
    generator: Path, running: Running
) -> None:
    fill_cycle_and_drain(generator, running)


def test_a_batch_that_one_reply_does_not_hold_is_fetched_by_several(
    generator: Path, running: Running
) -> None:
    drive(generator, running, "cycle", Cell(1, 100), 100, 60_000)
    assert running.queued() == 0


@pytest.mark.slow
@pytest.mark.parametrize("durability", ["interval", "always"])
@pytest.mark.parametrize("name", QUEUES)
def test_so_it_is_with_a_disk(generator: Path, name: str, durability: str) -> None:
    with serving(there(name), durability) as running:
        fill_cycle_and_drain(generator, running)


def test_replies_that_come_in_pieces_are_put_together(generator: Path, running: Running) -> None:
    own = running.port
    for op in ("put", "cycle", "drain"):
        with dribble(own) as running.port:
            drive(generator, running, op, Cell(1, 5), 20, BODY_BYTES)
    running.port = own
    assert running.queued() == 0


def test_the_cpu_of_the_server_is_counted_and_that_of_the_generator(generator: Path) -> None:
    with serving(there("echo"), "none") as running:
        figures = drive(generator, running, "cycle", Cell(2, 10), 4000, BODY_BYTES)
    assert figures.server_us > 0
    assert figures.generator_us > 0
    assert 0 < figures.generator_share <= 1.1


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name == "qserver" else name for name in QUEUES],
)
def test_what_is_stored_is_weighed_and_there_again_after_a_kill(generator: Path, name: str) -> None:
    kept = keep(generator, there(name), "interval", 2000, BODY_BYTES)
    # Redis keeps back what it would write while a sync is slow, and loses it when it is killed.
    assert kept.lost == 0 or name == "redis"
    assert kept.messages == 2000
    assert kept.start_s is not None
    assert kept.start_s > 0


@pytest.mark.parametrize("protocol", ["qserver", "beanstalkd", "redis", "nats"])
def test_an_answer_that_was_not_expected_ends_the_run_with_what_it_was(
    generator: Path, protocol: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = str(door.getsockname()[1])
        words = [protocol, "put", port, "0", "1", "1", "1", "30", "0"]
        with subprocess.Popen([generator, *words], stderr=subprocess.PIPE, text=True) as process:
            client, _ = door.accept()
            client.sendall(b"-ERR not today\r\n")
            _, said = process.communicate(timeout=PATIENCE_S)
            client.close()
    assert process.returncode == 1
    assert said.startswith("the answer in phase hello was: -ERR not today")


class Forgetful(Echo):
    """Says that it has stored what it has not."""

    name = "forgetful"
    stores = True


def test_a_server_that_fails_is_left_out_and_the_others_go_on(generator: Path) -> None:
    told: list[str] = []
    racing = [Forgetful(), Echo()]
    race = Race(generator, racing, ["none"], [Cell(1, 2)], ["put"], [BODY_BYTES], 2, 0.001)
    results = race.run(told.append)
    assert {key.server: len(found) for key, found in results.items()} == {"echo": 2}
    assert told.count("forgetful is left out: after put of 100 it holds 0, not 100") == 1


def test_without_a_compiler_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiling, "compiler", lambda: None)
    with pytest.raises(NoCompilerError, match="apt-get install gcc"):
        build(tmp_path)


def test_sources_that_do_not_compile_leave_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if compiler() is None:
        pytest.skip("no C compiler")
    broken = tmp_path / "broken.c"
    broken.write_text("int main(void) { return unheard_of; }\n")
    monkeypatch.setattr(compiling, "SOURCES", (broken,))
    with pytest.raises(NoCompilerError, match="unheard_of"):
        build(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_one_command_prints_the_table_and_the_verdicts(
    generator: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = "--servers qserver --classes none --cells 2x3 --ops drain --bodies 20 --rounds 1"
    written = tmp_path / "found.json"
    words += f" --share 0.001 --kept 0 --json {written}"
    monkeypatch.setattr(sys, "argv", ["compare", *words.split()])
    monkeypatch.setattr(compare, "build", lambda: generator)
    compare.main()
    said = capsys.readouterr().out
    assert "| none  | 20 B | drain | 2x3  | " in said
    assert "not measured: ahead of every peer with more than one message in flight" in said
    cells = json.loads(written.read_text())["cells"]
    assert [(each["op"], each["connections"], each["ahead"]) for each in cells] == [("drain", 2, 3)]
