"""The synchronous client's verbs, bulks, pages, and messages that settle themselves."""

import logging
import re
from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest

import qclient
from qclient.batches import LINES_MAX
from tests.unit.qclient.client_fakes import CLOSE
from tests.unit.qclient.sync.sync_fakes import connected


class Email(msgspec.Struct):
    """A body."""

    to: str


def test_a_put_says_its_number_and_whether_it_was_a_duplicate() -> None:
    with connected() as (fake, client):
        assert client.put("q", {"to": "ada"}) == qclient.Put(1)
        fake.say("PUT", b"OK 1 duplicate\n")
        assert client.put("q", 1, dedup="mine", delay=timedelta(seconds=5)) == qclient.Put(1, True)
        assert fake.sent("PUT")[1] == "PUT q delay=5 dedup=mine 1"


def test_bodies_come_back_as_the_type_that_was_asked_for() -> None:
    with connected() as (_, client):
        client.put("q", Email("ada"))
        client.put("q", Email("bob"))
        assert [each.body for each in client.get("q", type=Email)] == [Email("ada")]
        assert [each.body for each in client.get("q", type=dict, wait=1)] == [{"to": "bob"}]


def test_a_get_says_how_many_for_how_long_and_from_where() -> None:
    with connected() as (fake, client):
        client.get("a", "b", count=2, lease=9)
        fake.say("GET", b"OK 0\n")
        client.get("a", wait=timedelta(minutes=1), count=2, lease=9)
        assert fake.sent("GET")[0] == "GET a,b count=2 lease=9"
        assert re.fullmatch(r"GET a count=2 wait=(60|5\d\.\d+) lease=9", fake.sent("GET")[1])


def test_many_puts_go_as_few_requests_and_their_numbers_come_in_order() -> None:
    with connected() as (fake, client):
        count = LINES_MAX * 2 + 1
        assert client.put_many("q", range(count), key="k") == list(range(1, count + 1))
        assert len(fake.sent("PUT")) == count
        assert fake.sent("PUT")[0].startswith("PUT q key=k dedup=")
        assert client.put_many("q", []) == []


def test_a_bulk_whose_connection_is_lost_is_sent_again_from_its_last_unanswered_batch() -> None:
    with connected() as (fake, client):
        fake.say("PUT", *[b"OK 1\n"] * (LINES_MAX + 3), CLOSE)
        client.put_many("q", range(LINES_MAX + 10))
        lines = fake.sent("PUT")
        assert len(set(lines)) == LINES_MAX + 10
        assert lines.count(lines[0]) == 1
        assert lines.count(lines[LINES_MAX]) == 2


def test_refused_messages_of_a_bulk_are_told_apart_from_the_stored_ones() -> None:
    with connected() as (fake, client):
        fake.say("PUT", b"OK 1\n", b"ERR full no room\n", b"OK 2\n")
        with pytest.raises(qclient.BatchError) as caught:
            client.put_many("q", [1, 2, 3])
        assert [str(each) for each in caught.value.outcomes] == ["1", "no room [full]", "2"]


def test_a_body_that_cannot_be_sent_ends_a_bulk_and_says_what_went_before() -> None:
    with connected() as (fake, client):
        with pytest.raises(qclient.BadJson) as caught:
            client.put_many("q", [1, 2, b"bytes", 4])
        assert caught.value.__notes__ == ["2 messages before it were sent"]
        assert len(fake.sent("PUT")) == 2


def test_what_a_callers_iterable_raises_goes_through() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with connected() as (_, client):
        with pytest.raises(ZeroDivisionError):
            client.put_many("q", broken())
        client.ping()


def test_a_request_over_the_servers_limit_is_not_sent() -> None:
    with connected() as (fake, client):
        with pytest.raises(qclient.TooLong, match="over the server's limit of 1,048,576"):
            client.put("q", "x" * 1_048_576)
        with pytest.raises(qclient.TooLong):
            client.put_many("q", ["x" * 1_048_576])
        assert fake.sent("PUT") == []


def test_what_can_be_seen_to_be_wrong_is_said_before_a_place_is_waited_for() -> None:
    with connected(waiting_max=1) as (fake, client), client._pool.waiting:
        with pytest.raises(qclient.BadName):
            client.get("no such name", wait=5)
        assert fake.sent("GET") == []


def test_messages_are_listed_page_by_page_as_they_are_asked_for() -> None:
    with connected() as (fake, client):
        fake.say("LIST", b"* 1 ready 1\n* 2 ready 2\nOK 2 next=2\n", b"* 3 ready 3\nOK 1\n")
        rows = client.list("q", state="ready", page=2)
        assert next(rows).body == 1
        assert fake.sent("LIST") == ["LIST q state=ready count=2"]
        assert [row.id for row in rows] == [2, 3]
        assert fake.sent("LIST")[1] == "LIST q state=ready count=2 after=2"


