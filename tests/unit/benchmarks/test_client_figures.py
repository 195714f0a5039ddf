"""What `benchmarks.client_peers` makes of its rounds, and that its drivers of ours drive."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.client_apps.catalogue import LIBRARIES, Library
from benchmarks.client_apps.stub import Stub
from benchmarks.client_peers import Figures, medians, table
from benchmarks.comparing.serving import serving

ROOT = Path(__file__).parent.parent.parent.parent
OURS, STUB, REDIS, *_ = LIBRARIES


def figures(**cpu_us: float) -> Figures:
    return {work: (value, 1000.0) for work, value in cpu_us.items()}


def test_the_middle_round_of_each_work_counts() -> None:
    rounds = [figures(one=3, many=1), figures(one=1, many=2), figures(one=2, many=9)]
    assert medians(rounds) == figures(one=2, many=2)


def test_the_last_rows_say_how_much_more_the_cheapest_of_the_others_takes() -> None:
    dearer, cheaper = LIBRARIES[3], REDIS
    found = {
        OURS: figures(one=10, many=2),
        STUB: figures(one=5, many=2),
        dearer: figures(one=90, many=30),
        cheaper: figures(one=20),
    }
    *_, ours, stub = table(found).splitlines()
    assert ours.split(" | ")[1:] == ["2.00", "", "15.00", "", " |"]
    assert stub.split(" | ")[1:] == ["4.00", "", "15.00", "", " |"]


@pytest.mark.parametrize("library", [each for each in LIBRARIES if each.server == "stub"])
def test_our_clients_do_each_work_beside_the_stub(library: Library) -> None:
    stub = Stub()
    if stub.missing() is not None:
        pytest.skip("no C compiler")
    module = library.module
    with serving(stub, "none") as running:
        command = [sys.executable, "-m", "benchmarks.client_apps.driver", module]
        done = subprocess.run(
            [*command, str(running.port), "400", "asyncio"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    works = {"one", "100", "many", "take", "drain"} - ({"100"} if "sync" in module else set())
    found = json.loads(done.stdout)
    assert set(found) == works
    assert all(cpu_us > 0 and rate > 0 for cpu_us, rate in found.values())
