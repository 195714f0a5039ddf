"""protocol.md as the client's codec sees it.

`C:` lines are written again by the client's encoders and must mean the same, body byte for byte.
`S:` lines are decoded, cut three ways, and must give what they say. The error table is the tree.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec
import pytest

from qclient import errors
from qclient.replies import Reply, ReplyReader, refusal
from tests.conformance.encoders import (
    EXCHANGES,
    PROTOCOL,
    meaning,
    parsed,
    request,
    transcripts,
)

UNTYPED = {
    "FROB": "an unknown verb",
    'PUT emails {"to":': "cut JSON: shown by its raw bytes only",
    "PUT emails colour=red 1": "an unknown option",
    "GET / HTTP/1.1": "another protocol",
    "GET .hidden": "refused by the client itself",
    "ACK 1": "refused by the client itself",
    "QUIT": "the client just closes",
}


def reproducible() -> list[str]:
    return sorted({line for line, _ in EXCHANGES if line not in UNTYPED})


def test_there_are_transcripts_with_every_verb_the_client_has() -> None:
    assert len(transcripts()) >= 15
    seen = {parsed(line)[0] for line, _ in EXCHANGES}
    assert seen >= {"PUT", "GET", "ACK", "NACK", "RELEASE", "TOUCH", "LEASES", "PEEK"}
    assert seen >= {
        "LIST",
        "QUEUE",
        "PAUSE",
        "RESUME",
        "PURGE",
        "DROP",
        "REDRIVE",
        "HELLO",
        "PING",
        "HELP",
    }


def test_every_exception_to_the_encoders_is_still_in_the_transcripts() -> None:
    assert set(UNTYPED) <= {line for line, _ in EXCHANGES}


@pytest.mark.parametrize("line", reproducible())
def test_a_request_is_written_by_the_client_as_it_is_in_the_protocol(line: str) -> None:
    sent = request(line).line.decode()
    assert sent.endswith("\n")
    assert sent.count("\n") == 1
    verb, words, options, body = meaning(line)
    if options.get("count") == 1 and verb == "GET":
        del options["count"]  # the default goes without saying
    assert meaning(sent.removesuffix("\n")) == (verb, words, options, body)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("GET .hidden", errors.BadName),
        ("ACK 1", errors.BadReceipt),
        ('PUT emails {"to":', None),
    ],
)
def test_what_the_server_would_refuse_is_refused_by_the_same_class(
    line: str, error: type[errors.ReplyError] | None
) -> None:
    said = next(lines for sent, lines in EXCHANGES if sent == line)[-1]
    code = said.split(" ")[1]
    if error is None:  # the server checks a body's inside
        assert request(line).line.decode() == f"{line}\n"
        return
    assert error.code == code
    with pytest.raises(error):
        request(line)


def filled(line: str) -> str:
    """An S line with something in the place of each `…`."""
    line = line.replace("put_at=…", "put_at=2027-01-31T09:30:00.000Z")
    return line.replace("=…", "=1").replace("/…", "/1").replace(" …", " more=1")


def replies(lines: Sequence[str], step: int) -> list[Reply]:
    stream = "".join(f"{filled(line)}\n" for line in lines).encode()
    reader = ReplyReader()
    found = []
    for at in range(0, len(stream), step):
        found += reader.feed(stream[at : at + step])
    assert reader.is_between
    return found


@pytest.mark.parametrize(("line", "lines"), EXCHANGES)
def test_a_reply_of_the_protocol_is_read_whole(line: str, lines: list[str]) -> None:
    for step in (1, 7, 1 << 20):
        (reply,) = replies(lines, step)
        assert [each.decode() for each in reply[0]] == [filled(each) for each in lines[:-1]], step
        assert reply[1].decode() == filled(lines[-1]), step


@pytest.mark.parametrize("step", [1, 7, 1 << 20], ids=["bytes", "pieces", "whole"])
def test_replies_of_a_whole_transcript_come_in_order(step: int) -> None:
    for block in transcripts():
        found = replies([line for _, lines in block for line in lines], step)
        assert [closing.decode() for _, closing in found] == [
            filled(lines[-1]) for _, lines in block
        ]


def decoded(line: str, lines: Sequence[str]) -> Any:
    return request(line).parse(replies(lines, 1 << 20))


def cases(*wanted: str) -> list[Any]:
    return [
        pytest.param(line, lines, id=f"{line} → {lines[-1]}")
        for line, lines in EXCHANGES
        if parsed(line)[0] in wanted and lines[-1].startswith("OK") and line not in UNTYPED
    ]


@pytest.mark.parametrize(("line", "lines"), cases("GET"))
def test_messages_are_what_the_protocol_says(line: str, lines: list[str]) -> None:
    messages = decoded(line, lines)
    assert len(messages) == int(lines[-1].split()[1]) == len(lines) - 1
    for message, said in zip(messages, lines, strict=False):
        _, receipt, queue, rest = said.split(" ", 3)
        assert (message.receipt, message.queue) == (receipt, queue)
        assert rest.endswith(message.raw.decode())
        options = rest.removesuffix(message.raw.decode()).split()
        for option in options:
            name, _, value = option.partition("=")
            assert str(getattr(message, name)) == value


@pytest.mark.parametrize(("line", "lines"), cases("PUT"))
def test_a_put_is_what_the_protocol_says(line: str, lines: list[str]) -> None:
    _, number, *more = lines[-1].split()
    put = decoded(line, lines)
    assert (put.id, put.is_duplicate) == (int(number), more == ["duplicate"])


@pytest.mark.parametrize(
    ("line", "lines"), cases("ACK", "DONE", "NACK", "RELEASE", "TOUCH", "PROGRESS")
)
def test_settling_is_what_the_protocol_says(line: str, lines: list[str]) -> None:
    settled = decoded(line, lines)
    assert settled.count == int(lines[-1].split()[1])
    assert settled.not_leased == tuple(said.split()[1] for said in lines[:-1])


@pytest.mark.parametrize(("line", "lines"), cases("LIST", "PEEK"))
def test_what_is_listed_is_what_the_protocol_says(line: str, lines: list[str]) -> None:
    found = decoded(line, lines)
    rows = [found] if line.startswith("PEEK") else found.rows
    assert len(rows) == len(lines) - 1
    for row, said in zip(rows, lines, strict=False):
        words = said.split(" ")
        if line == "LIST":
            assert row.name == words[1]
            assert f"ready={row.ready} leased={row.leased}" in said
            continue
        assert (str(row.id), row.state) == (words[1], words[2])
        assert said.endswith(f" {row.raw.decode()}")
        for name, value in row.info.items():
            quoted = f'"{value}"' if " " in value else value
            quoted = msgspec.json.encode(value).decode() if '"' in value else quoted
            assert f" {name}={quoted}" in said or f" {name}=…" in said or name == "more"
    following = re.search(r"next=(\S+)", lines[-1])
    if not line.startswith("PEEK"):
        assert found.next == (following[1] if following else None)


@pytest.mark.parametrize(("line", "lines"), cases("RESULT"))
def test_an_outcome_is_what_the_protocol_says(line: str, lines: list[str]) -> None:
    found = decoded(line, lines)
    words = lines[0].split(" ")
    assert (str(found.id), found.state, found.has_ended) == (
        words[1],
        words[2],
        words[2] in ("done", "dead"),
    )
    assert lines[0].endswith(f" {found.raw.decode()}")
    assert (
        dict(typed_words(lines[0])).items()
        >= {name: value for name, value in found.info.items() if " " not in value}.items()
    )
    assert (found.reason or "") in lines[0]


@pytest.mark.parametrize(("line", "lines"), cases("CLIENTS"))
def test_connections_are_what_the_protocol_says(line: str, lines: list[str]) -> None:
    page = decoded(line, lines)
    for row, said in zip(page.rows, lines[:-1], strict=True):
        assert said.startswith(f"* {row.number} connected=… idle=… requests={row.requests}")
        assert (row.connected_s, row.idle_s) == (1, 1)
        has_session = "session=" in said
        assert (row.session, row.leases) == (("worker-7", 1) if has_session else (None, 0))
        assert row.client == ("the mailer" if has_session else None)
    assert page.next == dict(typed_words(lines[-1])).get("next")


@pytest.mark.parametrize(("line", "lines"), cases("LEASES"))
def test_leases_are_what_the_protocol_says(line: str, lines: list[str]) -> None:
    page = decoded(line, lines)
    assert [f"* {row.receipt} {row.queue} expires_in=…" for row in page.rows] == lines[:-1]
    assert page.next == dict(typed_words(lines[-1])).get("next")


@pytest.mark.parametrize(
    ("line", "lines"), cases("PAUSE", "RESUME", "PURGE", "DROP", "REDRIVE", "QUEUE", "HELP")
)
def test_looking_after_queues_is_what_the_protocol_says(line: str, lines: list[str]) -> None:
    result = decoded(line, lines)
    number = int(lines[-1].split()[1])
    if isinstance(result, list):
        assert len(result) == number
    elif isinstance(result, int):
        assert int(result) == number
    else:
        assert result.info.items() >= dict(typed_words(lines[0])).items()


def typed_words(line: str) -> Iterator[tuple[str, str]]:
    for word in line.split():
        name, equals, value = word.partition("=")
        if equals:
            yield name, value


def test_hello_is_what_the_protocol_says() -> None:
    line, lines = next(each for each in EXCHANGES if each[0].startswith("HELLO client="))
    server = decoded(line, lines)
    assert (server.server, server.protocol) == ("qserver/1", 1)
    assert (server.session, server.grace_s, server.leases) == ("worker-7", 10, 0)


@pytest.mark.parametrize(("line", "lines"), [e for e in EXCHANGES if e[1][-1].startswith("ERR")])
def test_a_refusal_is_raised_by_the_class_of_its_code(line: str, lines: list[str]) -> None:
    error = refusal(replies(lines, 1 << 20)[-1][1])
    assert error is not None
    assert type(error) is errors.BY_CODE[lines[-1].split()[1]]


def error_table() -> dict[str, str]:
    """The protocol's table of errors: code → what the client should do."""
    text = PROTOCOL.read_text().split("## Errors")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| (.*) \|$", text, re.MULTILINE)
    return dict(rows)


def test_every_error_of_the_protocol_has_its_class_and_the_reverse() -> None:
    assert set(error_table()) == set(errors.BY_CODE)


def test_an_error_is_retryable_where_the_protocol_says_so() -> None:
    advised = {code for code, advice in error_table().items() if "try again" in advice}
    assert advised == {code for code, kind in errors.BY_CODE.items() if kind.is_retryable}


def settings_table() -> dict[str, str]:
    text = PROTOCOL.read_text().split("## Queue settings")[1].split("```")[0]
    return dict(re.findall(r"^\| `([a-z_]+)` \| `([a-z0-9]+)` \|", text, re.MULTILINE))


def test_every_setting_of_the_protocol_is_one_of_the_client_with_its_default() -> None:
    from qclient.reports import Settings

    fields = {field.name: field.default for field in msgspec.structs.fields(Settings)}
    del fields["info"]
    assert {name: str(value) for name, value in fields.items()} == settings_table()


def test_every_setting_can_be_given_by_name() -> None:
    import inspect

    from qclient import Client

    assert set(settings_table()) < set(inspect.signature(Client.queue).parameters)


def test_a_parse_is_bound_to_its_request() -> None:
    assert isinstance(request("GET emails").parse, partial)
