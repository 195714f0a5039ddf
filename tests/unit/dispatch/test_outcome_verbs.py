"""PROGRESS, DONE, RESULT: what is written, what it is answered, and when."""

import pytest

from qserver.config import Limits
from tests.sim import Peer, Sim


@pytest.fixture
def sim() -> Sim:
    return Sim()


@pytest.fixture
def peer(sim: Sim) -> Peer:
    return sim.connect()


def leased(peer: Peer) -> None:
    peer.send(b"PUT a 1\nGET a\n")


# --- PROGRESS -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0.5", "0.5"),
        ("null", "null"),
        ("true", "true"),
        ("-1E5", "-1E5"),
        ('"half way"', '"\\"half way\\""'),
        ('{"at": 3}', '"{\\"at\\": 3}"'),
        ('"ä"', '"\\"ä\\""'),
        ('"a=b"', '"\\"a=b\\""'),
        ("[1,\t2]", '"[1,\\t2]"'),
        ("[]", "[]"),
    ],
)
def test_progress_is_shown_as_it_was_sent(sim: Sim, peer: Peer, value: str, shown: str) -> None:
    leased(peer)
    assert peer.ask(f"PROGRESS 1.1 {value}") == ["OK 1"]
    row = f"* 1 leased receipt=1.1 expires_in=30 deliveries=1 progress={shown} 1"
    assert peer.ask("LIST a") == [row, "OK 1"]
    assert f"progress={shown} 1" in peer.ask("PEEK 1")[0]
    sim.restart()
    assert f"progress={shown} 1" in sim.connect().ask("PEEK 1")[0]


def test_progress_takes_blanks_around_the_json_and_nothing_else(peer: Peer) -> None:
    leased(peer)
    assert peer.ask("progress\t1.1   0.5 \t\r") == ["OK 1"]
    assert " progress=0.5 1" in peer.ask("LIST a")[0]
    assert peer.ask("PROGRESS 1.1 0.5 0.6")[0].startswith("ERR bad-json ")
    assert peer.ask("PROGRESS 1.1 lease=5 0.6")[0].startswith("ERR bad-request no option lease ")
    assert " progress=0.5 1" in peer.ask("LIST a")[0]


def test_progress_that_is_refused_changes_nothing_and_does_not_wait_for_the_journal(
    sim: Sim, peer: Peer
) -> None:
    leased(peer)
    sim.stores = False
    assert peer.ask(f'PROGRESS 1.1 "{"x" * 4095}"') == [
        "ERR limit the progress has 4097 bytes, and the limit is 4096"
    ]
    assert "progress" not in peer.ask("LIST a")[0]
    assert peer.ask(f'PROGRESS 1.1 "{"x" * 4094}"') == []
    sim.commit()
    assert peer.take() == b"OK 1\n"


def test_progress_has_no_room_where_a_put_has_none() -> None:
    peer = Sim(Limits(memory_bytes_max=330)).connect()
    leased(peer)
    assert peer.ask("PROGRESS 1.1 1234567890")[0].startswith("ERR full ")
    assert peer.ask("PROGRESS 1.2 1234567890") == ["* 1.2 not-leased", "OK 0"]
    assert peer.ask("PROGRESS 1.1 123456789") == ["OK 1"]
    assert peer.ask("ACK 1.1") == ["OK 1"]


# --- DONE ---------------------------------------------------------------------------------------


def test_done_keeps_the_result_byte_for_byte_over_a_restart(sim: Sim, peer: Peer) -> None:
    leased(peer)
    assert peer.ask('done\t1.1  retain=1h   { "sum" : 3E0,\t"ä": -0 } \r') == ["OK 1"]
    row = '* 1 done deliveries=1 { "sum" : 3E0,\t"ä": -0 }'
    assert peer.ask("RESULT 1") == [row, "OK 1"]
    sim.restart()
    assert sim.connect().ask("RESULT 1") == [row, "OK 1"]
    assert sim.connect().ask("LIST a") == ["* 1 done kept_for=3600 deliveries=1 1", "OK 1"]


