"""`qserver check`, `repair` and `export` as they are typed, on what a real server left."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.process import PATIENCE_S, QServer, clean_environment


def qserver(*words: str | Path) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    result = subprocess.run(
        [sys.executable, "-m", "qserver", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=clean_environment(),
        check=False,
    )
    return result.returncode, result.stdout, result.stderr


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """The directory of a server that has stopped: five messages, the second leased, one acked."""
    directory = tmp_path / "data"
    with QServer(directory) as server:
        for number in range(1, 6):
            server.ask(b'PUT q key=k%d {"n": %d}\n' % (number, number))
        server.ask(b"GET q\nACK 1.1\nGET q lease=1h\nPUT other 1.50\n")
        assert server.stop() == 0
    return directory


def damage(directory: Path) -> Path:
    """Change one byte of the third message's body."""
    (segment,) = directory.glob("journal-*.jsonl")
    content = segment.read_bytes()
    assert content.count(b'{"n": 3}') == 1
    segment.write_bytes(content.replace(b'{"n": 3}', b'{"n": 8}'))
    return segment


@pytest.mark.slow
def test_a_whole_journal_is_whole(journal: Path) -> None:
    code, out, _ = qserver("check", journal)
    assert code == 0
    assert "journal-000000000001.jsonl" in out
    assert out.endswith("the journal is whole\n")
    code, out, _ = qserver("check", "--json", journal)
    assert (code, json.loads(out)["whole"]) == (0, True)
    code, out, _ = qserver("repair", journal)
    assert (code, out.endswith("the journal is whole\n")) == (0, True)


@pytest.mark.slow
def test_a_refused_start_names_the_commands_that_help_and_they_do(journal: Path) -> None:
    segment = damage(journal)
    with QServer(journal) as server:
        assert server.wait() == 1
        refusal = server.logged[-1]
    assert "qserver check, then mend it with qserver repair" in refusal["event"]
    assert segment.name in refusal["error"]
    assert refusal["check"] == f"qserver check {journal}"
    assert refusal["repair"] == f"qserver repair {journal}"
    code, out, _ = qserver("check", journal)
    assert code == 1
    assert f"DAMAGE {segment}, byte " in out
    assert "messages that are lost: 3 (q)" in out
    assert "1 put_with" in out
    before = json.loads(qserver("check", "--json", journal)[1])
    code, out, _ = qserver("repair", "--json", journal)
    report = json.loads(out)
    assert (code, report["repaired"], report["damages"]) == (0, True, before["damages"])
    assert report["lost"]["messages"] == [{"id": 3, "queue": "q"}]
    assert b'{"n": 8}' in Path(report["kept_as"][0]).read_bytes()
    assert qserver("check", journal)[0] == 0
    with QServer(journal) as server:
        listed = server.ask(b"LIST q\n").splitlines()
        assert [line.split()[1] for line in listed[:-1]] == [b"2", b"4", b"5"]
        assert server.ask(b"ACK 2.2\n") == b"OK 1\n"
        assert int(server.ask(b"PUT q 1\n").split()[1]) > 1_000_000


def test_a_repair_is_for_people_too(journal: Path) -> None:
    damage(journal)
    (journal / "notes").write_text("mine")
    code, out, _ = qserver("repair", journal)
    assert code == 0
    assert "damaged bytes are kept in" in out
    assert "stray file, left alone: notes" in out
    assert out.endswith("a server can start\n")


@pytest.mark.slow
def test_while_a_server_works_a_check_reads_and_a_repair_is_refused(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        server.ask(b"PUT q 1\n")
        code, out, _ = qserver("check", tmp_path)
        assert (code, "a server works here" in out) == (0, True)
        code, _, err = qserver("repair", tmp_path)
        assert (code, "in use by another server" in err) == (1, True)
        assert qserver("export", tmp_path)[1].startswith('{"id":1,"queue":"q","state":"ready"')
        assert server.ask(b"PUT q 1\n") == b"OK 2\n"


def test_an_export_is_for_jq(journal: Path) -> None:
    code, out, _ = qserver("export", journal)
    lines = out.splitlines()
    assert code == 0
    assert [json.loads(line)["id"] for line in lines] == [2, 3, 4, 5, 6]
    assert lines[0].endswith('"body":{"n": 2}}')
    first = json.loads(lines[0])
    assert (first["state"], first["receipt"], first["key"]) == ("leased", "2.2", "k2")
    assert lines[4].endswith('"body":1.50}')


@pytest.mark.slow
def test_exported_bodies_can_be_put_again(journal: Path, tmp_path: Path) -> None:
    code, bodies, _ = qserver("export", "--queue", "q", "--bodies", journal)
    assert (code, bodies) == (0, '{"n": 2}\n{"n": 3}\n{"n": 4}\n{"n": 5}\n')
    with QServer(tmp_path / "new") as server:
        subprocess.run(
            [sys.executable, "-m", "qclient", "--url", server.url, "put", "q"],
            input=bodies.encode(),
            capture_output=True,
            check=True,
            env=clean_environment(),
        )
        assert b"ready=4" in server.ask(b"LIST\n")
        assert server.ask(b"GET q\n") == b'* 1.1 q {"n": 2}\nOK 1\n'


def test_messages_that_are_only_retained_are_no_bodies(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        server.ask(b"QUEUE q retain=1h\nPUT q 1\nPUT q 2\nGET q\nACK 1.1\n")
        server.kill()
    assert qserver("export", "--bodies", tmp_path)[1] == "2\n"
    assert '"state":"done"' in qserver("export", tmp_path)[1]


def test_a_damaged_journal_is_not_exported(journal: Path) -> None:
    damage(journal)
    code, out, err = qserver("export", journal)
    assert (code, out, "qserver check" in err) == (1, "", True)


def test_what_can_not_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "journal-000000000001.jsonl").write_bytes(b'{"qserver":"journal","format":9}\n')
    for command in ("check", "repair", "export"):
        code, _, err = qserver(command, tmp_path)
        assert (code, err.count("\n"), "has format 9" in err) == (1, 1, True)
    assert qserver("check", tmp_path / "absent")[0] == 2
    assert qserver("check")[0] == 2


def test_an_output_that_takes_no_more_is_said_in_one_line(journal: Path) -> None:
    for command in ("check", "export"):
        with Path("/dev/full").open("w") as full:
            result = subprocess.run(
                [sys.executable, "-m", "qserver", command, journal],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert (result.returncode, result.stderr.count("\n")) == (1, 1)
        assert "No space left" in result.stderr


def test_an_interrupted_check_does_not_say_with_its_exit_code_that_there_is_damage(
    journal: Path,
) -> None:
    program = (
        "import signal; from qserver.server import offline\n"
        "offline.survey = lambda *_: signal.raise_signal(signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import qserver.__main__"
    )
    words = [sys.executable, "-c", program, "check", str(journal)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")
