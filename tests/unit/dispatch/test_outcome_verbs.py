"""PROGRESS: the verbs of what becomes of a message, as they are written."""

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