@pytest.mark.parametrize("value", ["null", "true", "0", '""', "[]", '"retain=5"'])
def test_any_json_is_a_result(peer: Peer, value: str) -> None:
    peer.ask("QUEUE a retain=1h")
    leased(peer)
    assert peer.ask(f"DONE 1.1 {value}") == ["OK 1"]
    assert peer.ask("RESULT 1") == [f"* 1 done deliveries=1 {value}", "OK 1"]


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ("DONE", "ERR bad-request a receipt is missing"),
        ("DONE 1.1", "ERR bad-request the JSON is missing"),
        ("DONE 1.1 retain=5", "ERR bad-request the JSON is missing"),
        ("DONE 1.1 1.2 3", "ERR bad-json "),
        ("DONE 1.1 retain=-5 3", "ERR bad-request retain=-5 "),
        ("DONE 1.1 retain=36501d 3", "ERR limit retain=36501d"),
        ("DONE 1.1 key=5 3", "ERR bad-request no option key here; there are: retain"),
        ("DONE 1.1 {", "ERR bad-json "),
    ],
)
def test_done_that_is_refused_changes_nothing(
    sim: Sim, peer: Peer, request_: str, answer: str
) -> None:
    leased(peer)
    sim.stores = False
    (said,) = peer.ask(request_)
    assert said.startswith(answer)
    assert peer.ask("LIST a") == ["* 1 leased receipt=1.1 expires_in=30 deliveries=1 1", "OK 1"]


def test_a_result_is_stored_before_done_is_answered(sim: Sim, peer: Peer) -> None:
    leased(peer)
    sim.stores = False
    assert peer.ask("DONE 1.1 retain=5 3") == []
    sim.commit()
    assert peer.take() == b"OK 1\n"


def test_a_result_has_no_room_where_a_put_has_none_and_an_ack_always_goes() -> None:
    peer = Sim(Limits(memory_bytes_max=330)).connect()
    leased(peer)
    assert peer.ask("DONE 1.1 retain=5 1234567890")[0].startswith("ERR full ")
    assert peer.ask("DONE 1.2 retain=5 1234567890") == ["* 1.2 not-leased", "OK 0"]
    assert peer.ask("DONE 1.1 1234567890") == ["OK 1"]


# --- RESULT -------------------------------------------------------------------------------------


def test_result_says_what_there_is_to_say(sim: Sim, peer: Peer) -> None:
    assert peer.ask("RESULT 1") == ["ERR not-found there is no message 1"]
    peer.ask("PUT a priority=7 key=k delay=1 1")
    assert peer.ask("RESULT 1") == ["* 1 delayed priority=7 null", "OK 1"]
    sim.pass_time(1)
    peer.ask("GET a")
    peer.ask('PROGRESS 1.1 "x y"')
    peer.ask('NACK 1.1 delay=0 reason="no luck"')
    row = '* 1 ready priority=7 deliveries=1 failures=1 reason="no luck" progress="\\"x y\\"" null'
    assert peer.ask("RESULT 1") == [row, "OK 1"]
    peer.ask("GET a")
    peer.ask("ACK 1.2")
    assert peer.ask("RESULT 1 wait=5") == ["ERR not-found there is no message 1"]


@pytest.mark.parametrize("ended", ["ACK 1.1", "NACK 1.1 dead=yes", "DONE 1.1 3"])
def test_a_message_that_has_ended_is_told_at_once(peer: Peer, ended: str) -> None:
    peer.ask("QUEUE a retain=5")
    leased(peer)
    peer.ask(ended)
    assert peer.ask("RESULT 1 wait=60")[-1] == "OK 1"
    assert not peer.conversation.is_waiting


def test_result_waits_for_the_end_and_holds_up_what_is_behind_it(sim: Sim, peer: Peer) -> None:
    other = sim.connect()
    leased(other)
    assert peer.send(b"RESULT 1 wait=60\nPING\n") == b""
    assert (peer.conversation.is_waiting, len(peer.conversation.backlog)) == (True, 1)
    other.ask("DONE 1.1 retain=5 3")
    assert peer.take() == b"* 1 done deliveries=1 3\nOK 1\nOK\n"
    assert sim.broker.result_waiters == {}


