"""The page over a real server: what is answered at each path, and the page in a real browser."""

import asyncio
import contextlib
import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from qclient import Client, connect
from qclient.overview import Overview
from qclient.web.app import make
from qclient.web.looking import MESSAGES, Looking
from tests.e2e.process import PATIENCE_S, QServer, clean_environment

BROWSER = shutil.which("chromium")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[QServer]:
    with QServer(tmp_path / "data") as running:
        yield running


@contextlib.asynccontextmanager
async def page_of(
    server: QServer, retry_for: float = 0.1
) -> AsyncIterator[tuple[Client, httpx.AsyncClient]]:
    async with connect(server.url, retry_for=retry_for) as client:
        transport = httpx.ASGITransport(app=make(Looking(client, time.monotonic)))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as page:
            yield client, page


async def asked(page: httpx.AsyncClient, path: str, status: int = 200) -> Any:
    answer = await page.get(path)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_the_overview_has_figures_queues_and_clients(server: QServer) -> None:
    async with page_of(server) as (client, page):
        await client.put("mail", 1)
        seen = await asked(page, "/overview")
    assert seen["server"].startswith("qserver/")
    assert seen["figures"]["ready"] == 1
    assert [(queue["name"], queue["ready"]) for queue in seen["queues"]] == [("mail", 1)]
    assert len(seen["clients"]) == 1


async def test_however_many_look_the_server_is_asked_once_and_the_page_made_once(
    server: QServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with page_of(server) as (client, page):
        first = await asked(page, "/overview")
        monkeypatch.setattr(Overview, "as_json", None)  # with many queues this takes its time
        await client.put("mail", 1)
        assert await asked(page, "/overview") == first


async def test_messages_come_by_state_a_page_at_a_time_and_long_bodies_are_cut(
    server: QServer,
) -> None:
    async with page_of(server) as (client, page):
        await client.put_many("mail", ["x" * 1000] * (MESSAGES + 1))
        (message,) = await client.get("mail")
        await message.nack(dead=True, reason="<b>no</b>")
        some = await asked(page, "/queues/mail")
        assert [row["id"] for row in some["messages"]] == list(range(1, MESSAGES + 1))
        assert some["messages"][1]["body"] == '"' + "x" * 299
        assert some["messages"][1]["body_chars"] == 1002
        rest = await asked(page, f"/queues/mail?after={some['next']}")
        assert [row["id"] for row in rest["messages"]] == [MESSAGES + 1]
        assert rest["next"] is None
        (dead,) = (await asked(page, "/queues/mail?state=dead"))["messages"]
        assert (dead["id"], dead["info"]["reason"]) == (1, "<b>no</b>")


async def test_of_large_messages_a_page_has_fewer(server: QServer) -> None:
    async with page_of(server) as (client, page):
        await client.put_many("mail", ["x" * 1_000_000] * 7)
        some = await asked(page, "/queues/mail")
        assert ([row["id"] for row in some["messages"]], some["next"]) == ([1, 2, 3, 4, 5], 5)
        rest = await asked(page, f"/queues/mail?after={some['next']}")
        assert ([row["id"] for row in rest["messages"]], rest["next"]) == ([6, 7], None)


async def test_a_message_is_shown_whole_without_what_would_settle_it(server: QServer) -> None:
    async with page_of(server) as (client, page):
        await client.put("mail", {"text": "ä" * 1000})
        (leased,) = await client.get("mail", lease=60)
        said = (await page.get("/messages/1")).text
        row = json.loads(said)
        assert (row["state"], row["queue"]) == ("leased", "mail")
        assert json.loads(row["body"]) == {"text": "ä" * 1000}
        assert leased.receipt not in said
        assert leased.receipt not in (await page.get("/queues/mail")).text


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/messages/7", 404, "there is no message 7"),
        ("/messages/x", 400, "'x' is no message's id"),
        ("/messages/" + "9" * 21, 400, "is no message's id"),
        ("/queues/a%20b", 400, "not a name"),
        ("/queues/%ff", 400, "not a name"),
        ("/queues/a?state=old", 400, "not a state"),
        ("/queues/a?after=-1", 400, "is no message's id"),
        ("/nothing", 404, "Not Found"),
    ],
)
async def test_what_can_not_be_shown_says_why(
    server: QServer, path: str, status: int, says: str
) -> None:
    async with page_of(server) as (_, page):
        assert says in (await asked(page, path, status))["error"]


async def test_it_only_looks(server: QServer) -> None:
    async with page_of(server) as (client, page):
        for path in ("/queues/a", "/queues/a?state=dead", "/overview", "/metrics"):
            assert (await page.get(path)).status_code == 200
            refused = await page.post(path)
            assert refused.status_code == 405
            assert sorted(refused.headers["Allow"].split(", ")) == ["GET", "HEAD"]
        assert [row async for row in client.queues()] == []


async def test_a_server_that_is_gone_is_told(server: QServer) -> None:
    async with page_of(server) as (_, page):
        assert await asked(page, "/health") == {"ok": True}
        assert "qserver_up 1.0\n" in (await page.get("/metrics")).text
        server.stop()
        assert await asked(page, "/health", 503) == {"ok": False}
        assert "no connection" in (await asked(page, "/overview", 503))["error"]
        gone = await page.get("/metrics")
        assert gone.status_code == 200
        assert gone.text.endswith("qserver_up 0.0\n")


