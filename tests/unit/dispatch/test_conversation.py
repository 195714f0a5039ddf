"""One client's lines, in order: what holds them up, what ends them, what has to be stored first."""

import pytest

from qserver.config import Limits
from tests.sim import Peer, Sim


@pytest.fixture
def sim() -> Sim:
    return Sim()


@pytest.fixture
def peer(sim: Sim) -> Peer:
    return sim.connect()


# --- order ------------------------------------------------------------------------------------


def test_replies_come_in_the_order_of_the_requests(peer: Peer) -> None:
    assert peer.send(b"PUT a 1\nFROB\nGET a\nPING\nACK 1.1\n").split(b"\n") == [
        b"OK 1",
        b"ERR unknown-verb there is no verb 'FROB'; HELP lists them",
        b"* 1.1 a 1",
        b"OK 1",
        b"OK",
        b"OK 1",
        b"",
    ]


@pytest.mark.parametrize("verb", ["PING", "ping", "Ping", "pInG"])
def test_a_verb_may_be_written_in_any_case(peer: Peer, verb: str) -> None:
    assert peer.ask(verb) == ["OK"]


@pytest.mark.parametrize(
    "asked", ["put a 1", "Put a 1", "PUT\ta\t1", "PUT  a  1", " PUT a 1", "\t PUT \t a\t \t1"]
)
def test_any_blanks_part_the_words(peer: Peer, asked: str) -> None:
    assert peer.ask(asked) == ["OK 1"]
    assert peer.ask("LIST a") == ["* 1 ready 1", "OK 1"]


@pytest.mark.parametrize(
    "asked",
    [
        "PUT 7 key=k delay=0 {}",
        "GET 7,8 count=2 wait=0 lease=30",
        "ACK 1.1 2.2",
        "NACK 1.1 2.2 delay=1 reason=x dead=no",
        "RELEASE 1.1 2.2",
        "TOUCH 1.1 2.2 lease=30",
        "PEEK 1",
        "LIST count=3 after=a",
        "LIST 7 state=ready count=3",
        "QUEUE 7 lease=30 ttl=0",
        "PURGE 7 state=ready",
        "REDRIVE 7 count=1 dry=yes",
        "HELLO client=c session=s grace=5",
        "HELP PUT",
        "PAUSE 7",
    ],
)
@pytest.mark.parametrize("blank", ["  ", "\t", " \t "])
def test_every_verb_takes_any_blanks_between_its_words(asked: str, blank: str) -> None:
    answers = []
    for line in (asked, asked.replace(" ", blank), asked.replace(" ", blank) + blank):
        peer = Sim().connect()
        peer.ask('PUT 7 "x"')
        peer.ask('PUT 7 "y"')
        peer.ask("GET 7")
        answers.append(peer.ask(line))
    if not asked.startswith("PUT"):  # a body keeps the blanks behind it
        assert answers[2] == answers[0]
    assert answers[1] == answers[0]
    assert answers[0][-1].startswith("OK")


@pytest.mark.parametrize("silence", [b"\n", b"\r\n", b"# note\n", b"#\n", b" \t\n", b"#PUT a 1\n"])
def test_empty_lines_and_comments_get_no_reply(peer: Peer, silence: bytes) -> None:
    assert peer.send(silence) == b""
    assert peer.send(silence + b"PING\n" + silence) == b"OK\n"
    assert not peer.conversation.backlog


def test_a_line_without_its_end_is_not_carried_out_even_at_eof(peer: Peer) -> None:
    assert peer.send(b"PUT a 1\nPUT a 2") == b"OK 1\n"
    assert peer.end_input() == b""
    assert peer.is_closed
    assert peer.sim.broker.last_id == 1


# --- slices -----------------------------------------------------------------------------------


def test_a_slice_answers_no_more_lines_than_its_budget(peer: Peer) -> None:
    conversation = peer.conversation
    conversation.hear(b"PING\n" * 5)
    assert conversation.go_on(peer.sim.now, 2) == b"OK\n" * 2
    assert len(conversation.backlog) == 3
    assert conversation.backlog_bytes == 25
    assert conversation.go_on(peer.sim.now, 3) == b"OK\n" * 3
    assert (len(conversation.backlog), conversation.backlog_bytes) == (0, 0)


