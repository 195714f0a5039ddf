"""Words to values: what is read, and what is refused and how."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qserver.errors import RequestError
from qserver.wire.words import (
    _RECEIPTS,
    choice_reader,
    count_reader,
    duration_reader,
    number_reader,
    read_id,
    read_name,
    read_options,
    read_receipts,
    read_text,
    shown,
    text_reader,
    time_reader,
)

DAY_S = 86_400.0


def refusal(read: Callable[..., Any], *words: object) -> str:
    """The error's word and text."""
    with pytest.raises(RequestError) as caught:
        read(*words)
    return f"{caught.value.word}: {caught.value}"


# --- what an error shows ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"plain", "plain"),
        (b"x" * 40, "x" * 40),
        (b"x" * 41, "x" * 40 + "…"),
        (b"\xff\x00\n\x1b[2J", r"\xff\x00\n\x1b[2J"),
        ("näme".encode(), "näme"),
        ("\u202e\u2028".encode(), r"\u202e\u2028"),
        (b"x" * 39 + "ä".encode(), "x" * 39 + r"\xc3…"),
        (b"", ""),
    ],
)
def test_a_wrong_value_is_shown_short_and_printable(value: bytes, expected: str) -> None:
    assert shown(value) == expected


@given(st.binary(max_size=200))
def test_whatever_is_shown_stays_on_one_line_and_small(value: bytes) -> None:
    text = shown(value)
    assert text.isprintable()
    assert len(text.encode()) <= 170


# --- names, ids, receipts -----------------------------------------------------------------------


@pytest.mark.parametrize("word", ["a", "0", "_", ":", "a-b.c:d_E9", "x" * 128])
def test_a_name_is_1_to_128_of_its_alphabet(word: str) -> None:
    assert read_name(word.encode()) == word


@pytest.mark.parametrize(
    "word", [b"", b".a", b"-a", b"a b", b"a/b", b"x" * 129, b"a\n", b"\xc3\xa4"]
)
def test_anything_else_is_no_name(word: bytes) -> None:
    assert refusal(read_name, word).startswith(f"bad-name: '{shown(word)}' is no name: 1 to 128 of")


@pytest.mark.parametrize(("word", "expected"), [(b"0", 0), (b"17", 17), (b"9" * 19, 10**19 - 1)])
def test_an_id_is_a_whole_number_of_up_to_19_digits(word: bytes, expected: int) -> None:
    assert read_id(word) == expected


@pytest.mark.parametrize("word", [b"", b"-1", b"+1", b"1_0", b" 1", b"1.0", b"9" * 20, b"a"])
def test_anything_else_is_no_id(word: bytes) -> None:
    assert (
        refusal(read_id, word) == f"bad-request: '{word.decode()}' is no message id: a whole number"
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (b"1.1", [(1, 1)]),
        (b"1.2 30.40", [(1, 2), (30, 40)]),
        (b" \t1.2\t \t3.4 ", [(1, 2), (3, 4)]),
        (b"1.1 1.1", [(1, 1), (1, 1)]),
        (b"9" * 19 + b"." + b"9" * 19, [(10**19 - 1, 10**19 - 1)]),
    ],
)
def test_receipts_stand_between_blanks(words: bytes, expected: list[tuple[int, int]]) -> None:
    assert read_receipts(words, 2) == expected


@pytest.mark.parametrize("words", [b"", b" ", b"\t \t"])
def test_no_receipt_at_all_is_said_so(words: bytes) -> None:
    assert refusal(read_receipts, words, 9).startswith("bad-request: a receipt is missing")


@pytest.mark.parametrize(
    ("words", "wrong"),
    [(b"1.1 x 2.2", "x"), (b"01.1", "01.1"), (b"1.1\x0b1.2 3.4", r"1.1\x0b1.2"), (b"\r", r"\r")],
)
def test_the_receipt_that_is_wrong_is_named(words: bytes, wrong: str) -> None:
    assert refusal(read_receipts, words, 9).startswith(f"bad-receipt: '{wrong}' is no receipt")


NUMBERS = st.sampled_from(
    [b"1", b"20", b"9" * 19, b"9" * 20, b"1" + b"0" * 400, b"0", b"01", b"", b"-1"]
)
MARKS = st.sampled_from(
    [b".", b".", b".", b" ", b" ", b"  ", b"\t", b",", b"e", b"..", b"\r", b"\n"]
)


