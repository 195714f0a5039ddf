"""Requests of the synchronous client: repeated or not, lost, silent, broken off."""

from collections.abc import Callable
from typing import Any

import pytest

import qclient
from qclient.sync import Client
from qclient.sync.connection import Connection
from tests.unit.qclient.client_fakes import CLOSE, SILENCE
from tests.unit.qclient.sync.sync_fakes import Fake, Time, connected, interrupt_next

Use = Callable[[Client], Any]

REPEATED: dict[str, tuple[str, Use]] = {
    "PING": ("PING", lambda client: client.ping()),
    "ACK": ("ACK", lambda client: client.ack("1.1")),
    "NACK": ("NACK", lambda client: client.nack("1.1", reason="x")),
    "RELEASE": ("RELEASE", lambda client: client.release("1.1")),
    "TOUCH": ("TOUCH", lambda client: client.touch("1.1")),
    "PUT": ("PUT", lambda client: client.put("q", 1)),
    "PUT of the caller's key": ("PUT", lambda client: client.put("q", 1, dedup="mine")),
    "GET": ("GET", lambda client: client.get("q")),
    "PAUSE": ("PAUSE", lambda client: client.pause("q")),
    "dry REDRIVE": ("REDRIVE", lambda client: client.redrive("q", dry=True)),
}
NOT_REPEATED: dict[str, tuple[str, Use]] = {
    "PURGE": ("PURGE", lambda client: client.purge("q")),
    "DROP": ("DROP", lambda client: client.drop("q")),
    "REDRIVE": ("REDRIVE", lambda client: client.redrive("q")),
}


@pytest.mark.parametrize("name", REPEATED)
def test_a_request_that_can_be_repeated_is_sent_again_after_a_lost_connection(name: str) -> None:
    verb, use = REPEATED[name]
    with connected() as (fake, client):
        fake.say(verb, CLOSE, b"OK 1\n")
        use(client)
        first, again = fake.sent(verb)
        assert first == again


@pytest.mark.parametrize("name", NOT_REPEATED)
def test_a_request_that_can_not_be_repeated_says_that_it_may_be_done(name: str) -> None:
    verb, use = NOT_REPEATED[name]
    with connected() as (fake, client):
        fake.say(verb, CLOSE)
        with pytest.raises(qclient.ConnectionLost, match="unknown") as caught:
            use(client)
        assert caught.value.maybe_done
        assert len(fake.sent(verb)) == 1


def test_without_keys_a_put_is_not_sent_twice() -> None:
    with connected(dedup=False) as (fake, client):
        fake.say("PUT", CLOSE)
        with pytest.raises(qclient.ConnectionLost):
            client.put("q", 1)
        assert fake.sent("PUT") == ["PUT q 1"]


def test_what_a_lost_connection_had_not_been_sent_is_sent_whatever_it_is() -> None:
    with connected() as (fake, client):
        fake.drop_connections()
        fake.say("PURGE", b"OK 3\n")
        assert client.purge("q") == 3
        fake.stop()
        time = Time(client)
        with pytest.raises(qclient.ConnectionLost, match="no connection for 60 s") as caught:
            client.purge("q")
        assert not caught.value.maybe_done
        assert time.now == pytest.approx(1060)
        fake.start()


def test_a_server_that_comes_back_is_found_with_growing_pauses() -> None:
    with connected() as (fake, client):
        fake.stop()
        time = Time(client)

        def pause(seconds: float) -> None:
            time.pause(seconds)
            if len(time.pauses) == 7:
                fake.start()

        client._link._pause = pause
        assert client.put("q", 1).id == 1
        assert time.pauses == [0.025, 0.05, 0.1, 0.2, 0.4, 0.5, 0.5]


def test_the_last_attempt_has_what_is_left_of_the_time() -> None:
    with connected(retry_for=2) as (fake, client):
        fake.drop_connections()
        time = Time(client)
        left: list[float] = []

        def dial(within_s: float = 0) -> Connection:
            left.append(within_s)
            raise qclient.CannotConnect("no")

        client._pool.dial = dial
        with pytest.raises(qclient.ConnectionLost):
            client.ping()
        spent = [sum(time.pauses[:n]) for n in range(1, len(time.pauses) + 1)]
        assert left == [float("inf"), *[pytest.approx(2 - each) for each in spent]]


def test_a_request_that_takes_the_connection_down_each_time_ends_with_it() -> None:
    with connected(retry_for=2) as (fake, client):
        time = Time(client)
        fake.say("PING", *[CLOSE] * 50)
        with pytest.raises(qclient.ConnectionLost) as caught:
            client.ping()
        assert caught.value.maybe_done
        assert time.now == pytest.approx(1002)


def test_a_failed_journal_counts_as_a_lost_connection() -> None:
    with connected() as (fake, client):
        fake.say("PUT", b"ERR storage the disk is gone\n" + CLOSE)
        assert client.put("q", 1).id == 1
        assert len(set(fake.sent("PUT"))) == 1 < len(fake.sent("PUT"))
        fake.say("PURGE", b"ERR storage the disk is gone\n" + CLOSE)
        with pytest.raises(qclient.StorageFailed):
            client.purge("q")


def test_a_refusal_is_raised_and_the_connection_goes_on() -> None:
    with connected() as (fake, client):
        fake.say("PUT", b"ERR full no room\n")
        with pytest.raises(qclient.Full):
            client.put("q", 1)
        client.ping()
        assert len(fake.sent("HELLO")) == 1


