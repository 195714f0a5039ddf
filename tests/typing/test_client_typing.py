"""The public API as users' type checkers see it: mypy over `client_snippets.py.txt`."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SNIPPETS = Path(__file__).with_name("client_snippets.py.txt")


def expected() -> set[tuple[int, str]]:
    return {
        (number, match[1])
        for number, line in enumerate(SNIPPETS.read_text().splitlines(), 1)
        if (match := re.search(r"# error: ([a-z-]+)$", line))
    }


def said(tmp_path: Path) -> set[tuple[int, str]]:
    copy = tmp_path / "snippets.py"  # as a user's own file, not one of this project's
    copy.write_text(SNIPPETS.read_text())
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--hide-error-context",
    ]
    command += ["--config-file=", f"--cache-dir={tmp_path}", str(copy)]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={"MYPYPATH": str(ROOT)}
    )
    assert result.stderr == ""
    found = re.findall(
        r"^.*snippets\.py:(\d+): error: .*\[([a-z-]+)\]$", result.stdout, re.MULTILINE
    )
    return {(int(number), code) for number, code in found}


def test_right_uses_have_their_types_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    assert len(expected()) >= 9
    assert said(tmp_path) == expected()
