"""HELLO, and the leases that belong to a session."""

import pytest

from tests.sim import Peer, Sim

GREETING = (
    "OK server=qserver/{version} protocol=1 sync=always{session}"
    " line_bytes_max=1048576 count_max=1000 wait_max=3600 lease_max=43200"
)


@pytest.fixture
def sim() -> Sim:
    return Sim()


@pytest.fixture
def peer(sim: Sim) -> Peer:
    return sim.connect()


def greeting(session: str = "") -> list[str]:
    from qserver import __version__

    return [GREETING.format(version=__version__, session=session)]


def test_hello_says_who_answers_and_under_which_limits(peer: Peer) -> None:
    assert peer.ask("HELLO") == greeting()
    assert peer.ask('HELLO client="the mailer"') == greeting()


def test_hello_tells_of_the_session_what_it_holds(peer: Peer) -> None:
    assert peer.ask("HELLO session=s") == greeting(" session=s grace=10 leases=0")
    peer.ask("PUT a 1")
    peer.ask("GET a")
    assert peer.ask("HELLO") == greeting(" session=s grace=10 leases=1")
    assert peer.ask("HELLO session=s grace=2.5") == greeting(" session=s grace=2.5 leases=1")


def test_hello_that_is_refused_changes_nothing(peer: Peer) -> None:
    peer.ask("HELLO session=s grace=5")
    assert peer.ask("HELLO session=-t")[0].startswith("ERR bad-name ")
    assert peer.ask("HELLO session=t grace=2h")[0].startswith("ERR limit ")
    assert peer.ask("HELLO") == greeting(" session=s grace=5 leases=0")


def test_hello_said_twice_joins_a_session_once(sim: Sim, peer: Peer) -> None:
    peer.ask("HELLO session=s grace=1")
    peer.ask("HELLO session=s grace=1")
    peer.ask("PUT a 1")
    peer.ask("GET a lease=1h")
    peer.cut()
    sim.pass_time(1.1)
    assert sim.connect().ask("GET a") == ["* 1.2 a deliveries=2 losses=1 1", "OK 1"]
    assert sim.broker.sessions == {}


def test_a_connection_that_goes_to_another_session_leaves_the_first(sim: Sim, peer: Peer) -> None:
    peer.ask("HELLO session=s grace=1")
    peer.ask("PUT a 1")
    peer.ask("GET a lease=1h")
    peer.ask("HELLO session=t grace=1")
    assert peer.ask("TOUCH *") == ["OK 0"]
    sim.pass_time(1.1)
    assert peer.ask("GET a") == ["* 1.2 a deliveries=2 losses=1 1", "OK 1"]


def test_a_session_ends_its_grace_after_its_last_connection_only(sim: Sim, peer: Peer) -> None:
    other = sim.connect()
    for one in (peer, other):
        one.ask("HELLO session=s grace=1")
    peer.ask("PUT a 1")
    peer.ask("GET a lease=1h")
    peer.cut()
    sim.pass_time(5)
    assert other.ask("TOUCH *") == ["OK 1"]
    other.cut()
    sim.pass_time(0.9)
    third = sim.connect()
    assert third.ask("HELLO session=s grace=1") == greeting(" session=s grace=1 leases=1")
    sim.pass_time(5)
    assert third.ask("ACK 1.1") == ["OK 1"]


def test_touch_star_extends_every_lease_of_the_session_and_no_other(sim: Sim, peer: Peer) -> None:
    peer.ask("HELLO session=s")
    peer.send(b"PUT a 1\nPUT a 2\nPUT a 3\n")
    peer.ask("GET a count=2 lease=1")
    sim.connect().ask("GET a lease=1")
    assert peer.ask("TOUCH * lease=1m") == ["OK 2"]
    sim.pass_time(2)
    assert peer.ask("LIST a") == [
        "* 1 leased receipt=1.1 expires_in=58 session=s deliveries=1 1",
        "* 2 leased receipt=2.2 expires_in=58 session=s deliveries=1 2",
        "* 3 ready deliveries=1 losses=1 3",
        "OK 3",
    ]