def test_lines_that_get_no_reply_count_against_the_budget(peer: Peer) -> None:
    peer.conversation.hear(b"#\n" * 3 + b"PING\n")
    assert peer.conversation.go_on(peer.sim.now, 3) == b""
    assert peer.conversation.go_on(peer.sim.now, 3) == b"OK\n"


def test_long_requests_and_replies_use_up_more_of_the_budget(peer: Peer) -> None:
    peer.ask('PUT q "' + "x" * 4000 + '"')
    peer.conversation.hear(b"PEEK 1\n" * 4 + b'PUT q "%b"\n' % (b"y" * 4000) + b"PING\n" * 2)
    replies = [peer.conversation.go_on(peer.sim.now, 8).count(b"OK") for _ in range(4)]
    assert replies == [2, 2, 3, 0]


@pytest.mark.parametrize("line", ["LIST", "list q", "LiSt q", "STATS", "TOUCH 1.1", "frob"])
def test_a_request_that_may_take_its_time_ends_the_turn(peer: Peer, line: str) -> None:
    peer.conversation.hear(f"PING\n{line}\nPING\n".encode())
    peer.conversation.go_on(peer.sim.now, 8)
    assert peer.conversation.go_on(peer.sim.now, 8) == b"OK\n"


def test_clients_take_turns_in_slices(sim: Sim) -> None:
    sim.lines_per_turn = 2
    first, second = sim.connect(), sim.connect()
    first.hear(b"PUT a 1\nPUT a priority=5 1\n" * 2)
    second.hear(b"PUT a 2\nPUT a priority=5 2\n" * 2)
    sim.turn()
    assert first.take() == b"OK 1\nOK 2\nOK 5\nOK 6\n"
    assert second.take() == b"OK 3\nOK 4\nOK 7\nOK 8\n"


# --- a GET that waits ---------------------------------------------------------------------------


def test_a_get_that_waits_holds_up_the_requests_behind_it(sim: Sim, peer: Peer) -> None:
    assert peer.send(b"GET a wait=5\nPING\nPUT b 1\n") == b""
    assert (peer.conversation.is_waiting, len(peer.conversation.backlog)) == (True, 2)
    assert sim.connect().ask("PUT a 1") == ["OK 1"]
    assert peer.take() == b"* 1.1 a 1\nOK 1\nOK\nOK 2\n"
    assert not peer.conversation.is_waiting


def test_what_comes_while_a_get_waits_stays_behind_it(sim: Sim, peer: Peer) -> None:
    peer.send(b"GET a wait=1\n")
    assert peer.send(b"PING\n") == b""
    sim.pass_time(1.1)
    assert peer.take() == b"OK 0\nOK\n"


def test_gets_that_wait_one_behind_another_wait_in_turn(sim: Sim, peer: Peer) -> None:
    peer.send(b"GET a wait=1\nGET a wait=1\n")
    sim.pass_time(1.1)
    assert (peer.take(), peer.conversation.is_waiting) == (b"OK 0\n", True)
    sim.pass_time(0.8)
    assert peer.take() == b""
    sim.pass_time(0.3)
    assert peer.take() == b"OK 0\n"


# --- the client ends ----------------------------------------------------------------------------


def test_what_was_heard_before_eof_is_answered_before_the_close(peer: Peer) -> None:
    peer.hear(b"PUT a 1\nLIST a\n")
    assert peer.end_input() == b"OK 1\n* 1 ready 1\nOK 1\n"
    assert peer.is_closed


def test_eof_ends_a_get_that_waits_with_nothing(sim: Sim, peer: Peer) -> None:
    peer.send(b"GET a wait=1h\n")
    assert peer.end_input() == b"OK 0\n"
    assert peer.is_closed
    assert sim.broker.waiters == {}


def test_eof_behind_a_waiting_get_lets_the_rest_be_answered(peer: Peer) -> None:
    peer.send(b"GET a wait=1h\nPUT a 1\nGET a wait=1h\nPING\n")
    assert peer.end_input() == b"OK 0\nOK 1\nOK 0\nOK\n"
    assert peer.is_closed


