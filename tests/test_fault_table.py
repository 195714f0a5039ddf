"""Every row of DESIGN.md's table of faults is shown by tests, and they are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
DESIGN = (TESTS.parent / "qserver" / "DESIGN.md").read_text(encoding="utf-8")
SECTION = DESIGN.split("## When the world fails\n", 1)[1].split("\n## ", 1)[0]
ROWS = [line.strip("|").split("|") for line in SECTION.splitlines() if line.startswith("| ")][1:]


@cache
def names_in(name: str) -> set[str]:
    """The tests of the one file of that name."""
    (path,) = TESTS.rglob(name)
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, kinds)}


def test_the_table_is_read() -> None:
    assert len(ROWS) > 30
    assert {len(row) for row in ROWS} == {3}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_a_row_names_tests_that_are_there(row: list[str]) -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row[2])
    assert named
    assert [f"{file}::{test}" for file, test in named if test not in names_in(file)] == []
