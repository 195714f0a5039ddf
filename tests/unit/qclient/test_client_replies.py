"""The reader, three ways each: whole, one byte at a time, and with a tail behind it."""

import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qclient import replies
from qclient.errors import NotFound, ProtocolError, ReplyError
from qclient.replies import Reply, ReplyReader

Feed = Callable[[bytes], list[Reply]]


def whole(stream: bytes) -> list[Reply]:
    return ReplyReader().feed(stream)


def by_bytes(stream: bytes) -> list[Reply]:
    reader = ReplyReader()
    return [reply for at in range(len(stream)) for reply in reader.feed(stream[at : at + 1])]


def with_tail(stream: bytes) -> list[Reply]:
    reader = ReplyReader()
    found = reader.feed(stream + b"* 9.9 tail 1\nOK")
    assert not reader.is_between
    assert reader.feed(b" 1\n") == [([b"* 9.9 tail 1"], b"OK 1")]
    assert reader.is_between
    return found


@pytest.fixture(params=[whole, by_bytes, with_tail])
def feed(request: pytest.FixtureRequest) -> Feed:
    way: Feed = request.param
    return way


def test_an_ok_is_a_reply(feed: Feed) -> None:
    assert feed(b"OK\n") == [([], b"OK")]


def test_words_stay_with_their_ok(feed: Feed) -> None:
    assert feed(b"OK 1 duplicate\n") == [([], b"OK 1 duplicate")]


def test_an_error_is_a_reply(feed: Feed) -> None:
    assert feed(b"ERR full no room\n") == [([], b"ERR full no room")]


def test_data_lines_belong_to_the_closing_line_behind_them(feed: Feed) -> None:
    stream = b'* 1.1 q "OK"\n* 2.2 q "ERR x"\nOK 2\nOK\n* a\nERR storage gone\n'
    assert feed(stream) == [
        ([b'* 1.1 q "OK"', b'* 2.2 q "ERR x"'], b"OK 2"),
        ([], b"OK"),
        ([b"* a"], b"ERR storage gone"),
    ]


def test_many_that_end_well_are_told_from_those_that_do_not(feed: Feed) -> None:
    assert feed(b"OK 1\nOK 2\nOK 3 duplicate\n") == [
        ([], b"OK 1"),
        ([], b"OK 2"),
        ([], b"OK 3 duplicate"),
    ]
    assert feed(b"OK 1\nOK\nERR full OK 3\nOK 4\n* 1.1 OK 5\nOK 6\n") == [
        ([], b"OK 1"),
        ([], b"OK"),
        ([], b"ERR full OK 3"),
        ([], b"OK 4"),
        ([b"* 1.1 OK 5"], b"OK 6"),
    ]


def test_the_beginning_of_an_ok_is_none_of_the_lines_before_it() -> None:
    reader = ReplyReader()
    assert reader.feed(b"OK 1\n* 2.2 q 1\nOK ") == [([], b"OK 1")]
    assert reader.feed(b"2\n") == [([b"* 2.2 q 1"], b"OK 2")]


def test_data_that_came_before_stays_with_the_next_reply() -> None:
    for tail in (b"OK 1\n", b"OK 1\nOK 2\n"):
        reader = ReplyReader()
        assert reader.feed(b"* 1.1 q 1\n") == []
        assert reader.feed(tail)[0] == ([b"* 1.1 q 1"], b"OK 1")
        assert reader.feed(b"OK 3\n") == [([], b"OK 3")]


def test_a_carriage_return_in_a_body_does_not_end_a_line(feed: Feed) -> None:
    assert feed(b"* 1.1 q [1,\r2]\nOK 1\n") == [([b"* 1.1 q [1,\r2]"], b"OK 1")]


@pytest.mark.parametrize(
    "line", [b"HTTP/1.1 400 Bad Request", b"", b"OKAY", b"ok", b"*1", b"ERRfull", b"ERR", b"+OK"]
)
def test_anything_else_is_none_of_the_protocol(feed: Feed, line: bytes) -> None:
    with pytest.raises(ProtocolError):
        feed(b"OK\n" + line + b"\n")


def test_an_endless_line_is_given_up() -> None:
    reader = ReplyReader(line_bytes_max=10)
    assert reader.feed(b"* 1234") == []
    with pytest.raises(ProtocolError, match="more than 10 bytes"):
        reader.feed(b"56789")


def test_what_is_held_is_counted_from_the_last_line() -> None:
    reader = ReplyReader(line_bytes_max=10)
    for _ in range(5):
        assert reader.feed(b"* 345") == []
        assert reader.feed(b"6\nOK\n* 345") == [([b"* 3456"], b"OK")]
        assert reader.feed(b"\nOK\n") == [([b"* 345"], b"OK")]
    assert reader.feed(b"* 34567890") == []


def test_nothing_comes_of_nothing() -> None:
    reader = ReplyReader()
    assert reader.feed(b"") == []
    assert reader.is_between


@given(st.lists(st.binary(max_size=30)), st.data())
def test_cutting_a_stream_anywhere_changes_nothing(
    bodies: list[bytes], data: st.DataObject
) -> None:
    stream = b"".join(b"* 1.1 q %b\nOK 1\n" % body.replace(b"\n", b"") for body in bodies)
    reader = ReplyReader()
    found: list[Reply] = []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        found += reader.feed(stream[:cut])
        stream = stream[cut:]
    assert found == [([b"* 1.1 q " + body.replace(b"\n", b"")], b"OK 1") for body in bodies]


def test_a_huge_line_in_small_pieces_takes_linear_time() -> None:
    def seconds(size: int) -> float:
        reader = ReplyReader()
        piece = b"x" * 1000
        began = time.process_time()
        reader.feed(b"* ")
        for _ in range(size):
            reader.feed(piece)
        assert len(reader.feed(b"\nOK\n")[0][0][0]) == 2 + size * 1000
        return time.process_time() - began

    small = min(seconds(500) for _ in range(3))
    large = min(seconds(10_000) for _ in range(3))
    assert large < 20 * 8 * max(small, 0.0005)


def test_the_words_behind_an_ok() -> None:
    assert replies.closing_words(b"OK 1 duplicate") == ["1", "duplicate"]
    assert replies.closing_number(b"OK 17 more") == 17


@pytest.mark.parametrize("closing", [b"OK", b"OK x", b"OK -1"])
def test_a_number_that_is_missing_is_a_fault_of_the_server(closing: bytes) -> None:
    with pytest.raises(ProtocolError):
        replies.closing_number(closing)


def test_a_refusal_is_raised_by_its_class() -> None:
    with pytest.raises(NotFound, match="no message 2") as caught:
        replies.first([([], b"ERR not-found no message 2")])
    assert caught.value.code == "not-found"
    assert not caught.value.is_retryable


def test_a_code_that_is_unknown_is_a_reply_error_with_that_code() -> None:
    error = replies.refusal(b"ERR brand-new what it says")
    assert type(error) is ReplyError
    assert (error.code, str(error)) == ("brand-new", "what it says [brand-new]")


def test_an_error_without_text_says_its_code() -> None:
    error = replies.refusal(b"ERR full")
    assert error is not None
    assert str(error) == "full [full]"
