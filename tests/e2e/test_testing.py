"""What qclient gives the tests of its users, used as they would."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from qclient import CannotConnect, sync
from qclient.testing import ServerProcess
from tests.e2e.process import PATIENCE_S, clean_environment

TESTS = """
from qclient import connect
from qclient.tasks import App
from qclient.worker import Settings, Worker

app = App(queue="mail")

@app.task(keep_result=60)
async def double(n: int) -> int:
    return 2 * n

def test_a_job_runs(qserver_url):
    import asyncio

    async def play():
        async with app.connect(qserver_url):
            job = await double.put(21)
            await Worker(app, qserver_url, Settings(burst=True)).run()
            assert await job.result(timeout=60) == 42

    asyncio.run(play())

def test_the_next_finds_nothing_of_it(qserver_url, qserver_process):
    from qclient import sync

    assert qserver_url == qserver_process.url
    with sync.connect(qserver_url) as client:
        assert list(client.queues()) == []
        client.put("left", 1)

def test_nor_does_the_one_after_that(qserver_url):
    from qclient import sync

    with sync.connect(qserver_url) as client:
        assert list(client.queues()) == []

def test_one_of_its_own_may_die(qserver_alone, qserver_process):
    from qclient import sync

    assert qserver_alone.port != qserver_process.port
    with sync.connect(qserver_alone.url) as client:
        client.put("q", 1)
        qserver_alone.restart()
        assert [message.body for message in client.get("q")] == [1]
"""


def run_pytest(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", *words, str(directory)],
        cwd=directory,
        env=clean_environment(PYTHONPATH=str(Path(__file__).parents[2])),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE_S,
        check=False,
    )


def test_the_fixtures_serve_a_user_s_tests_and_leave_no_process(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["qclient.testing.fixtures"]\n')
    (tmp_path / "test_user.py").write_text(TESTS)
    ran = run_pytest(tmp_path, "--basetemp", str(tmp_path / "temporary"), "-W", "error")
    assert "4 passed" in ran.stdout, ran.stdout + ran.stderr
    ours = f"--data\0{tmp_path}".encode()
    assert [pid for pid in processes() if ours in command_of(pid)] == []


def test_what_the_readme_shows_works(tmp_path: Path) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    files = re.findall(r"```python\n# (conftest|test_welcome)\.py\n(.*?)```", readme, re.DOTALL)
    assert [name for name, _ in files] == ["conftest", "test_welcome"]
    for name, text in files:
        (tmp_path / f"{name}.py").write_text(text)
    ran = run_pytest(tmp_path, "-W", "error")
    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr


def processes() -> list[str]:
    return [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()]


def command_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""


def test_whoever_doesn_t_ask_for_the_fixtures_doesn_t_pay_for_them(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(
        "import sys\n\ndef test_nothing(): assert 'qclient' not in sys.modules\n"
    )
    assert "1 passed" in run_pytest(tmp_path).stdout


def test_pytest_is_needed_for_the_fixtures_only() -> None:
    program = "import qclient.testing, qclient.tasks.local, sys; print('pytest' in sys.modules)"
    words = [sys.executable, "-c", program]
    assert subprocess.run(words, capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_server_keeps_its_data_and_port_over_a_crash_and_over_a_stop(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server, sync.connect(server.url) as client:
        port = server.port
        client.put("q", "first")
        server.restart()
        client.put("q", "second")
        server.restart(kill=False)
        assert server.port == port
        assert [message.body for message in client.get("q", count=2)] == ["first", "second"]
        assert server.stop() == 0
        assert server.log[-1]["event"].startswith("stopped")
    assert server.process.returncode == 0


def test_an_emptied_server_has_no_messages_settings_or_dedup_keys(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server, sync.connect(server.url) as client:
        client.put("q", 1, dedup="key")
        client.put("q", 2)
        client.queue("q", max_failures=3)
        client.pause("other")
        [_] = client.get("q")
        server.empty()
        assert list(client.queues()) == []
        assert not client.put("q", 1, dedup="key").is_duplicate
        assert client.queue("q").max_failures == 10
        [message] = client.get("q")
        assert message.body == 1


def test_flags_overrule_what_tests_are_given(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "one", "--sync", "always") as server:
        assert server.log[-1]["sync"] == "always"
    with ServerProcess(tmp_path / "two") as server:
        assert server.log[-1]["sync"] == "never"


def test_settings_of_the_environment_are_not_a_test_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QSERVER_COUNT_MAX", "7")
    with ServerProcess(tmp_path / "data") as server, sync.connect(server.url) as client:
        assert client.server.count_max == 1000


@pytest.mark.parametrize(
    ("flags", "says"),
    [(["--colour", "red"], "No such option"), (["--host", "203.0.113.1"], "can't listen there")],
)
def test_a_server_that_does_not_start_says_why(tmp_path: Path, flags: list[str], says: str) -> None:
    with pytest.raises(CannotConnect, match=says):
        ServerProcess(tmp_path / "data", *flags).start()
