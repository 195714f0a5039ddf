"""Connections shared by threads: lent, bounded, closed, left to the parent after a fork."""

import threading
from typing import Any

import pytest

import qclient
from qclient.sync import connect
from tests.unit.qclient.client_fakes import Peer
from tests.unit.qclient.sync.sync_fakes import PATIENCE_S, Background, Fake, connected


def test_requests_one_after_the_other_share_a_connection() -> None:
    with connected() as (fake, client):
        for n in range(5):
            client.put("q", n)
        assert client.get("q", wait=5, count=5) != []
        assert len(fake.sent("HELLO")) == 1


def test_the_connection_given_back_last_is_lent_first() -> None:
    with connected() as (_, client):
        one, two = client._pool.take(waits=False), client._pool.take(waits=True)
        client._pool.give(two)
        client._pool.give(one)
        assert client._pool.take(waits=False) is one
        client._pool.give(one)


def test_requests_of_several_threads_are_under_way_at_once() -> None:
    with connected() as (fake, client):
        gets = []
        for _ in range(3):
            arrival = fake.arrival("GET")
            gets.append(Background(lambda: client.get("q", wait=PATIENCE_S)))
            assert arrival.wait(PATIENCE_S)
        assert len(fake.sent("HELLO")) == 3
        client.put_many("q", range(3))
        assert sorted(get.outcome()[0].body for get in gets) == [0, 1, 2]
        client.ping()
        assert len(fake.sent("HELLO")) == 4


def test_gets_that_wait_take_no_place_of_the_others_and_have_a_bound_of_their_own() -> None:
    with connected(connections_max=1, waiting_max=1) as (fake, client):
        arrival = fake.arrival("GET")
        first = Background(lambda: client.get("q", wait=PATIENCE_S))
        assert arrival.wait(PATIENCE_S)
        arrival = fake.arrival("GET")
        second = Background(lambda: client.get("q", wait=PATIENCE_S))
        client.ping()
        assert not arrival.is_set()
        client.put("q", 1)
        assert len(first.outcome()) == 1
        assert arrival.wait(PATIENCE_S)
        client.put("q", 2)
        assert len(second.outcome()) == 1
        assert len(fake.sent("HELLO")) == 2


def test_requests_past_the_bound_wait_for_a_place() -> None:
    with connected(connections_max=2) as (fake, client):

        def ping_often() -> None:
            for _ in range(50):
                client.ping()

        for each in [Background(ping_often) for _ in range(8)]:
            each.outcome()
        assert len(fake.sent("PING")) == 400
        assert len(fake.sent("HELLO")) <= 2


def test_a_place_is_given_back_whatever_happens() -> None:
    with connected(connections_max=1, waiting_max=1, retry_for=0) as (fake, client):
        fake.say("PING", b"ERR full no\n", b"nonsense\n")
        for expected in (qclient.Full, qclient.ConnectionLost):
            with pytest.raises(expected):
                client.ping()
        fake.say("GET", b"ERR bad-name no\n")
        with pytest.raises(qclient.BadName):
            client.get("q", wait=1)
        client.ping()
        client.put("q", 1)
        assert len(client.get("q", wait=1)) == 1


# ── closing ──


def test_a_closed_client_refuses_everything() -> None:
    with connected() as (fake, client):
        client.close()
        client.close()
        for use in (client.ping, lambda: client.get("q", wait=1), lambda: client.put("q", 1)):
            with pytest.raises(qclient.Closed):
                use()
        assert len(fake.sent("HELLO")) == 1


def test_a_connection_given_back_to_a_closed_client_is_closed() -> None:
    with connected() as (_, client):
        lent = client._pool.take(waits=False)
        client.close()
        client._pool.give(lent)
        assert lent._socket.fileno() == -1


def test_closing_ends_a_get_that_waits_in_another_thread() -> None:
    with connected() as (fake, client):
        arrival = fake.arrival("GET")
        get = Background(lambda: client.get("q", wait=60))
        assert arrival.wait(PATIENCE_S)
        client.close()
        assert get.outcome() == []
        assert fake.sent("RELEASE") == []


def test_messages_that_come_to_a_get_of_a_closed_client_are_released() -> None:
    with connected() as (fake, client):
        client.put("q", 1)

        def close(_peer: Peer, _line: str) -> None:
            client.close()

        fake.say("GET", close)
        with pytest.raises(qclient.Closed):
            client.get("q", wait=60)
        assert fake.sent("RELEASE") == ["RELEASE 1.1"]
        assert fake.server.leased == {}


def test_closing_fails_what_another_thread_has_under_way() -> None:
    with connected() as (fake, client):
        arrival = threading.Event()

        def silent(_peer: Peer, _line: str) -> bytes:
            arrival.set()
            return b"<silence>"

        fake.say("PING", silent)
        ping = Background(client.ping)
        assert arrival.wait(PATIENCE_S)
        client.close()
        with pytest.raises(qclient.Closed):
            ping.outcome()


def test_a_connection_that_was_made_while_the_client_closed_is_not_used() -> None:
    with connected() as (fake, client):
        fake.drop_connections()

        def close(_peer: Peer, _line: str) -> None:
            client.close()

        fake.say("HELLO", close)
        with pytest.raises(qclient.Closed):
            client.ping()
        assert fake.sent("PING") == []


# ── a fork ──


def test_a_forked_process_makes_connections_of_its_own(fake: Fake) -> None:
    with connect(fake.url, client="worker") as client:
        (inherited,) = client._pool._idle
        client.renew()
        assert inherited._socket.fileno() == -1
        client.ping()
        assert fake.sent("HELLO") == ["HELLO client=worker"] * 2


def test_a_forked_process_does_not_wait_for_locks_of_threads_that_it_has_not(fake: Fake) -> None:
    with connect(fake.url, connections_max=1, waiting_max=1) as client:
        client._pool.places.__enter__()
        client._pool.waiting.__enter__()
        client._pool._lock.acquire()
        client.renew()
        client.ping()
        client.get("q", wait=0.001)


def test_a_forked_process_closes_what_its_parents_threads_have_under_way(fake: Fake) -> None:
    with connect(fake.url) as client:
        lent = client._pool.take(waits=True)
        client.renew()
        assert lent._socket.fileno() == -1


def test_a_forked_process_gives_its_puts_other_keys(fake: Fake) -> None:
    with connect(fake.url) as client:
        client.put("q", 1)
        client.renew()
        client.put("q", 2)
        client.put_many("q", [3])
    keys = [line.split("dedup=")[1].split(" ")[0] for line in fake.sent("PUT")]
    assert len({key[:8] for key in keys}) == 2
    assert len(set(keys)) == 3


@pytest.fixture
def fake() -> Any:
    with Fake() as running:
        yield running