def test_a_listing_ends_at_its_limit() -> None:
    with connected() as (fake, client):
        fake.say("LIST", b"* 5 ready 1\n* 6 ready 2\nOK 2 next=6\n", b"* 7 ready 3\nOK 1 next=7\n")
        assert [row.id for row in client.list("q", after=4, limit=3, page=2)] == [5, 6, 7]
        assert fake.sent("LIST") == ["LIST q count=2 after=4", "LIST q count=1 after=6"]
        assert list(client.list("q", limit=0)) == []


def test_queues_are_listed_to_the_last_page() -> None:
    with connected() as (fake, client):
        fake.say("LIST", b"* a ready=1\nOK 1 next=a\n", b"* b ready=2 paused=yes\nOK 1\n")
        assert [(each.name, each.ready) for each in client.queues(page=1)] == [("a", 1), ("b", 2)]


def test_leases_are_listed_to_the_last_page() -> None:
    with connected(session="w") as (fake, client):
        fake.say("LEASES", b"* 1.1 q expires_in=5\nOK 1 next=1\n", b"* 2.2 q expires_in=5\nOK 1\n")
        assert [each.receipt for each in client.leases(page=1)] == ["1.1", "2.2"]
        assert fake.sent("LEASES") == ["LEASES count=1", "LEASES count=1 after=1"]


def test_progress_is_said_of_a_message_or_a_receipt() -> None:
    with connected() as (fake, client):
        fake.say("PROGRESS", b"OK 1\n", b"* 1.1 not-leased\nOK 0\n")
        client.put("q", 1)
        (message,) = client.get("q")
        assert client.progress(message, 0.5).count == 1
        assert client.progress("1.1", {"at": 3}).not_leased == ("1.1",)
        assert fake.sent("PROGRESS") == ["PROGRESS 1.1 0.5", 'PROGRESS 1.1 {"at":3}']
        with pytest.raises(qclient.TooLong):
            client.progress(message, "x" * 1_048_576)


# ── messages ──


def test_a_message_is_acked_at_the_end_of_its_block() -> None:
    with connected() as (fake, client):
        client.put("q", 1)
        (message,) = client.get("q")
        with message as same:
            assert same is message
            assert fake.sent("ACK") == []
        assert fake.sent("ACK") == ["ACK 1.1"]
        assert message.is_settled


def test_an_exception_in_the_block_nacks_with_its_reason_and_goes_on() -> None:
    with connected() as (fake, client):
        client.put("q", 1)
        (message,) = client.get("q")
        with pytest.raises(ValueError, match="no such mailbox"), message:
            raise ValueError("no such mailbox")
        assert fake.sent("NACK") == ['NACK 1.1 reason="ValueError: no such mailbox"']


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupted_block_releases(error: type[BaseException]) -> None:
    with connected() as (fake, client):
        client.put("q", 1)
        (message,) = client.get("q")
        with pytest.raises(error), message:
            raise error
        assert fake.sent("RELEASE") == ["RELEASE 1.1"]


def test_a_message_settled_in_its_block_is_left_alone() -> None:
    with connected() as (fake, client):
        client.put_many("q", [1, 2, 3])
        for message, settle in zip(
            client.get("q", count=3), ("ack", "nack", "release"), strict=True
        ):
            with message:
                assert getattr(message, settle)()
        assert [len(fake.sent(verb)) for verb in ("ACK", "NACK", "RELEASE")] == [1, 1, 1]


def test_a_message_says_whether_its_lease_was_still_held() -> None:
    with connected() as (fake, client):
        client.put("q", 1)
        (message,) = client.get("q")
        assert message.touch(60)
        assert message.nack(delay=5, dead=True)
        client.put("q", 2)
        (second,) = client.get("q")
        assert second.release(delay=2.5)
        assert fake.sent("RELEASE") == ["RELEASE 2.2 delay=2.5"]
        assert not message.ack()
        assert not message.release()
        assert not message.touch()
        assert fake.sent("TOUCH") == ["TOUCH 1.1 lease=60", "TOUCH 1.1"]
        assert fake.sent("NACK") == ["NACK 1.1 delay=5 dead=yes"]


def test_an_ack_that_cannot_be_delivered_is_raised_at_the_end_of_the_block() -> None:
    with connected(retry_for=0) as (fake, client):
        client.put("q", 1)
        (message,) = client.get("q")
        fake.say("ACK", CLOSE)
        with pytest.raises(qclient.ConnectionLost), message:
            pass


def test_a_nack_that_cannot_be_delivered_does_not_hide_the_exception(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with connected(retry_for=0) as (fake, client):
        client.put("q", 1)
        (message,) = client.get("q")
        fake.say("NACK", CLOSE)
        with pytest.raises(ZeroDivisionError), message:
            raise ZeroDivisionError
    (record,) = caplog.records
    assert record.name == "qclient"
    assert record.levelno == logging.WARNING
    assert "nack of 1.1 was not confirmed" in record.message


def test_an_ack_that_came_too_late_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with connected() as (fake, client):
        client.put("q", 1)
        (message,) = client.get("q")
        fake.server.leased.clear()
        with message:
            pass
    assert "ack of 1.1 came after its lease had ended" in caplog.text