def test_a_server_that_is_silent_for_too_long_counts_as_gone() -> None:
    with connected(timeout=0.4) as (fake, client):
        fake.say("PING", SILENCE)
        client.ping()
        assert len(fake.sent("PING")) >= 2
        fake.say("DROP", SILENCE)
        with pytest.raises(qclient.ConnectionLost, match="no reply for 0 s"):
            client.drop("q")


def test_what_is_no_protocol_counts_as_a_lost_connection() -> None:
    with connected() as (fake, client):
        fake.say("PING", b"HTTP/1.1 400 Bad Request\n")
        client.ping()
        assert len(fake.sent("HELLO")) == 2


def test_a_reply_that_nobody_asked_for_ends_its_connection_and_hurts_nobody() -> None:
    with connected() as (fake, client):
        fake.say("PUT", b"OK 7\nERR storage the disk is gone\n")
        assert client.put("q", 1).id == 7
        assert client.put("q", 1).id == 1
        assert len(fake.sent("HELLO")) == 2


def test_the_last_words_of_a_server_that_closes_are_heard() -> None:
    with connected(retry_for=0) as (fake, client):
        fake.say("PUT", b"ERR too-long 9 bytes at most\n" + CLOSE)
        with pytest.raises(qclient.TooLong):
            client.put("q", 1)
        assert client._pool._idle == []


# ── broken off ──


def test_a_request_that_is_broken_off_takes_its_connection_with_it() -> None:
    with connected() as (fake, client):
        interrupt_next(client)
        with pytest.raises(KeyboardInterrupt):
            client.ping()
        assert client.put("q", 1).id == 1
        assert len(fake.sent("HELLO")) == 2


@pytest.mark.parametrize("wait", [0, 60])
def test_messages_on_their_way_to_a_get_that_is_broken_off_are_released(wait: float) -> None:
    with connected() as (fake, client):
        client.put_many("q", [1, 2])
        interrupt_next(client)
        with pytest.raises(KeyboardInterrupt):
            client.get("q", count=2, wait=wait)
        assert fake.sent("RELEASE") == ["RELEASE 1.1 2.2"]
        assert fake.server.leased == {}


def test_a_waiting_get_that_is_broken_off_says_goodbye() -> None:
    with connected() as (fake, client):
        interrupt_next(client)
        with pytest.raises(KeyboardInterrupt):
            client.get("q", wait=60)  # the fake answers it when this side is closed
        assert len(fake.sent("GET")) == 1
        assert fake.sent("RELEASE") == []


def test_only_what_was_leased_to_the_request_itself_is_released() -> None:
    with connected(session="w") as (fake, client):
        fake.say("LEASES", b"* 1.1 q expires_in=5\nOK 1\n")
        interrupt_next(client)
        with pytest.raises(KeyboardInterrupt):
            list(client.leases())
        assert fake.sent("RELEASE") == []


def test_a_second_interrupt_ends_the_goodbye() -> None:
    with connected() as (fake, client):
        client.put("q", 1)
        interrupt_next(client, reads=2)
        with pytest.raises(KeyboardInterrupt):
            client.get("q")
        assert fake.sent("RELEASE") == []
        client.ping()


def test_what_a_connection_gave_before_is_not_released_with_what_is_broken_off() -> None:
    with connected() as (fake, client):
        client.put_many("q", [1, 2])
        (held,) = client.get("q")
        interrupt_next(client)
        with pytest.raises(KeyboardInterrupt):
            client.get("q")
        assert fake.sent("RELEASE") == ["RELEASE 2.2"]
        assert held.ack()


# ── GETs that wait ──


def test_a_lost_get_is_asked_again_for_what_is_left_of_its_time() -> None:
    with connected() as (fake, client):
        time = Time(client)

        def lose(*_: object) -> bytes:
            time.now += 20
            return CLOSE

        fake.say("GET", lose, b"* 1.1 q 1\nOK 1\n")
        (message,) = client.get("q", count=5, wait=60, lease=9)
        assert message.receipt == "1.1"
        first, again = fake.sent("GET")
        assert first == "GET q count=5 wait=60 lease=9"
        left = float(again.split("wait=")[1].split()[0])
        assert 39 < left < 40
        assert client.lost_gets == 1


def test_nonsense_in_place_of_messages_counts_as_a_lost_connection_too() -> None:
    with connected() as (fake, client):
        fake.say("GET", b"nonsense\n", b"ERR storage gone\n", b"* 1.1 q 1\nOK 1\n")
        assert [each.receipt for each in client.get("q", wait=60)] == ["1.1"]
        assert client.lost_gets == 1


def test_a_lost_get_whose_time_is_over_asks_once_more_without_waiting() -> None:
    with connected() as (fake, client):
        time = Time(client)

        def lose(*_: object) -> bytes:
            time.now += 10
            return CLOSE

        fake.say("GET", lose)
        assert client.get("q", wait=5) == []
        assert fake.sent("GET") == ["GET q wait=5", "GET q"]


def test_a_waiting_get_ends_when_the_server_does_not_come_back() -> None:
    with connected(retry_for=10) as (fake, client):
        time = Time(client)
        fake.stop()
        with pytest.raises(qclient.ConnectionLost, match="no connection for 10 s"):
            client.get("q", wait=600)
        assert time.now == pytest.approx(1010)
        fake.start()


def test_a_waiting_get_is_given_its_time_and_patience_on_top(fake: Fake) -> None:
    with qclient.sync.connect(fake.url, timeout=5) as client:
        fake.say("GET", b"OK 0\n")
        client.get("q", wait=2)
        (connection,) = client._pool._idle
        assert connection._patience_s == pytest.approx(7, abs=2)
        client.ping()
        assert connection._patience_s == 5


@pytest.fixture
def fake() -> Any:
    with Fake() as running:
        yield running
