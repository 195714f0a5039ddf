"""The public API as users' type checkers see it: mypy over every `*_snippets.py.txt` here."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
SNIPPETS = {path.stem: path.read_text() for path in Path(__file__).parent.glob("*_snippets.py.txt")}
"""By file name, `client_snippets.py` say."""

Errors = set[tuple[str, int, str]]
"""File, line and code of each."""


def expected() -> Errors:
    return {
        (name, number, match[1])
        for name, text in SNIPPETS.items()
        for number, line in enumerate(text.splitlines(), 1)
        if (match := re.search(r"# error: ([a-z-]+)$", line))
    }


def said(tmp_path: Path) -> Errors:
    copies = [tmp_path / name for name in SNIPPETS]  # as a user's own, not of this project's
    for copy in copies:
        copy.write_text(SNIPPETS[copy.name])
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--hide-error-context",
    ]
    command += ["--config-file=", f"--cache-dir={tmp_path}", *map(str, copies)]
    result = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, env={"MYPYPATH": str(ROOT)}
    )
    assert result.stderr == ""
    found = re.findall(
        r"^(?:.*/)?(\w+\.py):(\d+): error: .*\[([a-z-]+)\]$", result.stdout, re.MULTILINE
    )
    return {(name, int(number), code) for name, number, code in found if name in SNIPPETS}


def test_right_uses_have_their_types_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    refused = Counter(name for name, _, _ in expected())
    assert {"client_snippets.py", "sync_snippets.py"} <= set(SNIPPETS)
    assert all(refused[name] >= 5 for name in SNIPPETS)
    assert said(tmp_path) == expected()
