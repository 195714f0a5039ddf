"""The loop over messages of the synchronous client."""

import logging
import re
import threading
import time
from itertools import islice

import pytest

import qclient
from tests.unit.qclient.client_fakes import CLOSE
from tests.unit.qclient.sync.sync_fakes import connected


def test_messages_come_in_order_each_once_and_the_loop_ends_when_nothing_more_does() -> None:
    with connected() as (fake, client):
        client.put_many("q", [1, 2, 3])
        seen = []
        for message in client.consume("q", wait=0, lease=9):
            with message:
                seen.append(message.body)
        assert seen == [1, 2, 3]
        assert fake.sent("ACK") == ["ACK 1.1", "ACK 2.2", "ACK 3.3"]
        assert fake.sent("GET") == ["GET q lease=9"] * 4


def test_it_waits_for_what_comes_later_and_for_ever_by_default() -> None:
    with connected() as (fake, client):
        loop = client.consume("a", "b", type=str)
        put = threading.Timer(0.05, lambda: client.put("b", "late"))
        put.start()
        assert next(loop).body == "late"
        put.join()
        (asked,) = fake.sent("GET")
        assert re.fullmatch(r"GET a,b wait=(20|1\d\.\d+)", asked)


def test_wait_counts_from_the_last_message_and_not_from_the_begin() -> None:
    with connected() as (_, client):
        client.put_many("q", [1, 2])
        began_at = time.monotonic()
        for message in client.consume("q", wait=0.2):
            with message:
                pass
            while time.monotonic() < began_at + 0.3:  # longer than `wait`
                threading.Event().wait(0.01)
        assert time.monotonic() - began_at >= 0.3 + 0.2


def test_leaving_the_loop_releases_what_was_not_handed_out() -> None:
    with connected() as (fake, client):
        client.put_many("q", range(4))
        for message in client.consume("q", count=3):
            with message:
                break
        assert (fake.sent("ACK"), fake.sent("RELEASE")) == (["ACK 1.1"], ["RELEASE 2.2 3.3"])


def test_an_exception_nacks_its_message_and_releases_the_others() -> None:
    with connected() as (fake, client):
        client.put_many("q", range(3))
        with pytest.raises(ValueError, match="bad"):  # noqa: PT012  it is the loop's
            for message in client.consume("q", count=3):
                with message:
                    raise ValueError("bad")
        assert fake.sent("NACK") == ['NACK 1.1 reason="ValueError: bad"']
        assert fake.sent("RELEASE") == ["RELEASE 2.2 3.3"]


def test_nothing_is_fetched_before_the_first_and_nothing_is_released_of_what_was_handed_out() -> (
    None
):
    with connected() as (fake, client):
        client.put_many("q", range(3))
        loop = client.consume("q")
        assert fake.sent("GET") == []
        first, second = islice(loop, 2)
        del loop
        assert [first.ack(), second.ack()] == [True, True]
        assert fake.sent("RELEASE") == []


def test_a_server_that_answers_at_once_without_messages_is_not_asked_again_and_again() -> None:
    backoff = qclient.Backoff(first_s=0.05, max_s=0.05, random=lambda: 1.0)
    with connected(backoff=backoff) as (fake, client):
        fake.say("GET", *[b"OK 0\n"] * 5)
        client.put("q", 1)
        began_at = time.monotonic()
        assert next(client.consume("q")).body == 1
        assert time.monotonic() - began_at >= 5 * 0.05


def test_what_cannot_be_given_back_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with connected(retry_for=0) as (fake, client), caplog.at_level(logging.WARNING, "qclient"):
        client.put_many("q", range(3))
        for message in client.consume("q", count=3):
            with message:
                message.ack()
            fake.say("RELEASE", CLOSE)
            break
    assert "2 messages come again when their lease ends" in caplog.text
