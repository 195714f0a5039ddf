"""Every transcript of protocol.md, against the server's core with simulated time."""

import pytest

from tests.conformance.core import CoreLine
from tests.conformance.transcripts import Transcript, matches, play, transcripts
from tests.sim import Sim

SCRIPTS = transcripts()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_core_talks_as_protocol_md_says(script: Transcript) -> None:
    sim = Sim(tokens=filter(None, [script.token]))
    play(script, lambda: CoreLine(sim), sim.pass_time)


def test_the_transcripts_are_found_and_named_apart() -> None:
    names = [script.name for script in SCRIPTS]
    assert len(names) >= 18
    assert len(set(names)) == len(names)
    assert names[0] == "A first look"


@pytest.mark.parametrize(
    ("pattern", "line", "expected"),
    [
        ("OK 1", "OK 1", True),
        ("OK 1", "OK 11", False),
        ("ERR limit …", "ERR limit count=5", True),
        ("ERR limit …", "ERR limit ", False),
        ("* 1.1 jobs […]", "* 1.1 jobs [1]", True),
        ("* 1.1 jobs {}", "* 1x1 jobs {}", False),
    ],
)
def test_a_pattern_is_literal_but_for_its_dots(pattern: str, line: str, expected: bool) -> None:  # noqa: FBT001
    assert matches(pattern, line) is expected
