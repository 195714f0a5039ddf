"""Names, text, numbers, times, receipts and bodies, both ways."""

import math
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qclient import words
from qclient.errors import BadJson, BadName, BadReceipt, BadRequest, ProtocolError


@pytest.mark.parametrize("name", ["a", "A-z_0.9:x", "_", ":", "9", "x" * 128])
def test_a_name_is_sent_as_it_is(name: str) -> None:
    assert words.name(name) == name.encode()


@pytest.mark.parametrize(
    "name", ["", ".a", "-a", "a b", "a\nPURGE x", "a\n", "é", "x" * 129, "a,b", "a=b", 7, None]
)
def test_what_is_no_name_is_refused_before_it_is_sent(name: Any) -> None:
    with pytest.raises(BadName):
        words.name(name)


def test_several_queues_go_with_commas() -> None:
    assert words.names(["a", "b"]) == b"a,b"
    with pytest.raises(BadRequest):
        words.names([])


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("plain", b"plain"),
        ("a=b,c", b"a=b,c"),
        ("~!#", b"~!#"),
        ("", b'""'),
        ("disk full", b'"disk full"'),
        ('a"b', b'"a\\"b"'),
        ("a\nPURGE x", b'"a\\nPURGE x"'),
        ("a\rb\tc\x00", b'"a\\rb\\tc\\u0000"'),
        ("é", '"é"'.encode()),
        ("\x7f", b'"\x7f"'),
    ],
)
def test_text_that_is_no_plain_word_is_quoted(text: str, sent: bytes) -> None:
    assert words.text(text) == sent


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(BadRequest, match="surrogate"):
        words.text("\ud800")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_its_word_and_holds_no_line_feed(text: str) -> None:
    sent = words.text(text)
    assert b"\n" not in sent
    assert words.fields(b"reason=%b other=1 {}" % sent) == ({"reason": text, "other": "1"}, b"{}")


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (0, b"0"),
        (30, b"30"),
        (2.5, b"2.5"),
        (0.1 + 0.2, b"0.3"),
        (1e-5, b"0.00001"),
        (1e-9, b"0"),
        (3e9, b"3000000000"),
        (100.0, b"100"),
        (timedelta(minutes=5), b"300"),
        (timedelta(milliseconds=1), b"0.001"),
    ],
)
def test_a_duration_is_plain_seconds(value: words.Duration, sent: bytes) -> None:
    assert words.duration(value, "delay") == sent


@pytest.mark.parametrize(
    "value", [-1, -0.5, math.nan, math.inf, timedelta(seconds=-1), True, "5", None]
)
def test_what_is_no_duration_is_refused_by_name(value: Any) -> None:
    with pytest.raises(BadRequest, match="delay"):
        words.duration(value, "delay")


@pytest.mark.parametrize("value", [-1, True, 1.0, "1", None])
def test_what_is_no_whole_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(BadRequest, match="count"):
        words.whole(value, "count")


def test_a_time_goes_in_utc() -> None:
    east = timezone(timedelta(hours=1))
    assert words.instant(datetime(2027, 1, 31, 9, 30, tzinfo=UTC)) == b"2027-01-31T09:30:00Z"
    assert words.instant(datetime(2027, 1, 31, 9, 30, tzinfo=east)) == b"2027-01-31T08:30:00Z"
    fine = datetime(2027, 1, 31, 9, 30, 0, 250_000, tzinfo=UTC)
    assert words.instant(fine) == b"2027-01-31T09:30:00.250000Z"


@pytest.mark.parametrize("value", [datetime(2027, 1, 31), "2027-01-31", None])  # noqa: DTZ001
def test_a_time_without_its_zone_is_refused(value: Any) -> None:
    with pytest.raises(BadRequest, match="zone"):
        words.instant(value)


def test_receipts_go_with_spaces() -> None:
    assert words.receipts(["1.2", "17.204"]) == b"1.2 17.204"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["1.2", "x"], "'x'"),
        (["1"], "'1'"),
        (["1.2\nPURGE q"], "PURGE"),
        (["٣.٣"], "٣"),
        (["1.2 "], "''"),
        (["-1.2"], "-1.2"),
        ([], "at least one"),
    ],
)
def test_what_is_no_receipt_is_refused_and_named(wrong: list[str], named: str) -> None:
    with pytest.raises(BadReceipt, match=named):
        words.receipts(wrong)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({"to": "ada"}, b'{"to":"ada"}'),
        (None, b"null"),
        ("a\nb", b'"a\\nb"'),
        ([1, 2.5], b"[1,2.5]"),
        (msgspec.Raw(b' { "a": 1E5 } \r\n'), b'{ "a": 1E5 }'),
        (msgspec.Raw(b"-0"), b"-0"),
        (msgspec.Raw(b"true"), b"true"),
        (msgspec.Raw(b'{"a": -0.0,\n"b": 1E5}'), b'{"a":-0.0,"b":1E5}'),
        ({"a": msgspec.Raw(b"[1,\n2]")}, b'{"a":[1,2]}'),
    ],
)
def test_a_body_is_one_line_of_json(body: object, sent: bytes) -> None:
    assert words.body(body) == sent


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "msgspec.Raw"),
        (bytearray(b"{}"), "msgspec.Raw"),
        (object(), "can't be written"),
        ("\ud800", "can't be written"),
        (msgspec.Raw(b"  "), "empty"),
        (msgspec.Raw(b"delay=5 {}"), "not JSON"),
        (msgspec.Raw(b"true false"), "not JSON"),
        (msgspec.Raw(b"nul"), "not JSON"),
        (msgspec.Raw(b'"a\nb"'), "line feed"),
        (msgspec.Raw(b"1\nPURGE q"), "line feed"),
    ],
)
def test_what_is_no_body_is_refused_before_it_is_sent(body: object, said: str) -> None:
    with pytest.raises(BadJson, match=said):
        words.body(body)


def test_a_body_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(BadJson):
        words.body(endless)


@pytest.mark.parametrize(
    ("rest", "info", "raw"),
    [
        (b'{"a":1}', {}, b'{"a":1}'),
        (b"17", {}, b"17"),
        (b"-1.5", {}, b"-1.5"),
        (b"true", {}, b"true"),
        (b"null", {}, b"null"),
        (b"a=1 b=2 false", {"a": "1", "b": "2"}, b"false"),
        (b'key="a b" "a=b"', {"key": "a b"}, b'"a=b"'),
        (b'key="\\"}{" [1]', {"key": '"}{'}, b"[1]"),
        (b"a= {}", {"a": ""}, b"{}"),
        (b"a=1", {"a": "1"}, b""),
        (b"new a=1 New=2 {}", {"a": "1"}, b"{}"),
        (b"lonely", {}, b""),
        (b"truest a=1 {}", {"a": "1"}, b"{}"),
        (b"", {}, b""),
    ],
)
def test_words_are_told_from_the_body_behind_them(
    rest: bytes, info: dict[str, str], raw: bytes
) -> None:
    assert words.fields(rest) == (info, raw)


def test_a_quoted_word_that_is_no_text_is_a_fault_of_the_server() -> None:
    with pytest.raises(ProtocolError):
        words.fields(b'a="\\x" 1')


def test_figures_become_numbers_where_they_are() -> None:
    assert [words.number(each) for each in ("3", "2.5", "100ms", "")] == [3, 2.5, "100ms", ""]


def test_long_bytes_are_shortened_for_people() -> None:
    assert words.shorten(b"abc") == "'abc'"
    assert words.shorten(b"x" * 100) == "'" + "x" * 60 + "'…"