@given(st.lists(st.tuples(NUMBERS, MARKS, NUMBERS, MARKS), max_size=4), NUMBERS, MARKS, NUMBERS)
def test_receipts_are_what_their_pattern_says_however_they_are_read(
    before: list[tuple[bytes, ...]], number: bytes, mark: bytes, lease: bytes
) -> None:
    words = b"".join(map(b"".join, before)) + number + mark + lease
    if _RECEIPTS.fullmatch(words) is None:
        assert refusal(read_receipts, words, 9).startswith("bad-re")
    else:
        pairs = [word.split(b".") for word in words.split()]
        assert read_receipts(words, 9) == [(int(number), int(lease)) for number, lease in pairs]


def test_too_many_receipts_are_counted() -> None:
    assert len(read_receipts(b"1.1 " * 3, 3)) == 3
    assert refusal(read_receipts, b"1.1 " * 4, 3) == "limit: 4 receipts, and count_max is 3"


# --- numbers and times ------------------------------------------------------------------------


@pytest.mark.parametrize(("word", "expected"), [(b"1", 1), (b"10", 10), (b"007", 7)])
def test_a_count_is_a_number_within_its_bounds(word: bytes, expected: int) -> None:
    assert count_reader("count", 10)(word) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (b"11", "limit: count=11, and the limit is 10"),
        (b"9" * 50, f"limit: count={'9' * 40}…, and the limit is 10"),
        (b"0", "bad-request: count=0 is less than 1"),
        (b"-1", "bad-request: count=-1 is no whole number from 1"),
        ("²".encode(), "bad-request: count=² is no whole number from 1"),
        ("٣".encode(), "bad-request: count=٣ is no whole number from 1"),
        (b"", "bad-request: count= is no whole number from 1"),
    ],
)
def test_a_count_outside_is_refused_with_its_bound(word: bytes, expected: str) -> None:
    assert refusal(count_reader("count", 10), word) == expected


def test_a_count_may_begin_at_zero() -> None:
    assert count_reader("priority", 9, 0)(b"0") == 0


def test_a_decimal_is_plain_and_within_its_bounds() -> None:
    read = number_reader("factor", 1.0, 100.0)
    assert (read(b"1"), read(b"2.5"), read(b"100.0")) == (1.0, 2.5, 100.0)
    assert refusal(read, b"0.99") == "limit: factor=0.99, and the least is 1"
    assert refusal(read, b"100.01") == "limit: factor=100.01, and the limit is 100"
    for word in (b"nan", b"1e1", b"", b"-2", b".5", b"5.", b"0x5", "٣".encode()):
        assert refusal(read, word) == f"bad-request: factor={word.decode()} is no decimal number"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (b"0", 0.0),
        (b"2.5", 2.5),
        (b"500ms", 0.5),
        (b"30s", 30.0),
        (b"1.5m", 90.0),
        (b"2h", 7200.0),
        (b"7d", 7 * DAY_S),
        (b"0.000000001s", 1e-9),
    ],
)
def test_a_duration_is_seconds_or_carries_its_unit(word: bytes, expected: float) -> None:
    assert duration_reader("wait", 0.0, 7 * DAY_S)(word) == expected


