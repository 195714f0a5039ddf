"""Which build runs, and which one is made."""

import ast
import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from types import ModuleType

import pytest

from qserver.broker import broker
from qserver.build import BUILD, build_of

ROOT = Path(__file__).parent.parent.parent
PURE_ROOMS = ("wire", "broker", "dispatch")


@pytest.fixture
def setup_py(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The functions of setup.py, which builds only when it is run."""
    monkeypatch.delenv("QSERVER_COMPILE", raising=False)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.chdir(ROOT)
    spec = importlib.util.spec_from_file_location("setup_py", ROOT / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_module_from_a_shared_library_is_compiled_and_one_from_a_source_plain() -> None:
    assert build_of("msgspec._core") == "compiled"
    assert build_of("json.decoder") == "plain"


def test_the_build_is_that_of_the_broker_that_runs() -> None:
    assert broker.__file__.endswith(tuple(EXTENSION_SUFFIXES)) is (BUILD == "compiled")


def test_all_compiled_modules_are_built_as_the_broker_is(setup_py: ModuleType) -> None:
    modules = [path.removesuffix(".py").replace("/", ".") for path in setup_py.files()]
    assert {build_of(module) for module in modules} == {BUILD}


def test_whole_rooms_are_compiled_but_what_is_left_out(setup_py: ModuleType) -> None:
    there = {
        str(path.relative_to(ROOT))
        for room in PURE_ROOMS
        for path in (ROOT / "qserver" / room).glob("*.py")
        if path.name != "__init__.py"
    }
    assert there - {*setup_py.files()} == {*setup_py.LEFT_OUT}
    assert {*setup_py.files()} - there == {*setup_py.MORE}


def test_every_library_that_compiled_modules_import_is_there_to_be_read(
    setup_py: ModuleType,
) -> None:
    looked_at: set[str] = set()
    libraries: set[str] = set()
    to_do = {*setup_py.files()}
    while to_do:
        path = to_do.pop()
        looked_at.add(path)
        for module in imported((ROOT / path).read_text()):
            if module.split(".")[0] != "qserver":
                libraries.add(module.split(".")[0])
            elif (file := module.replace(".", "/") + ".py") not in looked_at:
                to_do |= {file} & {str(p.relative_to(ROOT)) for p in ROOT.glob("qserver/**/*.py")}
    needed = {requirement.split(">=")[0].replace("-", "_") for requirement in setup_py.NEEDED}
    assert libraries - {*sys.stdlib_module_names} == needed - {"mypy"}


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("asked", [None, "", "0"])
def test_it_is_compiled_only_if_that_is_asked_for(
    asked: str | None, setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    if asked is not None:
        monkeypatch.setenv("QSERVER_COMPILE", asked)
    monkeypatch.setattr(setup_py, "what_is_missing", lambda: "")
    assert not setup_py.compiles()


@pytest.mark.parametrize("asked", ["1", "auto"])
def test_with_a_compiler_it_is_compiled(
    asked: str, setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QSERVER_COMPILE", asked)
    monkeypatch.setenv("CC", f"{sys.executable} -pthread")  # anything that can be run
    monkeypatch.setattr(setup_py, "header", lambda: Path(__file__))
    assert setup_py.compiles()


def test_without_a_compiler_1_fails_and_says_what_helps(
    setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QSERVER_COMPILE", "1")
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(SystemExit, match=r"no C compiler \(no-such-compiler\).*apt install gcc"):
        setup_py.compiles()


def test_without_python_s_headers_1_fails_and_names_the_file(
    setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("QSERVER_COMPILE", "1")
    monkeypatch.setenv("CC", sys.executable)
    monkeypatch.setattr(setup_py, "header", lambda: tmp_path / "Python.h")
    with pytest.raises(SystemExit, match=r"no .*/Python\.h.*python3-dev"):
        setup_py.compiles()


def test_without_a_compiler_auto_is_plain(
    setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QSERVER_COMPILE", "auto")
    monkeypatch.setenv("CC", "no-such-compiler")
    assert not setup_py.compiles()


def test_a_word_that_says_nothing_is_refused(
    setup_py: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QSERVER_COMPILE", "yes")
    with pytest.raises(SystemExit, match="QSERVER_COMPILE=yes is none of: 1, 0, auto"):
        setup_py.compiles()
