"""Bytes to lines: the same lines in whatever pieces they come, and never more than the limit."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qserver.wire.framing import LineReader, without_end

LINES = b"PING\nPUT a {}\r\n\n\r\n# x\r\rGET\x0b\x85 a\n\r\r\n"
READ = [b"PING", b"PUT a {}", b"", b"", b"# x\r\rGET\x0b\x85 a", b"\r"]


class Pieces:
    """A reader, and all that came out of it."""

    def __init__(self, line_bytes_max: int = 64) -> None:
        self.reader = LineReader(line_bytes_max)
        self.lines: list[bytes] = []
        self.word = ""
        self.text = ""

    def feed(self, *pieces: bytes) -> list[bytes]:
        for piece in pieces:
            if self.word:
                break
            lines, error = self.reader.feed(piece)
            assert all(line.endswith(b"\n") for line in lines)
            self.lines += map(without_end, lines)
            if error is not None:
                self.word, self.text = error.word, str(error)
        return self.lines


def test_lines_end_in_lf_and_lose_one_cr_before_it() -> None:
    assert Pieces().feed(LINES) == READ


def test_one_byte_at_a_time_gives_the_same_lines() -> None:
    assert Pieces().feed(*(LINES[i : i + 1] for i in range(len(LINES)))) == READ


@pytest.mark.parametrize("at", range(len(LINES) + 1))
def test_a_split_anywhere_gives_the_same_lines(at: int) -> None:
    assert Pieces().feed(LINES[:at], LINES[at:]) == READ


def test_two_splits_anywhere_give_the_same_lines() -> None:
    for a, b in itertools.combinations_with_replacement(range(len(LINES) + 1), 2):
        assert Pieces().feed(LINES[:a], LINES[a:b], LINES[b:]) == READ


@pytest.mark.parametrize("tail", [b"P", b"PING", b"PING\r", b"\r", b"x" * 64])
def test_a_tail_is_held_until_its_end_comes(tail: bytes) -> None:
    pieces = Pieces()
    assert pieces.feed(LINES + tail) == READ
    assert pieces.reader.held_bytes == len(tail)
    assert pieces.feed(b"\n") == [*READ, tail.removesuffix(b"\r")]
    assert pieces.reader.held_bytes == 0


def test_an_empty_piece_changes_nothing() -> None:
    assert Pieces().feed(b"PI", b"", b"NG\n", b"") == [b"PING"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 8, 9, 10, 100])
def test_a_line_may_have_the_limit_and_no_byte_more_in_whatever_pieces(
    end: bytes, piece_bytes: int
) -> None:
    for size, lines, word in ((8, [b"x" * 8], ""), (9, [], "too-long"), (20, [], "too-long")):
        data = b"x" * size + end
        pieces = Pieces(8)
        pieces.feed(*(data[at : at + piece_bytes] for at in range(0, len(data), piece_bytes)))
        assert (pieces.lines, pieces.word) == (lines, word)


@pytest.mark.parametrize("first", range(1, 9))
def test_a_line_that_is_too_long_only_with_what_was_held_is_refused(first: int) -> None:
    pieces = Pieces(8)
    assert pieces.feed(b"x" * first, b"x" * (9 - first) + b"\n") == []
    assert pieces.word == "too-long"


def test_many_lines_in_one_piece_may_have_more_than_the_limit_together() -> None:
    assert Pieces(8).feed(b"12345678\n" * 100) == [b"12345678"] * 100


def test_the_lines_before_one_that_is_too_long_are_given_and_none_behind_it() -> None:
    pieces = Pieces(8)
    assert pieces.feed(b"a\nb\n123456789\nc\n") == [b"a", b"b"]
    assert pieces.word == "too-long"


def test_a_line_without_an_end_is_refused_as_soon_as_no_end_could_save_it() -> None:
    pieces = Pieces(8)
    pieces.feed(b"12345678", b"\r")
    assert pieces.word == ""
    pieces.feed(b"\r")
    assert pieces.word == "too-long"
    assert pieces.reader.held_bytes == 0


def test_the_error_names_the_limit() -> None:
    pieces = Pieces(8)
    pieces.feed(b"1234567890")
    assert pieces.text == "a line may have 8 bytes, this one has more"


def test_a_line_in_small_pieces_costs_its_length_once() -> None:
    size = 1 << 18
    reader = LineReader(size)
    for _ in range(size):
        assert reader.feed(b"x") == ([], None)
    assert reader._held == [b"x"] * size  # kept as they came, to be joined once
    assert reader.feed(b"\n") == ([b"x" * size + b"\n"], None)
    assert reader._held == []


@given(
    st.lists(st.binary(max_size=12).map(lambda data: data.replace(b"\n", b"")), max_size=8),
    st.data(),
)
def test_any_lines_in_any_pieces_come_out_as_they_went_in(
    lines: list[bytes], data: st.DataObject
) -> None:
    sent = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=6)))
    pieces = [sent[a:b] for a, b in itertools.pairwise([0, *cuts, len(sent)])]
    assert Pieces().feed(*pieces) == [line.removesuffix(b"\r") for line in lines]


@given(
    st.lists(st.sampled_from([0, 1, 255, 256, 3000]), max_size=6),
    st.sampled_from([b"", b"\r", b"\n", b"x", b"x" * 256]),
)
def test_long_lines_are_cut_as_short_ones_are(lengths: list[int], tail: bytes) -> None:
    data = b"\n".join(b"y" * length for length in lengths) + tail
    reader = LineReader(10_000)
    *lines, rest = data.split(b"\n")
    assert reader.feed(data) == ([line + b"\n" for line in lines], None)
    assert reader.feed(b"\n") == ([rest + b"\n"], None)
