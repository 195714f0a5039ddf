"""The examples of the documents, written to files and run as they stand, against a real server."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import PATIENCE_S, QServer, clean_environment
from tests.e2e.worker_process import wait_until

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "qclient" / "EXAMPLES.md"
README = ROOT / "README.md"


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def section(text: str, title: str) -> str:
    """What stands under a heading of the second order."""
    _, _, rest = text.partition(f"\n## {title}\n")
    assert rest, f"there is no section {title}"
    return rest.partition("\n## ")[0]


class Shop:
    """A directory with the files of a document, and a server that they talk to."""

    def __init__(self, directory: Path, server: QServer, text: str) -> None:
        self.directory = directory
        self.server = server
        self.text = text.replace("7711", str(server.port))  # all that is changed
        for block in blocks(self.text, "python"):
            name, _, code = block.removeprefix("# ").partition("\n")
            if name.endswith(".py"):
                file = directory / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(code)
        programs = directory / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name, words in (("python", ""), ("qclient", " -m qclient")):
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n')
            (programs / name).chmod(0o755)
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self.environment = clean_environment(
            QCLIENT_URL=server.url, PATH=path, PYTHONPATH=str(ROOT), NO_COLOR="1"
        )

    def start(self, command: str) -> subprocess.Popen[str]:
        """A command line, in a process group of its own; what it prints goes to `printed`."""
        with (self.directory / "printed").open("a") as printed:
            return subprocess.Popen(
                ["sh", "-ec", command],
                cwd=self.directory,
                env=self.environment,
                stdout=printed,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def run(self, command: str) -> str:
        """What a command line printed."""
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=2 * PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, code: str) -> str:
        return self.run(f"python -c '{code}'")

    @property
    def printed(self) -> list[str]:
        return (self.directory / "printed").read_text().splitlines()

    def queue(self, name: str) -> list[str]:
        """What was put into a queue, as tasks with their first arguments."""
        rows = [json.loads(line) for line in self.run(f"qclient list {name}").splitlines()]
        return [f"{row['body']['task']} {row['body']['args'][0]}" for row in rows]


def end(process: subprocess.Popen[str], number: signal.Signals = signal.SIGINT) -> None:
    """What Ctrl-C does to all that the command line started."""
    if process.poll() is None:
        os.killpg(process.pid, number)
    process.wait(PATIENCE_S)
    wait_until(lambda: not _lives(process.pid))


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QServer]:
    with QServer(tmp_path / "data") as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path, server: QServer) -> Shop:
    directory = tmp_path / "shop"
    directory.mkdir()
    return Shop(directory, server, EXAMPLES.read_text(encoding="utf-8"))


def test_every_python_block_of_the_examples_is_a_file_that_is_run_here() -> None:
    text = EXAMPLES.read_text(encoding="utf-8")
    names = [block.partition("\n")[0].removeprefix("# ") for block in blocks(text, "python")]
    here = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in names if Path(name).stem not in here] == []
    assert all(name.endswith(".py") for name in names)


def test_tasks_of_each_kind_are_put_by_a_program_and_run_by_a_worker(shop: Shop) -> None:
    (command,) = blocks(section(shop.text, "Tasks of each kind"), "sh")
    worker = shop.start(command)
    try:
        said = shop.run("python order.py").splitlines()
        assert said[0].split()[0] == "sha256"
        assert len(said[0].split()[1]) == 64
        assert said[1] == "digits 2568"
        assert (said[2] in ("waiting", "running", "done"), said[3]) == (True, "film.mp4")
        wanted = {"order 17 is charged at attempt 2", "order 18 is charged at attempt 2"}
        wanted |= {f"welcome, {who}@example.com" for who in ("ada", "alan", "barbara", "grace")}
        wait_until(lambda: all(any(w in line for line in shop.printed) for w in wanted))
        wait_until(lambda: any(line.startswith("tick at ") for line in shop.printed))
        assert "welcome, ada@example.com, since 1843-07-10" in shop.printed
        shop.run('qclient put mail \'{"task":"welcome","args":["x","2026-01-01T00:00:00Z"]}\'')
        wait_until(lambda: "is no address" in shop.run("qclient list mail --state dead"))
    finally:
        end(worker)
    assert not any("Traceback" in line for line in shop.printed)


def test_a_plain_script_puts_what_it_reads(shop: Shop) -> None:
    (command,) = blocks(section(shop.text, "A plain script"), "sh")
    assert "import_users.py" in command
    shop.run(command)
    assert shop.queue("mail") == ["welcome ada@example.com", "welcome alan@example.com"]


@pytest.mark.slow
def test_a_fastapi_app_puts_tasks_and_tells_where_they_stand(shop: Shop) -> None:
    said = shop.python(
        "from fastapi.testclient import TestClient\n"
        "from web import web\n"
        "with TestClient(web) as client:\n"
        '    print(client.post("/signups?address=ada@example.com").json())\n'
        '    print(client.post("/films?film=a.mkv").json())\n'
        '    print(client.get("/films/2").json())\n'
    )
    assert said.splitlines() == [
        "{'job': 1}",
        "{'job': 2}",
        "{'state': 'waiting', 'progress': ''}",
    ]
    assert shop.queue("mail") == ["welcome ada@example.com"]


@pytest.mark.slow
def test_a_django_view_and_a_command_put_tasks(shop: Shop) -> None:
    (shop.directory / "settings.py").write_text(
        'SECRET_KEY = "x"\nINSTALLED_APPS = ["accounts"]\nALLOWED_HOSTS = ["*"]\n'
        f'ROOT_URLCONF = "urls"\nUSE_TZ = True\nQSERVER_URL = "{shop.server.url}"\n'
    )
    (shop.directory / "urls.py").write_text(
        "from django.urls import path\nfrom accounts.views import sign_up\n"
        'urlpatterns = [path("signups", sign_up)]\n'
    )
    shop.environment["DJANGO_SETTINGS_MODULE"] = "settings"
    said = shop.run("python -m django welcome_all ada@example.com alan@example.com")
    assert said == "2 are put\n"
    said = shop.python(
        "import django; django.setup()\n"
        "from django.test import Client\n"
        'answer = Client().get("/signups", {"address": "grace@example.com"})\n'
        "print(answer.status_code, answer.json())\n"
    )
    assert said == "202 {'job': 3}\n"
    assert shop.queue("mail") == [f"welcome {who}@example.com" for who in ("ada", "alan", "grace")]


@pytest.mark.slow
def test_the_tests_of_the_examples_pass(shop: Shop) -> None:
    assert (shop.directory / "conftest.py").is_file()
    said = shop.run("python -m pytest -q -p no:cacheprovider test_shop.py")
    assert said.splitlines()[-1].startswith("3 passed")


@pytest.fixture
def jobs(tmp_path: Path, server: QServer) -> Shop:
    """README's section about jobs."""
    directory = tmp_path / "jobs"
    directory.mkdir()
    return Shop(directory, server, section(README.read_text(encoding="utf-8"), "Run jobs"))


def test_the_jobs_of_the_readme_are_put_and_run(jobs: Shop) -> None:
    put_and_run, _ = blocks(jobs.text, "sh")
    said = jobs.run(put_and_run).splitlines()
    welcomed = sorted(line for line in said if line.startswith("welcome"))
    assert welcomed == sorted(
        [f"welcome user{n}@example.com" for n in range(20)] + ["welcome netcat@example.com"]
    )
    assert jobs.run("qclient list mail") == ""


@pytest.mark.slow
def test_the_worker_of_the_readme_is_killed_and_another_one_runs_its_jobs(jobs: Shop) -> None:
    _, kill_and_see = blocks(jobs.text, "sh")
    process = jobs.start(kill_and_see)
    try:
        wait_until(lambda: sum(line.startswith("welcome") for line in jobs.printed) == 20)
    finally:
        end(process)
    leased = [line for line in jobs.printed if '"state":"leased"' in line]
    assert len(leased) == 20
    assert len({line for line in jobs.printed if line.startswith("welcome")}) == 20
    assert jobs.run("qclient list mail") == ""


def test_netcat_is_there() -> None:
    assert shutil.which("nc") is not None
