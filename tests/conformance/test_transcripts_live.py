"""Every transcript of protocol.md, each against a server process of its own with an empty disk.

The processes are started together, so that their starts overlap; `T:` really waits.
"""

import contextlib
import time
from collections.abc import Iterator

import pytest

from tests.conformance.live import LiveLine, LiveServer, serving
from tests.conformance.transcripts import Transcript, play, transcripts

SCRIPTS = transcripts()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, LiveServer]]:
    with contextlib.ExitStack() as stack:
        yield {
            script.name: stack.enter_context(
                serving(tmp_path_factory.mktemp("data"), *wanting(script.token))
            )
            for script in SCRIPTS
        }


def wanting(token: str) -> list[str]:
    return ["--token", token] if token else []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_server_talks_as_protocol_md_says(
    script: Transcript, servers: dict[str, LiveServer]
) -> None:
    lines: list[LiveLine] = []

    def connect() -> LiveLine:
        lines.append(servers[script.name].connect())
        return lines[-1]

    play(script, connect, time.sleep)
    assert [line.rest() for line in lines] == [b""] * len(lines)
