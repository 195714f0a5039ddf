"""REDRIVE and `TOUCH *` of many messages, as a client sees them."""

import pytest

from qserver.broker import redriving, touching
from tests.sim import Peer, Sim

MANY = 2 * touching.SLICE + 500
assert MANY > redriving.SLICE


@pytest.fixture
def sim() -> Sim:
    made = Sim()
    made.connect().send(b"QUEUE a max_losses=1\n" + b"PUT a 1\n" * MANY)
    return made


def hold_all(sim: Sim, session: str) -> Peer:
    """A client that holds all messages for five seconds."""
    peer = sim.connect()
    peer.ask(f"HELLO session={session} grace=0")
    for _ in range(MANY // 1000 + 1):
        peer.send(b"GET a count=1000 lease=5\n")
    return peer


@pytest.mark.parametrize("lease", ["", " lease=30"])
def test_many_leases_are_extended_before_what_was_sent_behind_it_is_answered(
    sim: Sim, lease: str
) -> None:
    peer, other = hold_all(sim, "s"), sim.connect()
    said = peer.send(f"TOUCH *{lease}\nLEASES count=1 after={MANY - 1}\n".encode())
    assert said == b""
    assert other.ask("PING") == ["OK"]
    sim.pass_time(1)
    (count, last, *_) = peer.take().decode().splitlines()
    assert (count, last.split()[-1]) == (f"OK {MANY}", "expires_in=30")
    sim.pass_time(28)
    assert other.ask("GET a") == ["OK 0"]


def test_many_dead_messages_are_ready_before_what_was_sent_behind_it_is_answered(sim: Sim) -> None:
    hold_all(sim, "s").cut()
    sim.pass_time(1)
    peer, other = sim.connect(), sim.connect()
    assert peer.send(b"REDRIVE a reason=lost* to=b\nLIST a state=dead\nGET b\n") == b""
    (listed,) = other.ask("LIST count=1")[:1]
    assert f" dead={MANY - redriving.SLICE} " in listed
    sim.pass_time(10)
    assert peer.take().decode().splitlines()[:2] == [f"OK {MANY}", "OK 0"]


def test_a_client_that_is_gone_stops_a_redrive(sim: Sim) -> None:
    hold_all(sim, "s").cut()
    sim.pass_time(1)
    peer, other = sim.connect(), sim.connect()
    peer.send(b"REDRIVE a\n")
    peer.cut()
    sim.pass_time(10)
    (listed, _) = other.ask("LIST")
    assert f" dead={MANY - redriving.SLICE} " in listed
