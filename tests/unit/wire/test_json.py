"""Bodies: what is JSON, and what is refused and how."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qserver.errors import RequestError
from qserver.wire.words import check_json


def refusal(text: bytes) -> str:
    """The error's word and text; nothing if there is none."""
    try:
        check_json(text)
    except RequestError as failure:
        return f"{failure.word}: {failure}"
    return ""


def refused_as(text: bytes) -> str:
    return refusal(text).partition(":")[0]


def nested(depth: int) -> bytes:
    return (
        b'[{"a":' * (depth // 2)
        + b"[" * (depth % 2)
        + b"1"
        + b"]" * (depth % 2)
        + b"}]" * (depth // 2)
    )


@pytest.mark.parametrize("depth", [0, 1, 2, 127, 128])
def test_json_may_be_nested_128_deep(depth: int) -> None:
    check_json(nested(depth))


@pytest.mark.parametrize(("depth", "is_taken"), [(127, True), (128, True), (129, False)])
def test_the_depth_is_exact_among_many_brackets_too(depth: int, is_taken: bool) -> None:  # noqa: FBT001
    inner = nested(depth - 1)
    assert (refusal(b"[" + b"[]," * 200 + inner + b",{}]") == "") is is_taken


@pytest.mark.parametrize("depth", [129, 130, 1000, 100_000])
def test_json_may_be_nested_no_deeper(depth: int) -> None:
    assert refusal(nested(depth)) == "bad-json: the body is nested deeper than 128"


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[]," * 1000 + b"[]]",
        b'["' + b"[" * 1000 + b'"]',
        b'["\\"' + b"[" * 1000 + b'\\\\","' + b"{" * 1000 + b'"]',
        b'{"[[[":' * 100 + b"[]" + b"}" * 100,
        b"[" + b'"\\\\",[' * 120 + b"]" * 121,
    ],
)
def test_only_brackets_that_nest_are_counted(text: bytes) -> None:
    check_json(text)


def test_a_byte_that_is_not_utf_8_is_named() -> None:
    assert refusal(b'"ab\xff"') == "bad-json: byte 3 of the body is not UTF-8"


def test_what_is_wrong_with_the_syntax_is_named() -> None:
    assert refusal(b"[1,]") == (
        "bad-json: the body is not one JSON value: trailing comma in array (byte 3)"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text('ab[{"\\é'), inner),
    max_leaves=20,
)  # fmt: skip


@given(JSON, st.booleans())
def test_all_json_that_python_writes_is_taken(value: Any, ascii_only: bool) -> None:  # noqa: FBT001
    check_json(json.dumps(value, ensure_ascii=ascii_only).encode())


@given(st.binary(max_size=30))
@example(b"\xef\xbb\xbf1")
@example(b"NaN")
@example(b"1\x0b")
def test_all_json_that_is_taken_python_can_read_strictly(text: bytes) -> None:
    def refuse(name: str) -> None:
        raise ValueError(name)

    word = refused_as(text)
    assert refusal(text).isprintable()
    assert word in {"", "bad-json"}
    if not word:
        json.loads(text.decode(), parse_constant=refuse)
