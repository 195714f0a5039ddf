"""Words apart, options apart, and names that are remembered."""

import pytest

from qserver.config import Limits
from qserver.dispatch.grammar import _NAMES_KEPT, Grammar, refuse_rest, split_receipts, split_word
from qserver.errors import RequestError


@pytest.mark.parametrize(
    ("words", "first", "behind"),
    [
        (b"", b"", b""),
        (b"a", b"a", b""),
        (b"a b c", b"a", b"b c"),
        (b" \ta\t b ", b"a", b"b "),
        (b"  ", b"", b""),
        (b"a\x0bb\rc", b"a\x0bb\rc", b""),
        (b"a\x0bb c", b"a\x0bb", b"c"),
    ],
)
def test_a_word_ends_at_a_space_or_a_tab_and_nowhere_else(
    words: bytes, first: bytes, behind: bytes
) -> None:
    assert split_word(words) == (first, behind)


@pytest.mark.parametrize(
    ("words", "receipts", "options"),
    [
        (b"1.1 2.2", b"1.1 2.2", b""),
        (b"1.1 reason=x", b"1.1 ", b"reason=x"),
        (b'1.1\treason="a b=c" dead=yes', b"1.1\t", b'reason="a b=c" dead=yes'),
        (b"reason=x", b"", b"reason=x"),
        (b"", b"", b""),
    ],
)
def test_options_begin_at_the_word_with_the_first_equals_sign(
    words: bytes, receipts: bytes, options: bytes
) -> None:
    assert split_receipts(words) == (receipts, options)


@pytest.mark.parametrize("left", [b"", b" ", b"\t "])
def test_blanks_may_stand_behind_everything(left: bytes) -> None:
    refuse_rest(left)


@pytest.mark.parametrize(
    ("left", "text"),
    [
        (b"x", "nothing more can stand at 'x'"),
        (b"=x", "nothing more can stand at '=x'"),
        (b"\x0b", r"nothing more can stand at '\x0b'"),
        (b"COUNT=1", "'COUNT=1' is no option: name=value, the name in lower case"),
        (b'key="x', "'key=\"x' is no option: name=value, the name in lower case"),
    ],
)
def test_what_is_left_over_is_named_and_a_wrong_option_as_one(left: bytes, text: str) -> None:
    with pytest.raises(RequestError) as caught:
        refuse_rest(left)
    assert str(caught.value).startswith(text)


def test_names_are_remembered_up_to_a_bound() -> None:
    known = Grammar(Limits())
    words = [b"q%d" % number for number in range(_NAMES_KEPT + 2)]
    for word in (words[0], *words):
        assert known.queue_name(word) == word.decode()
        assert len(known._names) <= _NAMES_KEPT
    with pytest.raises(RequestError, match="is no name"):
        known.queue_name(b".x")
    assert list(known._names) == words[-2:]