@pytest.mark.parametrize(
    "asked", ["TOUCH *", "touch  * ", "TOUCH * lease=1m", "TOUCH\t*\tlease=1m"]
)
def test_touch_star_needs_a_session(peer: Peer, asked: str) -> None:
    assert peer.ask(asked) == [
        "ERR no-session TOUCH * is for a session's leases: say HELLO session=<name> first"
    ]
    peer.ask("HELLO session=s")
    assert peer.ask(asked) == ["OK 0"]


def test_leases_taken_before_hello_belong_to_nobody(peer: Peer) -> None:
    peer.ask("PUT a 1")
    peer.ask("GET a")
    peer.ask("HELLO session=s")
    assert peer.ask("TOUCH *") == ["OK 0"]


def test_a_lease_of_a_session_can_be_settled_from_any_connection(sim: Sim, peer: Peer) -> None:
    peer.ask("HELLO session=s")
    peer.ask("PUT a 1")
    peer.ask("GET a")
    assert sim.connect().ask("ACK 1.1") == ["OK 1"]
    assert peer.ask("TOUCH *") == ["OK 0"]


def test_leases_are_listed_in_order_of_id_page_by_page(sim: Sim, peer: Peer) -> None:
    peer.ask("HELLO session=s")
    for number in range(5):
        peer.ask(f"PUT a {number}")
    peer.ask("GET a count=5")
    peer.ask("RELEASE 3.3 1.1")
    peer.ask("GET a count=2")
    sim.pass_time(10)
    peer.ask("TOUCH 2.2")
    rows = ["* 1.6 a expires_in=20", "* 2.2 a expires_in=30", "* 3.7 a expires_in=20"]
    assert peer.ask("LEASES count=3") == [*rows, "OK 3 next=3"]
    rest = ["* 4.4 a expires_in=20", "* 5.5 a expires_in=20"]
    assert peer.ask("LEASES count=2 after=3") == [*rest, "OK 2"]
    assert peer.ask("LEASES after=5") == ["OK 0"]
    assert peer.ask("LEASES count=5")[-1] == "OK 5"


def test_leases_are_those_of_the_session_and_no_other(sim: Sim, peer: Peer) -> None:
    other, nobody = sim.connect(), sim.connect()
    other.ask("HELLO session=t")
    peer.send(b"HELLO session=s\nPUT a 1\nPUT a 2\nPUT a 3\nGET a\n")
    other.ask("GET a")
    nobody.ask("GET a")
    assert peer.ask("LEASES") == ["* 1.1 a expires_in=30", "OK 1"]
    assert other.ask("LEASES") == ["* 2.2 a expires_in=30", "OK 1"]
    assert nobody.ask("LEASES") == [
        "ERR no-session LEASES is for a session's leases: say HELLO session=<name> first"
    ]


def test_who_comes_back_learns_which_leases_it_has_and_asking_changes_nothing(
    sim: Sim, peer: Peer
) -> None:
    peer.send(b"HELLO session=s grace=5\nPUT a 1\nGET a lease=20\n")
    sim.restart()
    sim.pass_time(4)
    back = sim.connect()
    back.ask("HELLO session=s grace=5")
    assert back.ask("LEASES") == ["* 1.1 a expires_in=16", "OK 1"]
    assert back.ask("LEASES") == ["* 1.1 a expires_in=16", "OK 1"]
    assert back.ask("RELEASE 1.1") == ["OK 1"]
    assert back.ask("LEASES") == ["OK 0"]
    back.ask("GET a lease=1s")
    sim.pass_time(1.1)
    assert back.ask("LEASES") == ["OK 0"]


def test_leases_do_not_wait_for_the_journal(sim: Sim, peer: Peer) -> None:
    peer.ask("HELLO session=s")
    sim.stores = False
    assert peer.ask("LEASES") == ["OK 0"]


def test_a_restart_counts_as_every_connection_gone(sim: Sim, peer: Peer) -> None:
    peer.ask("HELLO session=s grace=5")
    peer.ask("PUT a 1")
    peer.ask("GET a lease=1h")
    sim.restart()
    sim.pass_time(4)
    back = sim.connect()
    assert back.ask("HELLO session=s grace=5") == greeting(" session=s grace=5 leases=1")
    back.cut()
    sim.pass_time(5.1)
    assert sim.connect().ask("GET a")[0] == "* 1.2 a deliveries=2 losses=1 1"
