"""The server's command line, typed right and wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

from qserver import __version__
from qserver.build import BUILD
from tests.e2e.process import PATIENCE_S, QServer, clean_environment


def qserver(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "qserver", *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=clean_environment(**environment),
    )


def test_help_names_every_option_and_how_else_to_set_it() -> None:
    shown = qserver("--help").stdout
    for option in ("--port", "--data", "--sync", "--max-memory", "--config", "QSERVER_PORT"):
        assert option in shown


def imported(program: str) -> set[str]:
    """The modules that a process has imported at the end of this."""
    words = [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"]
    return set(subprocess.run(words, capture_output=True, text=True, check=True).stdout.split())


def test_a_server_starts_without_importing_what_is_slow_and_not_needed_yet() -> None:
    modules = imported(
        "from qserver import cli, logs\nlogs.configure('json', 'info')\nimport qserver.server.run"
    )
    assert modules >= {"structlog", "uvloop", "click"}
    assert {"rich", "pygments", "tomllib"} & modules == set()


def test_help_needs_no_loop_and_no_logging() -> None:
    modules = imported("import qserver.cli")
    assert {"asyncio", "uvloop", "structlog", "rich", "tomllib"} & modules == set()


def test_rich_is_there_for_whoever_asks_for_it_later() -> None:
    late = "from qserver import logs\nlogs.configure('text', 'info')\nimport rich.console"
    assert "rich.console" in imported(late)


def test_version_is_the_package_s() -> None:
    assert qserver("--version").stdout == f"qserver {__version__} ({BUILD})\n"


def test_the_build_that_runs_is_told_in_the_log_and_by_stats(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        said = server.ask(b"STATS\n")
    assert f"* build={BUILD}\n".encode() in said
    assert server.logged[-1]["build"] == BUILD


def test_a_flag_counts_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "qserver.toml"
    file.write_text('port = 1001\nsync = "1s"\ncount-max = 7\n')
    words = ["--config", str(file), "--port", "1003"]
    shown = qserver(*words, "config", QSERVER_PORT="1002", QSERVER_SYNC="2s").stdout
    rows = {line.split()[0]: line.split()[1:] for line in shown.splitlines()}
    assert rows["port"] == ["1003", "flag"]
    assert rows["sync"] == ["2s", "environment", "(QSERVER_SYNC)"]
    assert rows["count_max"] == ["7", "file"]
    assert rows["host"] == ["127.0.0.1", "default"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--port", "70000"], "70000"),
        (["--port", "x"], "x"),
        (["--sync", "sometimes"], "always, never, an interval like 100ms"),
        (["--sync", "0"], "always, never, an interval like 100ms"),
        (["--sync", "2h"], "60 s"),
        (["--memory-bytes-max", "lots"], "no size"),
        (["--memory-bytes-max", "0"], "more than 0"),
        (["--wait-max", "soon"], "no duration"),
        (["--colour", "red"], "--colour"),
        (["serve"], "serve"),
        (["--config", "/nowhere.toml"], "/nowhere.toml"),
    ],
)
def test_a_wrong_word_is_named_with_what_it_should_be(words: list[str], says: str) -> None:
    result = qserver(*words)
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("port = ", "not TOML"),
        ("colour = 1", "'colour'"),
        ("version = true", "'version'"),
        ('port = "x"', "x"),
        ("port = 1.5", "1.5"),
        ("port = true", "True"),
        ("memory_only = 3", "3"),
        ("data = []", "'data'"),
        ("[host]", "'host'"),
        ("sync = 07:32:00", "'sync'"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "qserver.toml"
    file.write_text(text)
    result = qserver("--config", str(file))
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_numbers_and_truths_of_a_file_need_no_quotes(tmp_path: Path) -> None:
    file = tmp_path / "qserver.toml"
    file.write_text("data = 5\nmemory_only = true\nbusy_poll = false\nwait_max = 1.5\nsync = 2\n")
    shown = qserver("--config", str(file), "config").stdout
    rows = {line.split()[0]: line.split()[1] for line in shown.splitlines()}
    assert (rows["data"], rows["memory_only"], rows["busy_poll"]) == ("5", "True", "False")
    assert (rows["wait_max"], rows["sync"]) == ("1.5", "2")


def test_a_version_in_the_environment_is_no_setting() -> None:
    assert "7711" in qserver("config", QSERVER_VERSION="1").stdout
    assert "7711" in qserver("config", QSERVER_VERSION="1.2.3").stdout


def test_a_data_directory_that_is_a_file_is_refused_with_a_clear_message(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    result = qserver("--data", str(file))
    assert result.returncode == 2
    assert str(file) in result.stderr


def test_limits_from_the_command_line_are_in_force(tmp_path: Path) -> None:
    with QServer(tmp_path, "--count-max", "5", "--line-bytes-max", "50") as server:
        greeting = server.ask(b"HELLO\n")
        assert b" line_bytes_max=50 count_max=5 " in greeting
        assert server.ask(b"GET q count=6\n").startswith(b"ERR limit count=6")
        assert server.ask(b"PUT q " + b"1" * 50 + b"\nPING\n").startswith(b"ERR too-long")


def test_a_name_that_no_host_can_have_is_refused_in_a_line(tmp_path: Path) -> None:
    for host in ("queue..example", "q" * 64 + ".example"):
        with QServer(tmp_path, "--host", host) as server:
            assert server.wait() == 1
            (refusal,) = server.logged
        assert host in refusal["error"]
        assert "can't listen there" in refusal["event"]


def test_clients_that_take_nothing_may_be_borne_with_for_years(tmp_path: Path) -> None:
    with QServer(tmp_path, "--stall-max", "365d") as server:
        assert server.ask(b"PING\n") == b"OK\n"
