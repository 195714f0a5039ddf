"""What type checkers say about a file of snippets, as a user's own file."""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def expected(snippets: Path) -> set[tuple[int, str]]:
    """Lines that must be refused, with mypy's code."""
    return {
        (number, code)
        for number, line in enumerate(snippets.read_text().splitlines(), 1)
        if (match := re.search(r"# error: ([a-z -]+)$", line))
        for code in match[1].split()
    }


def mypy_says(snippets: Path, directory: Path) -> set[tuple[int, str]]:
    """Lines that mypy refuses, with its codes."""
    copy = directory / "snippets.py"
    copy.write_text(snippets.read_text())
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary"]
    command += ["--hide-error-context", "--config-file=", f"--cache-dir={directory}", str(copy)]
    environment = {"MYPYPATH": str(ROOT)}
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert result.stderr == ""
    found = re.findall(
        r"^.*snippets\.py:(\d+): error: .*\[([a-z-]+)\]$", result.stdout, re.MULTILINE
    )
    return {(int(number), code) for number, code in found}


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
