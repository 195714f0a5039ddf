"""The whole server over a simulated disk, network and clock: no promise is broken, whatever fails.

A failing seed is made as small as it gets, and says what to type to see it happen again.
"""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.simulation.plan import Plan
from tests.simulation.world import World

QUICK = range(60)
SLOW = range(60, 2160)
CHUNK = 10

ROOT = Path(__file__).parent.parent.parent


def failure(plan: Plan) -> Exception | None:
    """What goes wrong in a run."""
    try:
        World(plan).run()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
        return error
    return None


def smallest(plan: Plan) -> Plan:
    """The same with all left out that isn't needed to make it fail."""
    for smaller in plan.smaller():
        if failure(smaller) is not None:
            return smallest(smaller)
    return plan


def check(seeds: Iterable[int]) -> None:
    for seed in seeds:
        if failure(Plan.of(seed)) is not None:
            plan = smallest(Plan.of(seed))
            pytest.fail(f"{failure(plan)!r}\nto see it happen: {plan.command}")


@pytest.mark.parametrize("first", QUICK[::CHUNK])
def test_no_promise_is_broken(first: int) -> None:
    check(range(first, first + CHUNK))


@pytest.mark.slow
@pytest.mark.parametrize("first", SLOW[:: 10 * CHUNK])
def test_no_promise_is_broken_in_many_runs(first: int) -> None:
    check(range(first, first + 10 * CHUNK))


def test_a_failing_run_is_made_small_and_says_how_to_see_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(plan: Plan) -> Exception | None:
        kinds = [fault.kind for fault in plan.faults]
        return ValueError() if "kill" in kinds and 2 in plan.clients else None

    monkeypatch.setattr(f"{__name__}.failure", fails)
    seed = next(n for n in range(1000) if fails(Plan.of(n)) and len(Plan.of(n).faults) > 2)
    plan = smallest(Plan.of(seed))
    assert ([fault.kind for fault in plan.faults], plan.clients) == (["kill"], (2,))
    number = [fault in plan.faults for fault in Plan.of(seed).faults].index(True)
    words = f"python -m tests.simulation {seed} --clients 2 --faults {number}"
    assert plan.command == words


def traced(seed: int, hash_seed: str) -> str:
    """What a run of its own process prints."""
    command = [sys.executable, "-m", "tests.simulation", str(seed)]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env={"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stderr == ""
    return result.stdout


def test_a_seed_is_the_same_run_each_time() -> None:
    seed = 2
    once, again = (traced(seed, hash_seed) for hash_seed in ("1", "2"))
    assert once == again
    assert len(once.splitlines()) > 300
