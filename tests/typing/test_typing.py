"""The project's own types, and its public API as users' type checkers see it."""

from pathlib import Path

import pytest

from tests.typing.checkers import expected, mypy_says, pyright_says

HERE = Path(__file__).parent
CLIENT = HERE / "client_snippets.py.txt"
SYNC = HERE / "sync_snippets.py.txt"
TASKS = HERE / "task_snippets.py.txt"


def test_mypy_finds_nothing_here_and_refuses_the_wrong_uses_of_users(tmp_path: Path) -> None:
    wanted = {each: expected(each) for each in (CLIENT, SYNC, TASKS)}
    least = {CLIENT: 9, SYNC: 9, TASKS: 15}
    assert all(len(wanted[each]) >= least[each] for each in wanted)
    refused, rest = mypy_says([CLIENT, SYNC, TASKS], tmp_path)
    assert rest == []
    assert refused == wanted


@pytest.mark.slow
def test_pyright_refuses_the_same_calls_of_a_task(tmp_path: Path) -> None:
    assert pyright_says(TASKS, tmp_path) == {line for line, _ in expected(TASKS)}
