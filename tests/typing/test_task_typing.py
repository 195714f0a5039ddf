"""A task's calls are checked against its function's signature, by mypy and by pyright."""

from pathlib import Path

import pytest

from tests.typing.checkers import expected, mypy_says, pyright_says

SNIPPETS = Path(__file__).with_name("task_snippets.py.txt")


def test_mypy_refuses_wrong_calls_of_a_task_and_no_right_ones(tmp_path: Path) -> None:
    assert len(expected(SNIPPETS)) >= 15
    assert mypy_says(SNIPPETS, tmp_path) == expected(SNIPPETS)


@pytest.mark.slow
def test_so_does_pyright(tmp_path: Path) -> None:
    assert pyright_says(SNIPPETS, tmp_path) == {line for line, _ in expected(SNIPPETS)}
