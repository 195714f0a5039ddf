"""Each verb: the line that is sent, and what is read from the reply."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from qclient import queues, verbs
from qclient.errors import (
    BadBody,
    BadRequest,
    Full,
    ProtocolError,
    StorageFailed,
)
from qclient.message import Delivery, Message, decoder, reason_text
from qclient.replies import ReplyReader, Request
from qclient.reports import Put, Settled


def read(request: Request[Any], stream: bytes) -> Any:
    return request.parse(ReplyReader().feed(stream))


def maker(wanted: object = Any) -> verbs.Make[Delivery[Any]]:
    def make(
        receipt: str, queue: str, raw: bytes, metadata: dict[str, Any] | None
    ) -> Delivery[Any]:
        return Delivery(receipt, queue, raw, decoder(wanted), **(metadata or {}))

    return make


def got(stream: bytes, wanted: object = Any) -> list[Delivery[Any]]:
    found: list[Delivery[Any]] = read(verbs.get(["q"], maker(wanted)), stream)
    return found


def test_a_put_says_only_what_was_asked_for() -> None:
    head = verbs.put_head("emails")
    assert verbs.put(head, {"n": 1}).line == b'PUT emails {"n":1}\n'


def test_a_put_with_everything() -> None:
    head = verbs.put_head(
        "q", delay=2.5, priority=9, ttl=timedelta(hours=1), key="a b", trace="00-1-01"
    )
    request = verbs.put(head, 1, "order-17")
    assert request.line == (
        b'PUT q delay=2.5 priority=9 ttl=3600 key="a b" trace=00-1-01 dedup=order-17 1\n'
    )


def test_a_put_has_a_delay_or_a_time() -> None:
    at = datetime(2027, 1, 31, tzinfo=UTC)
    assert verbs.put_head("q", at=at) == b"PUT q at=2027-01-31T00:00:00Z "
    with pytest.raises(BadRequest, match="not both"):
        verbs.put_head("q", at=at, delay=1)


def test_only_a_put_with_a_key_can_be_repeated() -> None:
    assert not verbs.put(b"PUT q ", 1).is_repeatable
    assert verbs.put(b"PUT q ", 1, "k").is_repeatable
    assert verbs.put_once(b"PUT q dedup=k1 1\n").is_repeatable


def test_a_put_says_whether_it_was_a_duplicate() -> None:
    request = verbs.put(b"PUT q ", 1, "k")
    assert read(request, b"OK 7\n") == Put(7)
    assert read(request, b"OK 7 duplicate\n") == Put(7, is_duplicate=True)
    assert read(request, b"OK 7 brand-new-word\n") == Put(7)


def test_the_client_s_own_key_found_twice_is_no_duplicate_for_the_caller() -> None:
    request = verbs.put_once(b"PUT q dedup=k1 1\n")
    assert read(request, b"OK 7\n") == Put(7)
    assert read(request, b"OK 7 duplicate\n") == Put(7)
    with pytest.raises(Full):
        read(request, b"ERR full no room\n")


def test_many_puts_have_an_outcome_each() -> None:
    request = verbs.put_lines([b"PUT q 1\n", b"PUT q 2\n", b"PUT q 3\n"], is_repeatable=False)
    assert (request.line, request.replies) == (b"PUT q 1\nPUT q 2\nPUT q 3\n", 3)
    outcomes = read(request, b"OK 1\nERR full x\nOK 3 duplicate\n")
    assert (outcomes[0], type(outcomes[1]), outcomes[2]) == (1, Full, 3)
    assert type(read(request, b"OK 1\nERR storage x\nOK 3\n")[1]) is StorageFailed


@pytest.mark.parametrize(
    ("second", "outcome"),
    [
        (b"OK 2", 2),
        (b"OK 18446744073709551616", 1 << 64),
        (b"OK 007", 7),
        (b"OK 2 duplicate", 2),
        (b"OK 2 brand-new 3", 2),
    ],
)
def test_an_id_among_many_is_read_as_one_alone(second: bytes, outcome: int) -> None:
    request = verbs.put_lines([b"PUT q 1\n"] * 3, is_repeatable=True)
    assert read(request, b"OK 1\n%b\nOK 3\n" % second) == [1, outcome, 3]


@pytest.mark.parametrize("second", [b"OK", b"OK ", b"OK x", b"OK -2", b"OK 2,5", b"OK 1e3"])
def test_an_ok_without_an_id_among_many_is_a_fault_of_the_server(second: bytes) -> None:
    request = verbs.put_lines([b"PUT q 1\n"] * 3, is_repeatable=True)
    with pytest.raises(ProtocolError):
        read(request, b"OK 1\n%b\nOK 3\n" % second)


def test_many_puts_with_keys_ask_to_be_repeated_together() -> None:
    request = verbs.put_lines([b"PUT q dedup=1 1\n", b"PUT q dedup=2 1\n"], is_repeatable=True)
    with pytest.raises(StorageFailed):
        read(request, b"OK 1\nERR storage x\n")
    assert read(request, b"OK 1\nOK 2\n") == [1, 2]


def test_a_get_says_only_what_was_asked_for() -> None:
    assert verbs.get(["a"], maker()).line == b"GET a\n"
    full = verbs.get(["a", "b"], maker(), count=5, wait=1.5, lease=timedelta(minutes=1))
    assert full.line == b"GET a,b count=5 wait=1.5 lease=60\n"
    assert full.leases


def test_messages_come_with_what_is_said_of_them() -> None:
    plain, full, literal, figure = got(
        b'* 1.1 q {"n":1}\n'
        b'* 2.2 q deliveries=2 failures=3 losses=4 priority=9 key="a b" trace=t new=1 [1]\n'
        b"* 3.3 q true\n"
        b"* 4.4 q deliveries=2 -5\n"
        b"OK 4\n"
    )
    assert (plain.receipt, plain.id, plain.queue, plain.raw) == ("1.1", 1, "q", b'{"n":1}')
    assert (plain.deliveries, plain.failures, plain.losses, plain.priority) == (1, 0, 0, 4)
    assert (plain.key, plain.trace) == (None, None)
    assert (full.deliveries, full.failures, full.losses, full.priority) == (2, 3, 4, 9)
    assert (full.key, full.trace, full.raw) == ("a b", "t", b"[1]")
    assert (literal.body, figure.body, figure.deliveries) == (True, -5, 2)


def test_a_body_s_bytes_stay_as_they_came() -> None:
    (message,) = got('* 1.1 q { "é" : 1E5, "-0": -0 }\nOK 1\n'.encode())
    assert message.raw == '{ "é" : 1E5, "-0": -0 }'.encode()


def test_no_messages_are_an_empty_list() -> None:
    assert got(b"OK 0\n") == []


@pytest.mark.parametrize("line", [b"* 1.1 q", b"* 1.1", b"* "])
def test_a_message_that_is_cut_short_is_a_fault_of_the_server(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        got(line + b"\nOK 1\n")


def test_the_receipts_of_a_reply_are_found_without_reading_it() -> None:
    stream = b"* 1.1 q x=1 1\n* 2.2 q {}\nOK 2\n"
    assert verbs.leased(ReplyReader().feed(stream)) == ["1.1", "2.2"]


class Email(msgspec.Struct):
    to: str


@dataclass
class Point:
    x: int


def test_a_body_is_decoded_into_the_type_that_was_asked_for() -> None:
    assert got(b'* 1.1 q {"to":"ada"}\nOK 1\n', Email)[0].body == Email("ada")
    assert got(b'* 1.1 q {"x":1}\nOK 1\n', Point)[0].body == Point(1)
    assert got(b'* 1.1 q {"x":1}\nOK 1\n', dict[str, int])[0].body == {"x": 1}


def test_a_body_is_decoded_once_and_only_when_asked_for() -> None:
    calls = []

    def decode(raw: bytes) -> object:
        calls.append(raw)
        return raw

    message = Delivery("1.1", "q", b"1", decode)
    assert calls == []
    assert message.body is message.body
    assert calls == [b"1"]


@pytest.mark.parametrize("raw", [b'{"to":1}', b"{", b"[" * 100_000])
def test_a_body_of_another_type_is_an_error_that_keeps_the_bytes(raw: bytes) -> None:
    message: Delivery[Any] = Delivery("1.1", "q", raw, decoder(Email))
    with pytest.raises(BadBody, match=r"1\.1"):
        _ = message.body
    assert message.raw == raw


def test_a_message_shows_itself_shortly() -> None:
    assert repr(Message("1.1", "q", b'"' + b"x" * 99)).startswith("<Message 1.1 of q: '\"xxx")


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (verbs.ack(["1.1", "2.2"]), b"ACK 1.1 2.2\n"),
        (verbs.release(["1.1"]), b"RELEASE 1.1\n"),
        (verbs.release(["1.1", "2.2"], delay=0.5), b"RELEASE 1.1 2.2 delay=0.5\n"),
        (verbs.nack(["1.1"]), b"NACK 1.1\n"),
        (
            verbs.nack(["1.1"], delay=0, reason="disk full", dead=True),
            b'NACK 1.1 delay=0 reason="disk full" dead=yes\n',
        ),
        (verbs.touch(["1.1"]), b"TOUCH 1.1\n"),
        (verbs.touch(["1.1"], lease=60), b"TOUCH 1.1 lease=60\n"),
        (verbs.touch_all(), b"TOUCH *\n"),
        (verbs.touch_all(lease=1), b"TOUCH * lease=1\n"),
    ],
)
def test_settling(request_: Request[Settled], line: bytes) -> None:
    assert request_.line == line
    assert request_.is_repeatable
    assert read(request_, b"OK 2\n") == Settled(2)
    late = b"* 9.9 not-leased\n* 8.8 brand-new\n* 7.7 not-leased why\nOK 0\n"
    assert read(request_, late) == Settled(0, ("9.9", "7.7"))


def test_a_peek_shows_everything() -> None:
    assert verbs.peek(17, Any).line == b"PEEK 17\n"
    stream = (
        b'* 2 leased queue=jobs receipt=2.1 deliveries=1 failures=2 losses=3 priority=7 key="a b" '
        b'trace=t reason="no such" {"to":"ada"}\nOK 1\n'
    )
    found = read(verbs.peek(2, Email), stream)
    assert (found.id, found.state, found.queue, found.receipt) == (2, "leased", "jobs", "2.1")
    assert (found.deliveries, found.failures, found.losses, found.priority) == (1, 2, 3, 7)
    assert (found.key, found.trace, found.reason) == ("a b", "t", "no such")
    assert found.body == Email("ada")


def test_a_stored_message_s_figures_default() -> None:
    found = read(verbs.peek(2, Any), b"* 2 ready 1\nOK 1\n")
    assert (found.deliveries, found.failures, found.losses, found.priority) == (0, 0, 0, 4)
    assert (found.receipt, found.key, found.trace, found.reason) == (None,) * 4


@pytest.mark.parametrize("stream", [b"OK 0\n", b"* 2 ready\nOK 1\n", b"* x ready 1\nOK 1\n"])
def test_a_peek_without_a_message_is_a_fault_of_the_server(stream: bytes) -> None:
    with pytest.raises(ProtocolError):
        read(verbs.peek(2, Any), stream)


def test_a_list_of_messages() -> None:
    assert queues.messages("q", Any).line == b"LIST q\n"
    request = queues.messages("q", Any, state=["dead", "done"], key="a b", count=5, after="17")
    assert request.line == b'LIST q state=dead,done key="a b" count=5 after=17\n'
    page = read(request, b"* 18 dead reason=x 1\n* 19 done kept_for=5 2\nOK 2 next=19\n")
    assert [(row.id, row.queue, row.body) for row in page.rows] == [(18, "q", 1), (19, "q", 2)]
    assert page.next == "19"
    assert read(request, b"OK 0\n").next is None


@pytest.mark.parametrize("state", ["", "gone", "ready,gone", []])
def test_a_state_that_there_is_not_is_refused(state: Any) -> None:
    with pytest.raises(BadRequest, match="state"):
        queues.messages("q", Any, state=state)


def test_a_list_of_queues() -> None:
    assert queues.queues().line == b"LIST\n"
    request = queues.queues(count=2, after="a")
    assert request.line == b"LIST count=2 after=a\n"
    page = read(
        request,
        b"* b ready=1 leased=2 delayed=3 dead=4 done=5 bytes=6 oldest=1.5 paused=yes waiting=7\n"
        b"* c ready=0 oldest=\n"
        b"OK 2 next=c\n",
    )
    b, c = page.rows
    assert (b.name, b.ready, b.leased, b.delayed, b.dead, b.done) == ("b", 1, 2, 3, 4, 5)
    assert (b.bytes, b.oldest_s, b.is_paused, b.waiting) == (6, 1.5, True, 7)
    assert (c.name, c.ready, c.oldest_s, c.is_paused, c.waiting) == ("c", 0, None, False, 0)
    assert page.next == "c"


def test_a_queue_s_settings() -> None:
    request = queues.queue(
        "q", {"lease": 60, "ttl": timedelta(hours=1), "backoff": 0.5, "requeue": "back", "x": None}
    )
    assert request.line == b"QUEUE q lease=60 ttl=3600 backoff=0.5 requeue=back\n"
    found = read(
        request, b"* q lease=60 max_failures=3 backoff_factor=1.5 expired=dead new=x\nOK 1\n"
    )
    assert (found.lease, found.max_failures, found.backoff_factor) == (60, 3, 1.5)
    assert (found.expired, found.requeue, found.info["new"]) == ("dead", "front", "x")
    with pytest.raises(ProtocolError):
        read(request, b"OK 1\n")


@pytest.mark.parametrize("setting", [{"lease": object()}, {"lease": True}, {"lease": -1}])
def test_a_setting_that_can_not_be_is_refused(setting: dict[str, object]) -> None:
    with pytest.raises(BadRequest, match="lease"):
        queues.queue("q", setting)


def test_pausing_and_resuming() -> None:
    assert (queues.pause("q").line, queues.resume("q").line) == (b"PAUSE q\n", b"RESUME q\n")
    assert read(queues.pause("q"), b"OK 1\n") is True
    assert read(queues.resume("q"), b"OK 0\n") is False


def test_what_removes_is_not_repeated() -> None:
    purge, drop = queues.purge("q", state="dead"), queues.drop("q")
    assert (purge.line, drop.line) == (b"PURGE q state=dead\n", b"DROP q\n")
    assert queues.purge("q").line == b"PURGE q\n"
    assert not purge.is_repeatable
    assert not drop.is_repeatable
    assert read(purge, b"OK 3\n") == 3


def test_redriving() -> None:
    request = queues.redrive("q", count=5, reason="smtp: *", to="p", dry=True)
    assert request.line == b'REDRIVE q count=5 reason="smtp: *" to=p dry=yes\n'
    assert request.is_repeatable
    assert queues.redrive("q").line == b"REDRIVE q\n"
    assert not queues.redrive("q").is_repeatable


def test_saying_hello() -> None:
    assert queues.hello().line == b"HELLO\n"
    request = queues.hello(client="a b", session="w-7", grace=5)
    assert request.line == b'HELLO client="a b" session=w-7 grace=5\n'
    found = read(
        request,
        b"OK server=qserver/1 protocol=1 sync=100ms line_bytes_max=10 count_max=20 wait_max=30 "
        b"lease_max=9 session=w-7 grace=5 leases=3 new\n",
    )
    assert (found.server, found.sync, found.line_bytes_max, found.count_max) == (
        "qserver/1",
        "100ms",
        10,
        20,
    )
    assert (found.wait_max_s, found.session, found.grace_s, found.leases) == (30, "w-7", 5, 3)
    assert found.info["lease_max"] == "9"


def test_the_rest() -> None:
    stats = read(queues.stats(), b"* uptime_s=1.5\n* messages=3 ready=2\n* sync=always\nOK 3\n")
    assert stats == {"uptime_s": 1.5, "messages": 3, "ready": 2, "sync": "always"}
    assert read(queues.ping(), b"OK\n") is None
    assert (queues.help_().line, queues.help_("GET").line) == (b"HELP\n", b"HELP GET\n")
    assert read(queues.help_(), b"* GET a\n* PUT b\nOK 2\n") == ["GET a", "PUT b"]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (None, None),
        ("", None),
        ("why", "why"),
        (ValueError("bad"), "ValueError: bad"),
        (KeyError(), "KeyError"),
        ("\ud800", "?"),
    ],
)
def test_a_reason_is_text_or_what_an_exception_says(reason: Any, text: str | None) -> None:
    assert reason_text(reason) == text


def test_a_long_reason_is_cut_between_characters() -> None:
    exact = "é" * 2048
    assert reason_text(exact) == exact
    cut = reason_text(exact + "é")
    assert cut == "é" * 2046 + "…"
    assert len(cut.encode()) <= 4096


def test_parsing_is_bound_to_its_own_request() -> None:
    number, text = verbs.get(["q"], maker(int)), verbs.get(["q"], maker(str))
    assert read(text, b'* 1.1 q "5"\nOK 1\n')[0].body == "5"
    assert read(number, b"* 1.1 q 5\nOK 1\n")[0].body == 5
