"""Style and architecture as tests: what a machine can judge, it judges here."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
SERVER = ROOT / "qserver"
CLIENT = ROOT / "qclient"

LINES_MAX = 400
FUNCTION_LINES_MAX = 70

# Which rooms of the server a room may import from, besides what all may.
MAY_IMPORT = {
    "wire": set[str](),
    "broker": set[str](),
    "storage": set[str](),
    "dispatch": {"wire", "broker"},
    "server": {"dispatch", "broker", "storage"},
}
COMMON = {"ports", "facts", "errors", "config", "build"}

# What a room without clocks, sockets, files and threads must not import.
PURE_ROOMS = ("wire", "broker", "dispatch")
IMPURE = {"asyncio", "socket", "time", "random", "os", "threading", "uvloop", "structlog", "select"}

NAMES_THAT_SAY_NOTHING = {"utils", "helpers", "common", "base", "core", "manager", "types", "misc"}


def python_files(*roots: Path) -> list[Path]:
    return sorted(path for root in roots for path in root.rglob("*.py"))


PACKAGE_FILES = python_files(SERVER, CLIENT)
ALL_FILES = [*PACKAGE_FILES, *python_files(ROOT / "tests", ROOT / "benchmarks")]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Outline(NamedTuple):
    """What rules are about: modules that a file imports, and functions with line and length."""

    imports: tuple[str, ...]
    functions: tuple[tuple[int, str, int], ...]


@cache
def outline(path: Path) -> Outline:
    """Nothing of the tree is kept: to hold all files' trees takes longer than to parse them."""
    imported: list[str] = []
    functions: list[tuple[int, str, int]] = []
    for node in statements(ast.parse(path.read_text()).body):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            functions.append((node.lineno, node.name, lines))
    return Outline(tuple(imported), tuple(functions))


def statements(body: Sequence[ast.AST]) -> Iterator[ast.AST]:
    """Those in it, at any depth. Expressions are most of a tree, and hold none."""
    for node in body:
        yield node
        for field in ("body", "handlers", "cases", "orelse", "finalbody"):
            yield from statements(getattr(node, field, ()))


def imports(path: Path) -> tuple[str, ...]:
    return outline(path).imports


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_of_the_server_imports_only_from_those_below_it(room: str) -> None:
    allowed = MAY_IMPORT[room] | COMMON | {room}
    wrong = [
        f"{relative(path)} imports {name}"
        for path in python_files(SERVER / room)
        for name in imports(path)
        if name.startswith("qserver.")
        and name.split(".")[1] not in allowed
        and name != "qserver.__version__"
    ]
    assert wrong == []


def test_the_common_rooms_import_no_other() -> None:
    wrong = [
        f"{name}.py imports {module}"
        for name in COMMON
        for module in imports(SERVER / f"{name}.py")
        if module.startswith("qserver.") and module.split(".")[1] not in COMMON
    ]
    assert wrong == []


@pytest.mark.parametrize("room", PURE_ROOMS)
def test_a_pure_room_knows_no_clock_socket_file_or_thread(room: str) -> None:
    wrong = [
        f"{relative(path)} imports {name}"
        for path in python_files(SERVER / room)
        for name in imports(path)
        if name.split(".")[0] in IMPURE
    ]
    assert wrong == []


def test_client_and_server_never_import_each_other() -> None:
    wrong = [
        f"{relative(path)} imports {name}"
        for root, other in ((SERVER, "qclient"), (CLIENT, "qserver"))
        for path in python_files(root)
        for name in imports(path)
        if name.split(".")[0] == other
    ]
    assert wrong == []


def test_modules_are_short() -> None:
    long = {
        relative(path): count
        for path in ALL_FILES
        if (count := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert long == {}


def test_functions_are_short() -> None:
    long = [
        f"{relative(path)}:{at} {name}"
        for path in ALL_FILES
        for at, name, lines in outline(path).functions
        if lines > FUNCTION_LINES_MAX
    ]
    assert long == []


def test_files_are_named_after_what_they_hold() -> None:
    wrong = [
        relative(path)
        for path in PACKAGE_FILES
        if path.stem in NAMES_THAT_SAY_NOTHING or path.parent.name in NAMES_THAT_SAY_NOTHING
    ]
    assert wrong == []


@pytest.mark.parametrize("package", [SERVER, CLIENT], ids=lambda path: path.name)
def test_the_map_of_a_package_names_every_file_and_nothing_else(package: Path) -> None:
    docstring = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    drawn = set(re.findall(r"[\w/]+\.py\b", docstring))
    there = {
        str(path.relative_to(package))
        for path in python_files(package)
        if path.name != "__init__.py"
    }
    assert drawn == there


def test_tests_below_the_end_to_end_ones_do_not_sleep() -> None:
    sleeps = re.compile(r"\b(?:time|asyncio)\.sleep\((?!0\))")
    wrong = [
        relative(path)
        for path in python_files(ROOT / "tests")
        if sleeps.search(path.read_text())
        and "e2e" not in path.parts
        and path.name != "test_tidy.py"
    ]
    assert wrong == []


def run_tool(*command: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return "" if result.returncode == 0 else result.stdout + result.stderr


def test_ruff_finds_nothing() -> None:
    assert run_tool("ruff", "check", "--no-cache", ".") == ""


def test_the_formatter_would_change_nothing() -> None:
    assert run_tool("ruff", "format", "--check", "--no-cache", ".") == ""
