"""The simulation finds the bugs that we fear: each is planted, and must be complained about."""

import re
from types import ModuleType

import pytest

from qserver.build import COMPILED, build_of
from tests.simulation.bugs import BUGS, Bug
from tests.simulation.plan import Plan
from tests.simulation.world import World

SEEDS_MAX = 200
"""So many seeds may pass before the bug is found; most take a few."""


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.plant.__name__)
def test_the_simulation_finds_a_planted_bug(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.plant(monkeypatch)
    if is_planted_in_compiled_code(monkeypatch):
        pytest.skip("compiled code calls its own directly, and never comes by a patch")
    others = []
    for seed in (bug.found_by, *range(SEEDS_MAX)):
        try:
            World(Plan.of(seed)).run()
        except Exception as found:  # noqa: BLE001 - a broken server may break anyhow
            if re.search(bug.complaint, str(found)):
                return
            others.append(f"{seed}: {found!r}")
    pytest.fail(f"nothing in {SEEDS_MAX} seeds but {others}")


def is_planted_in_compiled_code(monkeypatch: pytest.MonkeyPatch) -> bool:
    return any(build_of(home(target)) == COMPILED for target, _, _ in monkeypatch._setattr)


def home(patched: object) -> str:
    """The module that a patched class stands in, or that is patched itself."""
    if isinstance(patched, type):
        return patched.__module__
    assert isinstance(patched, ModuleType)
    return patched.__name__