def test_a_duration_out_of_bounds_names_the_bound_in_seconds() -> None:
    read = duration_reader("lease", 0.05, 60.0)
    assert refusal(read, b"2m") == "limit: lease=2m, and the limit is 60"
    assert refusal(read, b"49ms") == "limit: lease=49ms, and the least is 0.05"
    assert refusal(read, b"1m1s").startswith("bad-request: lease=1m1s is no duration: seconds, or")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("2027-01-31T09:30:00Z", datetime(2027, 1, 31, 9, 30, tzinfo=UTC)),
        ("2027-01-31t09:30:00z", datetime(2027, 1, 31, 9, 30, tzinfo=UTC)),
        ("2027-01-31T09:30:00+01:00", datetime(2027, 1, 31, 8, 30, tzinfo=UTC)),
        ("2027-01-31T09:30:00.25-00:30", datetime(2027, 1, 31, 10, 0, 0, 250_000, tzinfo=UTC)),
        ("2027-01-31T09:30:00.123456789Z", datetime(2027, 1, 31, 9, 30, 0, 123_456, tzinfo=UTC)),
        ("1801387800", datetime(2027, 1, 31, 9, 30, tzinfo=UTC)),
        ("1801387800.5", datetime(2027, 1, 31, 9, 30, 0, 500_000, tzinfo=UTC)),
        ("1969-12-31T23:59:59Z", datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ("2028-02-29T00:00:00Z", datetime(2028, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_time_is_rfc_3339_with_a_zone_or_seconds(word: str, expected: datetime) -> None:
    assert time_reader("at")(word.encode()) == expected.timestamp()


@given(st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9998, 1, 1)))  # noqa: DTZ001
def test_every_time_that_python_writes_is_read_as_python_reads_it(at: datetime) -> None:
    at = at.replace(tzinfo=UTC)
    assert time_reader("at")(at.isoformat().encode()) == at.timestamp()


def test_seconds_since_1970_have_their_limit() -> None:
    assert refusal(time_reader("at"), b"253370764801").startswith("limit: at=253370764801, and the")
    assert refusal(time_reader("at"), b"2027-02-29T00:00:00Z").startswith(
        "bad-request: at=2027-02-29T00:00:00Z is no time: RFC 3339 with a zone"
    )


# --- text and options ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (b"plain", "plain"),
        (b'"no such mailbox"', "no such mailbox"),
        (b'"\\u00e4\\n\\"\\ud83d\\ude00"', 'ä\n"😀'),
        ("ä😀".encode(), "ä😀"),
        (b'"[1, 2]"', "[1, 2]"),
        (b"back\\slash", "back\\slash"),
    ],
)
def test_text_is_a_bare_word_or_a_json_string(word: bytes, expected: str) -> None:
    assert read_text("key", word) == expected


@pytest.mark.parametrize("word", [b"\xff", b'"\xff"', b'"\\ud800"', b'"a', b'"a"b', b'"\t"'])
def test_anything_else_is_no_text(word: bytes) -> None:
    assert refusal(read_text, "key", word) == (
        f"bad-request: key={shown(word)} is no text: a bare word or a JSON string"
    )


def test_text_is_counted_in_bytes_and_never_empty() -> None:
    read = text_reader("key", 4)
    assert read("éé".encode()) == "éé"
    assert refusal(read, "ééx".encode()) == "limit: key has 5 bytes, and the limit is 4"
    assert refusal(read, b'""') == "bad-request: key is empty"


def test_a_choice_is_one_of_a_few_words_exactly() -> None:
    read = choice_reader("dead", ("yes", "no"))
    assert read(b"yes") == "yes"
    for word in (b"YES", b"", b"y", b'"yes"', b"\xff"):
        assert refusal(read, word) == f"bad-request: dead={shown(word)} is not one of: yes, no"


READERS: dict[bytes, Callable[[bytes], Any]] = {b"a": bytes, b"long_name": bytes}


@pytest.mark.parametrize(
    ("words", "values", "left"),
    [
        (b"", {}, b""),
        (b"{}", {}, b"{}"),
        (b"a=1", {b"a": b"1"}, b""),
        (b"a=1 {}", {b"a": b"1"}, b"{}"),
        (b'a="x y" long_name=\t[1, 2] ', {b"a": b'"x y"', b"long_name": b""}, b"[1, 2] "),
        (b'a="\\"" 1', {b"a": b'"\\""'}, b"1"),
        (b"a=b=c", {b"a": b"b=c"}, b""),
        (b'a="x"y', {}, b'a="x"y'),
        (b'a=x"y', {}, b'a=x"y'),
        (b"A=1", {}, b"A=1"),
        (b"a=1\x0b", {}, b"a=1\x0b"),
        (b'"a=1"', {}, b'"a=1"'),
    ],
)
def test_options_end_where_none_can_be_read(
    words: bytes, values: dict[bytes, bytes], left: bytes
) -> None:
    assert read_options(words, READERS) == (values, left)


def test_an_option_is_known_and_stands_once() -> None:
    assert refusal(read_options, b"b=1", READERS) == (
        "bad-request: no option b here; there are: a long_name"
    )
    assert refusal(read_options, b"b=1", {}) == "bad-request: no option b here; there are: none"
    assert refusal(read_options, b"a=1 a=1", READERS) == "bad-request: the option a stands twice"
