"""One blocking socket, with its other end in the test's hand."""

import socket
from collections.abc import Iterator

import pytest

import qclient
from qclient.queues import ping
from qclient.sync.connection import Connection
from qclient.verbs import put_lines
from tests.unit.qclient.sync.sync_fakes import PATIENCE_S, Background


class Ends:
    """Both ends of a TCP connection."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.ours = socket.create_connection(listener.getsockname())
            self.theirs = listener.accept()[0]
        self.theirs.settimeout(PATIENCE_S)
        self.connection = Connection(self.ours)

    def close(self) -> None:
        self.connection.close()
        self.theirs.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def test_a_small_request_does_not_wait_to_be_joined_by_others(ends: Ends) -> None:
    assert ends.ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_replies_in_pieces_are_read_until_all_are_there(ends: Ends) -> None:
    request = put_lines([b"PUT q 1\n", b"PUT q 2\n", b"PUT q 3\n"], is_repeatable=True)
    exchange = Background(lambda: ends.connection.exchange(request, PATIENCE_S))
    assert ends.theirs.recv(100) == request.line
    for piece in (b"O", b"K 1\nOK 2\n", b"OK ", b"3", b"\n"):
        ends.theirs.sendall(piece)
    assert request.parse(exchange.outcome()) == [1, 2, 3]
    assert ends.connection.is_quiet


def test_the_end_of_the_stream_is_a_lost_connection(ends: Ends) -> None:
    ends.theirs.sendall(b"* 1 half of a reply\n")
    ends.theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(qclient.ConnectionLost, match="closed by the server"):
        ends.connection.exchange(ping(), PATIENCE_S)


def test_silence_has_a_bound(ends: Ends) -> None:
    with pytest.raises(qclient.TimedOut, match="no reply for 0 s") as caught:
        ends.connection.exchange(ping(), 0.01)
    assert caught.value.maybe_done


def test_what_the_server_said_before_it_closed_is_heard_although_nothing_can_be_sent(
    ends: Ends,
) -> None:
    ends.theirs.sendall(b"ERR busy too many connections\n")
    ends.ours.sendall(b"unread\n")
    assert ends.theirs.recv(1, socket.MSG_PEEK) == b"u"
    ends.theirs.close()  # with something unread: a reset
    (reply,) = ends.connection.exchange(ping(), PATIENCE_S)
    assert reply == ([], b"ERR busy too many connections")


@pytest.mark.parametrize("extra", [b"OK\n", b"OK", b"* 1\n"], ids=["reply", "piece", "line"])
def test_more_than_was_asked_for_is_kept_from_the_caller_and_noticed(
    ends: Ends, extra: bytes
) -> None:
    ends.theirs.sendall(b"OK\n" + extra)
    assert ends.connection.exchange(ping(), PATIENCE_S) == [([], b"OK")]
    assert not ends.connection.is_quiet


@pytest.mark.parametrize("late", [b"ERR storage gone\n", b""], ids=["words", "end"])
def test_what_comes_between_two_requests_is_noticed(ends: Ends, late: bytes) -> None:
    assert ends.connection.is_quiet
    if late:
        ends.theirs.sendall(late)
    else:
        ends.theirs.close()
    assert not ends.connection.is_quiet


def test_parting_says_so_and_reads_what_still_comes(ends: Ends) -> None:
    ends.theirs.sendall(b"* 1.1 q 1\n")
    parting = Background(lambda: ends.connection.part(PATIENCE_S))
    assert ends.theirs.recv(1) == b""
    ends.theirs.sendall(b"OK 1\n")
    ends.theirs.close()
    assert parting.outcome() == [([b"* 1.1 q 1"], b"OK 1")]


def test_parting_ends_in_time_with_what_there_is(ends: Ends) -> None:
    ends.theirs.sendall(b"OK 0\n")
    assert ends.connection.part(0.01) == [([], b"OK 0")]
    ends.theirs.sendall(b"nonsense\n")
    assert ends.connection.part(0.01) == [([], b"OK 0")]
