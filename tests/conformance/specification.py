"""The tables of protocol.md, as data."""

import re
from pathlib import Path
from typing import Final

_TEXT: Final = (Path(__file__).parents[2] / "protocol.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """What stands under a heading, with the headings below it."""
    found = re.search(rf"^(##+) {re.escape(title)}$", _TEXT, re.MULTILINE)
    assert found is not None, f"protocol.md has no section {title}"
    rest = _TEXT[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def table(title: str) -> list[list[str]]:
    """The rows of the first table under a heading, without its head."""
    rows: list[list[str]] = []
    for line in section(title).splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            break
    return rows[2:]


def error_codes() -> dict[str, str]:
    """What each documented error means."""
    return {code.strip("`"): means for code, means, _ in table("Errors")}


def verbs() -> dict[str, str]:
    """The section of each documented verb."""
    return {
        name: section(name)
        for name in re.findall(r"^### ([A-Z]+)$", section("Verbs"), re.MULTILINE)
    }
