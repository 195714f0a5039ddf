"""protocol.md's table of what STATS says, beside what a server says."""

import re
from pathlib import Path

from tests.conformance.specification import table
from tests.e2e.process import QServer


def test_the_table_names_what_a_server_says_and_nothing_else(tmp_path: Path) -> None:
    with QServer(tmp_path) as server:
        lines = server.ask(b"STATS\n").decode().splitlines()
    said = [line[2:].split("=", 1)[0] for line in lines[:-1]]
    told = [name for cell, _ in table("STATS") for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(told) == sorted(said)
    assert lines[-1] == f"OK {len(said)}"
