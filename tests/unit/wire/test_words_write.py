"""Values to words, and back again."""

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qserver.wire.words import (
    duration_reader,
    number,
    read_options,
    read_text,
    text,
    time_reader,
    timestamp,
)

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bare-word_1.2:3/4", b"bare-word_1.2:3/4"),
        ("a=b", b"a=b"),
        ("two words", b'"two words"'),
        ("", b'""'),
        ('quo"te', b'"quo\\"te"'),
        ("back\\slash", b'"back\\\\slash"'),
        ("line\nfeed\r\t\0", b'"line\\nfeed\\r\\t\\u0000"'),
        ("ä", '"ä"'.encode()),
        ("\u2028", '"\u2028"'.encode()),
    ],
)
def test_text_is_written_bare_where_every_reader_takes_it_so(value: str, expected: bytes) -> None:
    assert text(value) == expected


@given(ANY_TEXT)
@example("\x85\u2028\x0b\x0c\x1c\x7f")
@example('"\\')
@example("=")
def test_any_text_comes_back_from_its_word(value: str) -> None:
    word = text(value)
    assert b"\n" not in word
    assert b"\r" not in word
    assert read_text("key", word) == value


@given(ANY_TEXT, ANY_TEXT)
def test_any_text_comes_back_from_among_the_options_and_a_body(a: str, b: str) -> None:
    words = b"a=%b b=%b {}" % (text(a), text(b))
    values, left = read_options(words, {b"a": bytes, b"b": bytes})
    assert (read_text("a", values[b"a"]), read_text("b", values[b"b"]), left) == (a, b, b"{}")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "0"),
        (0.0, "0"),
        (30.0, "30"),
        (2.5, "2.5"),
        (0.05, "0.05"),
        (100, "100"),
        (1234567.125, "1234567.125"),
        (0.0004, "0"),
        (0.0006, "0.001"),
        (3_153_600_000.0, "3153600000"),
        (10**15, "1000000000000000"),
    ],
)
def test_a_number_is_plain_and_without_trailing_zeros(value: float, expected: str) -> None:
    assert number(value) == expected


@given(st.integers(0, 10**15 - 1))
def test_milliseconds_come_back_from_their_number(milliseconds: int) -> None:
    word = number(milliseconds / 1000).encode()
    assert duration_reader("wait", 0.0, 1e13)(word) == pytest.approx(milliseconds / 1000, abs=1e-4)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_800_000_000.0, "2027-01-15T08:00:00.000Z"),
        (1_800_000_000.9996, "2027-01-15T08:00:00.999Z"),
        (253_370_764_800.0, "9999-01-01T00:00:00.000Z"),
    ],
)
def test_a_timestamp_is_rfc_3339_in_utc_with_milliseconds(seconds: float, expected: str) -> None:
    assert timestamp(seconds) == expected


@given(st.integers(0, 4_000_000_000_000))
def test_a_timestamp_comes_back_to_the_millisecond(milliseconds: int) -> None:
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    read = time_reader("at")(timestamp(at.timestamp()).encode())
    assert 0 <= at.timestamp() - read < 0.0011  # cut, never rounded up
