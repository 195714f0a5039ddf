"""How the synchronous client's connections begin."""

import os
import socket
from collections.abc import Iterator

import pytest

import qclient
import qclient.sync.opening
from qclient import Backoff
from qclient.sync import connect
from tests.unit.qclient.client_fakes import SILENCE, SOON
from tests.unit.qclient.sync.sync_fakes import Fake


@pytest.fixture
def fake() -> Iterator[Fake]:
    with Fake() as running:
        yield running


@pytest.fixture
def closed_port() -> Iterator[int]:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


def test_it_says_who_it_is_and_hears_who_answers(fake: Fake) -> None:
    with connect(fake.url, session="w", grace=5) as client:
        assert client.server.server == "fake/1"
        assert client.session == "w"
        assert client.hello().count_max == 1000
    name = f"{socket.gethostname()}:{os.getpid()}"
    assert fake.sent("HELLO") == [f"HELLO client={name} session=w grace=5"] * 2


def test_a_client_needs_no_block(fake: Fake) -> None:
    client = connect(fake.url)
    client.ping()
    client.close()


def test_where_nobody_listens_it_says_so_at_once(closed_port: int) -> None:
    with pytest.raises(qclient.CannotConnect, match=f"127.0.0.1:{closed_port}: connection refused"):
        connect(f"127.0.0.1:{closed_port}")


class Time:
    """Stands for the module."""

    def __init__(self) -> None:
        self.now = 50.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_a_server_that_comes_late_is_waited_for_where_that_was_asked_for(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    time = Time()
    monkeypatch.setattr(qclient.sync.opening, "time", time)
    backoff = Backoff(first_s=1, max_s=8, random=lambda: 1)
    with pytest.raises(qclient.CannotConnect):
        connect(f"127.0.0.1:{closed_port}", connect_for=20, backoff=backoff)
    assert time.slept == [1, 2, 4, 8]


def test_the_first_connection_is_tried_once_unless_more_is_asked_for(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qclient.sync.opening, "time", time := Time())
    with pytest.raises(qclient.CannotConnect):
        connect(f"127.0.0.1:{closed_port}", backoff=Backoff(random=lambda: 0))
    assert time.slept == []


def test_a_greeting_that_is_not_answered_in_time_is_no_connection(fake: Fake) -> None:
    fake.say("HELLO", SILENCE)
    with pytest.raises(qclient.CannotConnect, match=r"did not answer within 0\.05 s"):
        connect(fake.url, connect_timeout=0.05)
    with connect(fake.url) as client:
        fake.say("HELLO", SILENCE)
        with pytest.raises(qclient.CannotConnect, match=r"did not answer within 0\.05 s"):
            client._pool.dial(0.05)


def test_a_refused_greeting_is_raised(fake: Fake) -> None:
    fake.say("HELLO", b"ERR busy too many connections\n")
    with pytest.raises(qclient.Busy):
        connect(fake.url)


def test_what_speaks_another_protocol_is_told(fake: Fake) -> None:
    fake.say("HELLO", b"HTTP/1.1 400 Bad Request\n")
    with pytest.raises(qclient.ProtocolError):
        connect(fake.url)


def test_a_server_that_is_full_while_the_pool_grows_is_tried_again(fake: Fake) -> None:
    with connect(fake.url, backoff=SOON) as client:
        fake.drop_connections()
        fake.say("HELLO", b"ERR busy too many connections\n")
        client.ping()
        assert len(fake.sent("HELLO")) == 3


def test_a_bad_address_or_session_is_refused_before_anything_is_sent(fake: Fake) -> None:
    with pytest.raises(qclient.BadRequest):
        connect("http://127.0.0.1")
    with pytest.raises(qclient.BadName):
        connect(fake.url, session="no name")
    assert fake.sent("HELLO") == []
