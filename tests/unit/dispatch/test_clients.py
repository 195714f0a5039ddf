"""CLIENTS: who is connected, page by page."""

import pytest

from qserver.config import Limits
from tests.sim import Peer, Sim


@pytest.fixture
def sim() -> Sim:
    return Sim()


@pytest.fixture
def peer(sim: Sim) -> Peer:
    return sim.connect()


def test_a_connection_says_who_it_is_and_how_long_it_was_silent(sim: Sim, peer: Peer) -> None:
    other = sim.connect()
    sim.pass_time(2.5)
    peer.ask('HELLO client="the mailer" session=s')
    sim.pass_time(10)
    assert other.ask("CLIENTS") == [
        '* 1 connected=12.5 idle=10 requests=1 client="the mailer" session=s leases=0',
        "* 2 connected=12.5 idle=0 requests=1",
        "OK 2",
    ]


def test_the_leases_are_those_of_the_session(sim: Sim, peer: Peer) -> None:
    other, nobody = sim.connect(), sim.connect()
    peer.send(b"HELLO session=s\nPUT a 1\nPUT a 2\nGET a\n")
    other.ask("HELLO session=s")
    nobody.ask("GET a")
    rows = nobody.ask("CLIENTS")
    assert [row.partition(" requests=")[2] for row in rows[:-1]] == [
        "4 session=s leases=1",
        "1 session=s leases=1",
        "2",
    ]


def test_who_waits_says_for_what(sim: Sim, peer: Peer) -> None:
    getting, asking = sim.connect(), sim.connect()
    peer.ask("PUT a delay=1 1")
    getting.send(b"GET b,c,b wait=60\nPING\n")
    asking.send(b"RESULT 1 wait=60\n")
    rows = peer.ask("CLIENTS")
    assert rows[1:3] == [
        "* 2 connected=0 idle=0 requests=1 waiting=b,c",
        "* 3 connected=0 idle=0 requests=1 result=1",
    ]
    peer.ask("PURGE a")
    peer.ask("PUT c 1")
    assert [row.split()[-1] for row in peer.ask("CLIENTS")[1:3]] == ["requests=2", "requests=1"]


def test_requests_are_counted_and_neither_comments_nor_empty_lines(sim: Sim, peer: Peer) -> None:
    peer.send(b"PING\n\n# a comment\n  \nFROB\nACK 1\nput a 1\nPING \nPI")
    sim.lines_per_turn = 1
    peer.send(b"NG\nPING\nPING\n")
    assert sim.connect().ask("CLIENTS")[0] == "* 1 connected=0 idle=0 requests=8"


def test_numbers_do_not_come_again_and_who_has_gone_is_not_shown(sim: Sim, peer: Peer) -> None:
    second, third = sim.connect(), sim.connect()
    second.cut()
    third.ask("QUIT")
    sim.connect()
    rows = peer.ask("CLIENTS")
    assert [row.split()[1] for row in rows] == ["1", "4", "2"]


def test_connections_come_page_by_page(sim: Sim, peer: Peer) -> None:
    for _ in range(4):
        sim.connect()
    pages = [peer.ask(f"CLIENTS count=2 after={after}") for after in (0, 2, 4)]
    assert [[row.split()[1] for row in page[:-1]] for page in pages] == [
        ["1", "2"],
        ["3", "4"],
        ["5"],
    ]
    assert [page[-1] for page in pages] == ["OK 2 next=2", "OK 2 next=4", "OK 1"]
    assert peer.ask("CLIENTS count=5")[-1] == "OK 5"
    assert peer.ask("CLIENTS after=5") == ["OK 0"]


def test_a_page_ends_when_it_is_long_enough() -> None:
    sim = Sim(Limits(reply_bytes_max=50))
    peers = [sim.connect() for _ in range(3)]
    assert peers[0].ask("CLIENTS")[-1] == "OK 2 next=2"
    assert peers[0].ask("CLIENTS after=2")[-1] == "OK 1"


def test_clients_does_not_wait_for_the_journal(sim: Sim, peer: Peer) -> None:
    sim.stores = False
    assert peer.ask("CLIENTS")[-1] == "OK 1"
