"""Which replies wait until the journal has stored what they tell of."""

import pytest

from tests.sim import Peer, Sim


@pytest.fixture
def sim() -> Sim:
    """A server with a message that is leased as 1.1, whose journal is busy now."""
    sim = Sim()
    peer = sim.connect()
    peer.ask("PUT a 1")
    peer.ask("GET a")
    peer.ask("PUT b dedup=d 2")
    sim.stores = False
    return sim


@pytest.fixture
def peer(sim: Sim) -> Peer:
    return sim.connect()


CHANGES = [
    "PUT a 1",
    "PUT a key=k 1",
    "GET b",
    "ACK 1.1",
    "NACK 1.1 reason=x",
    "RELEASE 1.1",
    "TOUCH 1.1",
    "QUEUE a lease=5",
    "PAUSE a",
    "PURGE b",
    "DROP b",
    "HELLO session=s",
]
ANSWERS_THAT_TELL_OF_A_CHANGE = ["PUT b dedup=d 3", "ACK 9.9", "RESUME a", "REDRIVE a"]
LOOKS = ["PING", "LIST", "LIST b", "PEEK 1", "STATS", "HELP", "HELLO client=c", "GET c", "FROB"]


@pytest.mark.parametrize("asked", CHANGES + ANSWERS_THAT_TELL_OF_A_CHANGE)
def test_the_reply_to_a_change_is_held_until_it_is_stored(sim: Sim, peer: Peer, asked: str) -> None:
    assert peer.ask(asked) == []
    sim.commit()
    assert peer.take().splitlines()[-1].startswith(b"OK")


def test_the_reply_to_touch_star_is_held_too(sim: Sim, peer: Peer) -> None:
    sim.stores = True
    peer.ask("HELLO session=s")
    peer.ask("GET b")
    sim.stores = False
    assert peer.ask("TOUCH * lease=1m") == []
    sim.commit()
    assert peer.take() == b"OK 1\n"


@pytest.mark.parametrize("asked", LOOKS)
def test_the_reply_to_a_look_is_not_held(peer: Peer, asked: str) -> None:
    assert peer.ask(asked)[-1].split()[0] in {"OK", "ERR"}


def test_a_look_behind_a_change_is_held_with_it(sim: Sim, peer: Peer) -> None:
    assert peer.send(b"PUT a 1\n") == b""
    assert peer.send(b"PING\n") == b""
    assert sim.connect().ask("PING") == ["OK"]
    sim.commit()
    assert peer.take() == b"OK 3\nOK\n"
    assert peer.ask("PING") == ["OK"]


def test_the_lease_of_a_get_that_waited_is_stored_before_it_is_told(sim: Sim, peer: Peer) -> None:
    sim.stores = True
    peer.send(b"GET c wait=5\n")
    other = sim.connect()
    sim.stores = False
    assert other.ask("PUT c 3") == []
    assert peer.take() == b""
    sim.commit()
    assert (other.take(), peer.take()) == (b"OK 3\n", b"* 3.2 c 3\nOK 1\n")


def test_a_get_that_waited_for_nothing_is_answered_at_once(sim: Sim, peer: Peer) -> None:
    peer.send(b"GET c wait=1\n")
    sim.pass_time(1.1)
    assert peer.take() == b"OK 0\n"


def test_the_connection_is_not_closed_before_the_held_replies_are_given_out(
    sim: Sim, peer: Peer
) -> None:
    peer.send(b"PUT a 1\nQUIT\n")
    assert not peer.is_closed
    sim.commit()
    assert peer.take() == b"OK 3\nOK\n"
    assert peer.is_closed


def test_what_was_answered_survives_a_crash_and_what_was_not_is_gone(sim: Sim, peer: Peer) -> None:
    sim.stores = True
    assert peer.ask("PUT a 3") == ["OK 3"]
    sim.stores = False
    peer.ask("PUT a 4")
    sim.restart()
    sim.stores = True
    assert sim.connect().ask("LIST a") == [
        "* 1 leased receipt=1.1 expires_in=30 deliveries=1 1",
        "* 3 ready 3",
        "OK 2",
    ]
