"""PURGE and DROP of many messages, as a client sees them."""

import pytest

from qserver.broker.purging import SLICE
from tests.sim import Sim

COUNT = 3 * SLICE + 500


@pytest.fixture
def sim() -> Sim:
    made = Sim()
    made.connect().send(b"PUT a 1\n" * COUNT)
    return made


@pytest.mark.parametrize("verb", ["PURGE", "DROP"])
def test_it_is_answered_when_all_are_gone_and_before_what_was_sent_behind_it(
    sim: Sim, verb: str
) -> None:
    peer = sim.connect()
    said = peer.send(f"{verb} a\nLIST a\nPING\n".encode())
    sim.pass_time(1)
    assert said + peer.take() == b"OK %d\nOK 0\nOK\n" % COUNT


def test_others_are_served_meanwhile(sim: Sim) -> None:
    peer, other = sim.connect(), sim.connect()
    assert peer.send(b"PURGE a state=ready\n") == b""
    assert other.ask("PUT b 2") == [f"OK {COUNT + 1}"]
    assert other.ask("GET b") == [f"* {COUNT + 1}.1 b 2", "OK 1"]
    sim.pass_time(1)
    assert peer.take() == b"OK %d\n" % COUNT


def test_a_client_that_has_closed_its_side_is_answered(sim: Sim) -> None:
    peer, other = sim.connect(), sim.connect()
    said = peer.send(b"PURGE a\n")
    said += peer.end_input()
    sim.pass_time(1)
    assert said + peer.take() == b"OK %d\n" % COUNT
    assert other.ask("LIST a") == ["OK 0"]


def test_a_client_that_is_gone_stops_it(sim: Sim) -> None:
    peer, other = sim.connect(), sim.connect()
    peer.send(b"DROP a\n")
    peer.cut()
    sim.pass_time(1)
    (listed, _) = other.ask("LIST")
    assert int(listed.split("ready=")[1].split()[0]) in range(1, COUNT + 1)
