"""The public API of the client as users' type checkers see it."""

from pathlib import Path

from tests.typing.checkers import expected, mypy_says

SNIPPETS = Path(__file__).with_name("client_snippets.py.txt")


def test_right_uses_have_their_types_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    assert len(expected(SNIPPETS)) >= 9
    assert mypy_says(SNIPPETS, tmp_path) == expected(SNIPPETS)