@pytest.mark.parametrize(
    ("doing", "answer"),
    [
        ("ACK 1.1", b"ERR not-found message 1 was removed\n"),
        ("PURGE a", b"ERR not-found message 1 was removed\n"),
        ("DROP a", b"ERR not-found message 1 was removed\n"),
        ("NACK 1.1 dead=yes reason=r", b"* 1 dead deliveries=1 failures=1 reason=r null\nOK 1\n"),
    ],
)
def test_whatever_ends_a_message_is_told(sim: Sim, peer: Peer, doing: str, answer: bytes) -> None:
    other = sim.connect()
    leased(other)
    peer.send(b"RESULT 1 wait=60\n")
    other.ask(doing)
    assert peer.take() == answer


def test_the_end_is_told_as_it_was_whatever_comes_next_in_the_turn(sim: Sim, peer: Peer) -> None:
    other = sim.connect()
    leased(other)
    peer.send(b"RESULT 1 wait=60\n")
    other.send(b"DONE 1.1 retain=5 3\nPURGE a\n")
    assert peer.take() == b"* 1 done deliveries=1 3\nOK 1\n"


def test_an_end_is_stored_before_it_is_told(sim: Sim, peer: Peer) -> None:
    other, asking = sim.connect(), sim.connect()
    leased(other)
    peer.send(b"RESULT 1 wait=60\n")
    sim.stores = False
    other.ask("DONE 1.1 retain=5 3")
    assert peer.take() == b""
    assert asking.ask("RESULT 1") == []
    sim.commit()
    assert peer.take() == asking.take() == b"* 1 done deliveries=1 3\nOK 1\n"


def test_a_state_that_is_no_end_does_not_wait_for_the_journal(sim: Sim, peer: Peer) -> None:
    leased(peer)
    sim.stores = False
    assert peer.ask("RESULT 1") == ["* 1 leased deliveries=1 null", "OK 1"]
    peer.send(b"RESULT 1 wait=5\n")
    sim.pass_time(5)
    assert peer.take() == b"* 1 leased deliveries=1 null\nOK 1\n"


def test_a_wait_that_is_over_is_answered_the_state_as_it_stands(sim: Sim, peer: Peer) -> None:
    peer.ask("PUT a 1")
    peer.send(b"RESULT 1 wait=2.5\n")
    sim.pass_time(2.49)
    assert peer.take() == b""
    sim.pass_time(0.03)
    assert peer.take() == b"* 1 ready null\nOK 1\n"


def test_a_client_that_closes_its_side_is_answered_at_once(sim: Sim, peer: Peer) -> None:
    peer.ask("PUT a 1")
    peer.hear(b"RESULT 1 wait=60\nRESULT 1 wait=60\nRESULT 2 wait=60\n")
    sim.turn()
    answer = b"* 1 ready null\nOK 1\n"
    assert peer.end_input() == answer * 2 + b"ERR not-found there is no message 2\n"
    assert peer.is_closed
    assert sim.broker.result_waiters == {}


def test_a_connection_that_is_cut_is_forgotten(sim: Sim, peer: Peer) -> None:
    other = sim.connect()
    leased(other)
    peer.send(b"RESULT 1 wait=60\n")
    peer.cut()
    assert sim.broker.result_waiters == {}
    assert other.ask("ACK 1.1") == ["OK 1"]
    assert peer.take() == b""


def test_a_result_that_waits_is_no_get_that_waits(sim: Sim, peer: Peer) -> None:
    other = sim.connect()
    other.ask("PUT a delay=1 1")
    peer.send(b"RESULT 1 wait=60\n")
    assert "waiting=" not in other.ask("LIST")[0]
    rows = other.ask("STATS")
    assert {"* waiting=0", "* waiting_results=1"} <= set(rows)
    sim.pass_time(2)
    assert peer.take() == b""