async def test_those_who_look_at_a_server_that_is_gone_wait_together(server: QServer) -> None:
    looks: list[float] = []
    async with page_of(server, retry_for=0.5) as (_, page):
        server.stop()

        async def look() -> None:
            began = time.monotonic()
            assert "no connection" in (await asked(page, "/overview", 503))["error"]
            looks.append(time.monotonic() - began)

        await asyncio.gather(*(look() for _ in range(20)))
    assert max(looks) < 2


class Page:
    """`qclient web` as a process."""

    def __init__(self, server: QServer, *words: str, **given: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "qclient", "web", "--port", "0", *words],
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(QCLIENT_URL=server.url, **given),
        )
        assert self.process.stderr is not None
        self.said = ""
        found = None
        while found is None:
            self.said += self.process.stderr.readline()
            found = re.search(r" at (http://\S+/)\n", self.said)
            assert found or self.process.poll() is None, self.said
        self.url = found[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    def read(self, path: str) -> str:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE_S) as answer:
            return str(answer.read().decode())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_serves_it_until_it_is_told_to_stop(
    server: QServer, number: signal.Signals
) -> None:
    with Page(server) as page:
        assert "<title>qserver</title>" in page.read("")
        assert "qserver_up 1.0" in page.read("metrics")
        page.process.send_signal(number)
        _, said = page.process.communicate(timeout=PATIENCE_S)
        assert (page.process.returncode, said) == (0, "")


def test_a_port_that_is_taken_is_named(server: QServer) -> None:
    said = web_that_ends(server, "--port", str(server.port), code=1)
    assert "can't listen at 127.0.0.1:" in said
    assert "Traceback" not in said


def web_that_ends(server: QServer, *words: str, code: int, **given: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-m", "qclient", "--url", server.url, "web", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
        env=clean_environment(**given),
    )
    assert ended.returncode == code
    return ended.stderr


@pytest.mark.parametrize(
    ("words", "host", "status"),
    [
        ((), "localhost", 200),
        ((), "evil.example", 421),
        (("--name", "Queues.example"), "queues.example:80", 200),
        (("--name", "queues.example", "--host", "0.0.0.0"), "evil.example", 421),
        (("--host", "0.0.0.0"), "any.example", 200),
    ],
)
def test_a_page_on_this_machine_is_given_by_names_of_this_machine(
    server: QServer, words: tuple[str, ...], host: str, status: int
) -> None:
    with Page(server, *words) as page:
        where = page.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(where, headers={"Host": host}).status_code == status


def test_whoever_reaches_a_page_for_others_needs_the_password(server: QServer) -> None:
    given = {"QCLIENT_WEB_PASSWORD": "open"}
    with Page(server, "--host", "0.0.0.0", **given) as page:
        where = page.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(where).status_code == 401
        assert httpx.get(where, auth=("", "open")).status_code == 200
        assert "set a password" not in page.said
    with Page(server, "--host", "0.0.0.0") as page:
        assert "set a password" in page.said


def test_a_password_that_is_empty_by_mistake_is_refused(server: QServer) -> None:
    assert "the password is empty" in web_that_ends(server, code=2, QCLIENT_WEB_PASSWORD="")


def test_without_the_extra_it_says_what_to_install(server: QServer) -> None:
    without = "import sys; sys.modules['starlette'] = None; from qclient.cli import main; main()"
    words = [sys.executable, "-c", without, "--url", server.url, "web"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "pip install 'qserver[web]'" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium")
@pytest.mark.parametrize(
    ("place", "shows"),
    [
        ("", ["<title>qserver</title>", ">mail</a>", "sync=always", "puts_total"]),
        ("#queue/mail?state=dead", ["<title>mail \u2013 qserver</title>", "&lt;b&gt;no&lt;/b&gt;"]),
        ("#message/1", ["<title>message 1 \u2013 qserver</title>", "&lt;script&gt;"]),
        ("#message/99", ["there is no message 99"]),
        ("#queue/%", ["not a name"]),
    ],
)
def test_a_browser_draws_it_and_takes_nothing_of_a_message_for_html(
    server: QServer, tmp_path: Path, place: str, shows: list[str]
) -> None:
    lines = b'PUT mail "<script>document.title=0</script>"\nGET mail\n'
    server.ask(lines + b'NACK 1.1 dead=yes reason="<b>no</b>"\n')
    with Page(server) as page:
        drawn = browsed(page.url + place, tmp_path)
    assert [text for text in shows if text not in drawn] == []


def browsed(url: str, home: Path) -> str:
    assert BROWSER is not None
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    quiet += ["--disable-background-networking", "--disable-component-update"]
    words = [BROWSER, "--headless", "--no-sandbox", *quiet, f"--user-data-dir={home / 'browser'}"]
    words += ["--virtual-time-budget=3000", "--dump-dom", url]
    return subprocess.run(
        words, capture_output=True, text=True, check=True, timeout=PATIENCE_S
    ).stdout
