"""A real server that wants a token, and those who come to it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import qclient
from qclient import sync
from qclient.dialler import with_token
from tests.e2e.process import PATIENCE_S, QServer, clean_environment

TOKEN = "päss wörd/@:%"


def run(program: str, *words: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", program, *words],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
        env=clean_environment(**given),
    )


def guarded(data: Path) -> QServer:
    file = data.with_name("tokens")
    file.write_text(f"# the old one\nformer\n\n  {TOKEN}  \n")
    return QServer(data, "--token-file", str(file))


async def test_the_clients_say_the_token_from_the_url_or_apart(tmp_path: Path) -> None:
    with guarded(tmp_path / "data") as server:
        async with qclient.connect(with_token(server.url, TOKEN)) as client:
            assert (await client.put("q", 1)).id == 1
        async with qclient.connect(server.url, token="former") as client:
            assert (await client.put("q", 2)).id == 2
        with sync.connect(server.url, token=TOKEN) as blocking:
            assert blocking.put("q", 3).id == 3
        with sync.connect(with_token(server.url, TOKEN)) as blocking:
            assert [row.id for row in blocking.list("q")] == [1, 2, 3]


async def test_a_wrong_token_is_told_on_both_sides_and_counted(tmp_path: Path) -> None:
    with guarded(tmp_path / "data") as server:
        with pytest.raises(qclient.Unauthorized, match="not this server's token"):
            async with qclient.connect(server.url, token="wrong"):
                pass
        with pytest.raises(qclient.Unauthorized, match="wants a token"):
            sync.connect(server.url)
        with sync.connect(server.url, token=TOKEN) as client:
            assert client.stats()["connections_unauthorized_total"] == 1
        assert server.stop() == 0
    warned = [line for line in server.logged if line["level"] == "warning"]
    assert [line["client_host"] for line in warned] == ["127.0.0.1"]
    assert not any(word in str(server.logged) for word in (TOKEN, "former", "wrong'"))


def test_the_command_line_says_the_token_of_the_environment(tmp_path: Path) -> None:
    with guarded(tmp_path / "data") as server:
        given = {"QCLIENT_URL": server.url, "QCLIENT_TOKEN": f"{TOKEN}\n"}
        assert run("qclient", "put", "q", "1", **given).stdout == "1\n"
        file = {"QCLIENT_TOKEN": "", "QCLIENT_TOKEN_FILE": str(tmp_path / "tokens")}
        assert run("qclient", "put", "q", "1", QCLIENT_URL=server.url, **file).stdout == "2\n"
        refused = run("qclient", "put", "q", "1", QCLIENT_URL=server.url)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "wants a token" in refused.stderr
        assert "set QCLIENT_TOKEN" in refused.stderr
        once = run("qclient", "top", "--once", **given)
        assert once.returncode == 0
        assert TOKEN not in once.stdout


def test_a_file_of_tokens_may_be_one_of_windows(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_bytes("\ufeffone\r\n# two\r\nthree\r\n".encode())
    with QServer(tmp_path / "data", "--token-file", str(file)) as server:
        for token in ("one", "three"):
            with sync.connect(server.url, token=token) as client:
                client.ping()
        given = {"QCLIENT_URL": server.url, "QCLIENT_TOKEN_FILE": str(file)}
        assert run("qclient", "ping", **given).returncode == 0


@pytest.mark.parametrize("variable", ["QCLIENT_TOKEN", "QCLIENT_URL"])
def test_a_token_that_is_no_text_is_refused_and_not_shown(variable: str) -> None:
    token = "secret\udcff"
    given = {variable: token if variable == "QCLIENT_TOKEN" else f"qserver://:{token}@127.0.0.1"}
    ended = run("qclient", "ping", **given)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "qclient: the token is no text in UTF-8 [bad-request]\n"


@pytest.mark.parametrize(
    ("words", "given", "says"),
    [
        ([], {"QSERVER_TOKEN": ""}, "QSERVER_TOKEN is set, and empty"),
        ([], {"QSERVER_TOKEN_FILE": ""}, "QSERVER_TOKEN_FILE is set, and empty"),
        ([], {"QSERVER_TOKEN": " "}, "a token has 1 to 256 bytes"),
        (["--token", "x" * 257], {}, "a token has 1 to 256 bytes"),
        ([], {"QSERVER_TOKEN": "se\udcff"}, "a token is text in UTF-8"),
        (["--token-file", os.devnull], {}, "has no token in it"),
        (["--token-file", "not-there"], {}, "does not exist"),
    ],
)
def test_who_means_to_set_a_token_gets_no_server_without_one(
    words: list[str], given: dict[str, str], says: str
) -> None:
    ended = run("qserver", "--memory-only", "--port", "0", *words, **given)
    assert ended.returncode == 2
    assert says in ended.stderr


def test_no_token_is_shown_by_the_server_s_configuration() -> None:
    shown = run("qserver", "config", QSERVER_TOKEN="secret").stdout
    assert "secret" not in shown
    assert "(not shown)" in shown


@pytest.mark.parametrize("token", [None, "secret"])
def test_a_server_that_others_can_reach_and_that_wants_no_token_warns(
    tmp_path: Path, token: str | None
) -> None:
    flags = ["--token", token] if token else []
    with QServer(tmp_path, "--host", "0.0.0.0", *flags) as server:
        warned = [line["event"] for line in server.logged if line["level"] == "warning"]
        assert ["set a token" in event for event in warned] == ([] if token else [True])