def test_nothing_is_leased_to_a_client_that_is_gone(sim: Sim, peer: Peer) -> None:
    sim.connect().ask("PUT a 1")
    peer.conversation.hear(b"GET a\n")
    assert peer.end_input() == b"OK 0\n"
    assert sim.connect().ask("LIST a state=ready") == ["* 1 ready 1", "OK 1"]


def test_eof_with_a_backlog_longer_than_a_slice_is_answered_whole(sim: Sim, peer: Peer) -> None:
    sim.lines_per_turn = 2
    peer.conversation.hear(b"PING\n" * 7)
    assert not peer.is_closed
    assert peer.end_input() == b"OK\n" * 7
    assert peer.is_closed


def test_a_lost_connection_takes_its_waiting_get_and_its_backlog_along(
    sim: Sim, peer: Peer
) -> None:
    peer.send(b"GET a wait=1h\nPUT b 1\n")
    peer.cut()
    assert sim.broker.waiters == {}
    assert sim.connect().ask("PUT a 1") == ["OK 1"]
    assert sim.connect().ask("LIST") == [
        "* a ready=1 leased=0 delayed=0 dead=0 done=0 bytes=1 oldest=0",
        "OK 1",
    ]
    assert (peer.take(), len(peer.conversation.backlog)) == (b"", 0)
    assert not peer.conversation.is_waiting


# --- the server ends it -------------------------------------------------------------------------


def test_nothing_behind_a_quit_is_carried_out(sim: Sim, peer: Peer) -> None:
    assert peer.send(b"PING\nQUIT\nPUT a 1\nPING\n") == b"OK\nOK\n"
    assert peer.is_closed
    assert not sim.broker.messages


def test_nothing_is_kept_of_what_stands_behind_a_quit(peer: Peer) -> None:
    conversation = peer.conversation
    conversation.hear(b"QUIT\nPUT a 1\nPING\n")
    assert conversation.go_on(peer.sim.now, 10) == b"OK\n"
    conversation.hear(b"PING\n" * 3)
    assert (len(conversation.backlog), conversation.backlog_bytes) == (0, 0)
    assert conversation.go_on(peer.sim.now, 10) == b""


def test_a_quit_that_is_refused_does_not_end_the_talk(peer: Peer) -> None:
    assert peer.ask("QUIT now") == ["ERR bad-request nothing more can stand at 'now'"]
    assert peer.ask("PING") == ["OK"]


@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_lost_framing_is_told_when_all_before_it_is_answered(ahead: int) -> None:
    sim = Sim(Limits(line_bytes_max=16))
    peer = sim.connect()
    peer.send(b"GET a wait=5\n" + b"PING\n" * ahead + b"x" * 30)
    assert peer.send(b"\nPUT a 2\n") == b""
    assert sim.connect().ask("PUT a 1") == ["OK 1"]
    assert peer.take().split(b"\n") == [
        b"* 1.1 a 1",
        b"OK 1",
        *[b"OK"] * ahead,
        b"ERR too-long a line may have 16 bytes, this one has more",
        b"",
    ]
    assert peer.is_closed
    assert sim.broker.last_id == 1


def test_lost_framing_behind_a_quit_is_not_told() -> None:
    peer = Sim(Limits(line_bytes_max=16)).connect()
    assert peer.send(b"QUIT\n" + b"x" * 30) == b"OK\n"
    assert peer.is_closed


def test_lost_framing_is_told_to_a_client_that_has_closed_its_side() -> None:
    peer = Sim(Limits(line_bytes_max=16)).connect()
    peer.hear(b"GET a wait=5\n" + b"x" * 30)
    assert peer.end_input().startswith(b"OK 0\nERR too-long ")
    assert peer.is_closed


def test_http_is_told_once_and_nothing_behind_it_is_read(sim: Sim, peer: Peer) -> None:
    answer = peer.send(b"PUT a 1\nPOST / HTTP/1.1\r\nHost: x\r\n\r\nPUT a 2\n")
    assert answer.startswith(b"OK 1\nERR http ")
    assert answer.count(b"\n") == 2
    assert (peer.is_closed, sim.broker.last_id) == (True, 1)


def test_a_body_may_look_like_http(peer: Peer) -> None:
    assert peer.ask('PUT a "GET / HTTP/1.1"') == ["OK 1"]
