"""What type checkers say about this project and about files of snippets, as users' own files."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]

Refused = set[tuple[int, str]]
"""Lines with mypy's codes."""


def expected(snippets: Path) -> Refused:
    """Lines that must be refused."""
    return {
        (number, code)
        for number, line in enumerate(snippets.read_text().splitlines(), 1)
        if (match := re.search(r"# error: ([a-z -]+)$", line))
        for code in match[1].split()
    }


def mypy_says(snippets: list[Path], directory: Path) -> tuple[dict[Path, Refused], list[str]]:
    """What mypy refuses in the snippets, and what it says about the project itself.

    One run for all: most of it goes into reading the libraries.
    """
    copies = {directory / each.stem: each for each in snippets}
    for copy, each in copies.items():
        copy.write_text(each.read_text())
    roots = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["files"]
    command = [sys.executable, "-m", "mypy", "--no-error-summary", "--hide-error-context"]
    result = subprocess.run(
        [*command, *roots, *map(str, copies)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MYPYPATH": str(directory)},
    )
    refused: dict[Path, Refused] = {each: set() for each in snippets}
    rest = result.stderr.splitlines()
    for line in result.stdout.splitlines():
        match = re.fullmatch(r"(.*?):(\d+): (error|note): .*?(?:\[([a-z-]+)\])?", line)
        if match is None or Path(match[1]).name not in {copy.name for copy in copies}:
            rest.append(line)
        elif match[3] == "error":
            refused[copies[directory / Path(match[1]).name]].add((int(match[2]), match[4]))
    return refused, rest


def pyright_says(snippets: Path, directory: Path) -> set[int]:
    """Lines that pyright refuses."""
    copy = directory / "snippets.py"
    copy.write_text(snippets.read_text())
    settings = {"include": ["snippets.py"], "extraPaths": [str(ROOT)], "pythonVersion": "3.11"}
    (directory / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    result = subprocess.run(
        [*command, "--project", str(directory)], capture_output=True, text=True, check=False
    )
    said = json.loads(result.stdout)
    assert said["summary"]["filesAnalyzed"] == 1
    return {
        each["range"]["start"]["line"] + 1
        for each in said["generalDiagnostics"]
        if each["severity"] == "error"
    }
