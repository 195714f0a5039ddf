"""A server that wants a token, and those who have not said it."""

import pytest

from qserver.config import STRANGER_LINE_BYTES_MAX, STRANGER_REQUESTS_MAX
from qserver.dispatch.tokens import Tokens
from qserver.dispatch.verbs import VERBS
from tests.sim import Peer, Sim

OPEN = {"HELLO", "PING", "HELP", "QUIT"}
CLOSED = sorted({name.decode() for name in VERBS} - OPEN)


@pytest.fixture
def sim() -> Sim:
    return Sim(tokens=["open sesame", "öffne"])


@pytest.fixture
def stranger(sim: Sim) -> Peer:
    return sim.connect()


def codes(replies: bytes) -> list[str]:
    return [" ".join(line.split()[:2]) for line in replies.decode().splitlines()]


@pytest.mark.parametrize("verb", [*CLOSED, *map(str.lower, CLOSED), "Put", "PUT\tjobs"])
@pytest.mark.parametrize("rest", ["", " 1", " jobs 1", " jobs x="])
def test_nothing_is_done_for_a_stranger_and_the_connection_goes_on(
    sim: Sim, stranger: Peer, verb: str, rest: str
) -> None:
    assert codes(stranger.send(f"{verb}{rest}\n".encode())) == ["ERR unauthorized"]
    assert not stranger.is_closed
    assert not sim.broker.messages
    assert not sim.broker.queues


def test_a_stranger_may_ask_whether_the_server_lives_and_what_it_speaks(stranger: Peer) -> None:
    assert stranger.ask("PING") == ["OK"]
    assert stranger.ask("help put")[-1] == "OK 1"
    assert stranger.ask("# nothing") == []
    assert stranger.ask("QUIT") == ["OK"]
    assert stranger.is_closed


@pytest.mark.parametrize("line", ["PUT a 1", "PUT b x", "PING", "HELP", "HELLO", "frob", " LIST"])
def test_a_stranger_is_answered_so_many_requests_and_no_more(
    sim: Sim, stranger: Peer, line: str
) -> None:
    said = stranger.send(f"{line}\n".encode() * (STRANGER_REQUESTS_MAX - 1))
    ends = [code for code in codes(said) if code[:2] != "* "]
    assert len(ends) == STRANGER_REQUESTS_MAX - 1
    assert set(ends) < {"OK", "OK 24", "ERR unauthorized"}
    assert not stranger.is_closed
    last = codes(stranger.send(f"{line}\n".encode() * 1000))
    assert last[-1] == "ERR unauthorized"
    assert len([code for code in last if code[:2] != "* "]) == 2
    assert stranger.is_closed
    assert not sim.broker.messages


def test_empty_lines_and_comments_of_a_stranger_are_no_requests(stranger: Peer) -> None:
    for _ in range(100):
        assert stranger.send(b"\n# hello\r\n\t\n") == b""
    assert codes(stranger.send(b'HELLO token="open sesame"\nPUT a 1\n'))[1] == "OK 1"


def test_no_more_lines_are_looked_at_though_they_are_empty(stranger: Peer) -> None:
    said = stranger.send(b"\n" * STRANGER_REQUESTS_MAX + b'HELLO token="open sesame"\n')
    assert codes(said) == ["ERR unauthorized"]
    assert stranger.is_closed


@pytest.mark.parametrize("over", [0, 1])
def test_a_stranger_s_line_may_be_as_long_as_a_hello_and_no_longer(
    stranger: Peer, over: int
) -> None:
    said = stranger.send(b"PING\nHELLO client=" + b"x" * (STRANGER_LINE_BYTES_MAX - 13 + over))
    assert codes(said) == ["OK", "ERR too-long"][: 1 + over]
    assert stranger.is_closed == bool(over)


def test_who_says_the_token_may_go_on_with_a_long_line_at_once(stranger: Peer) -> None:
    said = stranger.send(b'HELLO token="open sesame"\nPUT a "' + b"x" * 500_000)
    assert codes(said)[0].startswith("OK ")
    assert codes(stranger.send(b'"\n')) == ["OK 1"]


@pytest.mark.parametrize("token", ['"open sesame"', "wrong"])
def test_the_last_request_of_a_stranger_may_be_its_token(stranger: Peer, token: str) -> None:
    stranger.send(b"PING\n" * (STRANGER_REQUESTS_MAX - 1))
    said = codes(stranger.send(f"HELLO token={token}\nPUT a 1\n".encode()))
    assert said[1:] == (["OK 1"] if token != "wrong" else [])
    assert said[0][:3] == ("OK " if token != "wrong" else "ERR")


@pytest.mark.parametrize("token", ['"open sesame"', "öffne", '"\\u00f6ffne"'])
def test_who_says_any_of_the_tokens_is_no_stranger(stranger: Peer, token: str) -> None:
    said = stranger.send(f"PUT a 1\nhello token={token}\nPUT a 2\nPUT a 3\n".encode())
    assert codes(said) == ["ERR unauthorized", codes(said)[1], "OK 1", "OK 2"]
    assert codes(said)[1].startswith("OK server=")
    assert stranger.ask("HELLO")[0].startswith("OK ")


@pytest.mark.parametrize("hello", ["HELLO ", " hello ", "\tHELLO\t", "Hello "])
@pytest.mark.parametrize("behind", ["GET a\n", "PUT a 1\nPUT a 2\n", "# no\n\nLIST\n"])
def test_what_is_sent_behind_the_token_is_done_however_its_line_is_written(
    stranger: Peer, hello: str, behind: str
) -> None:
    said = stranger.send(f'{hello}token="open sesame"\n{behind}'.encode())
    assert "ERR unauthorized" not in codes(said)


@pytest.mark.parametrize("token", ["open", '"open sesame "', '"OPEN SESAME"', '"\\u0000"'])
def test_a_wrong_token_closes_and_nothing_behind_it_is_looked_at(
    sim: Sim, stranger: Peer, token: str
) -> None:
    line = f'HELLO token={token} session=s\nHELLO token="open sesame"\nPUT a 1\n'
    assert codes(stranger.send(line.encode())) == ["ERR unauthorized"]
    assert stranger.is_closed
    assert not sim.broker.messages
    assert not sim.broker.sessions


def test_a_hello_without_the_token_tells_nothing_and_joins_nothing(
    sim: Sim, stranger: Peer
) -> None:
    assert codes(stranger.send(b"HELLO session=s client=c\n")) == ["ERR unauthorized"]
    assert not sim.broker.sessions
    assert stranger.conversation.client.name == ""
    assert not stranger.is_closed


def test_who_is_known_and_says_a_wrong_token_is_closed_too(sim: Sim) -> None:
    peer = sim.connect()
    peer.ask('HELLO token="open sesame"')
    assert codes(peer.send(b"HELLO token=other\nPUT a 1\n")) == ["ERR unauthorized"]
    assert peer.is_closed


def test_what_looks_like_http_is_closed_for_strangers_too(stranger: Peer) -> None:
    assert codes(stranger.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")) == ["ERR http"]
    assert stranger.is_closed


def test_a_server_without_a_token_takes_any() -> None:
    peer = Sim().connect()
    assert peer.ask("HELLO token=whatever")[0].startswith("OK ")
    assert peer.ask("PUT a 1") == ["OK 1"]


def test_tokens_are_kept_as_digests() -> None:
    tokens = Tokens(["secret"])
    assert "secret" in tokens
    assert "Secret" not in tokens
    assert "secret" not in repr(tokens._digests)
