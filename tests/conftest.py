"""For all tests: bytecode that is written once, and properties that need not hurry."""

import os
import sys
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# Hundreds of processes are started here: the first of them compiles for the others, whatever the
# environment says.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A slow or stopped machine is no failure of a property. `--hypothesis-profile many` tries more.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", PATIENT, max_examples=50)
settings.register_profile("many", PATIENT, max_examples=300)
settings.load_profile("quick")


SHARE = pytest.StashKey[float]()
"""Where a worker begins to collect, as a share of all."""


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", {"workerid": "gw0", "workercount": 1})
    config.stash[SHARE] = int(worker["workerid"].removeprefix("gw")) / worker["workercount"]


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Each worker begins each directory at another place.

    Rewriting the assertions of all files takes longer than anything else that is done before the
    first test. So each worker does it for a part, and finds what the others have done meanwhile.
    """
    report = yield
    if isinstance(collector, pytest.Dir):
        first = round(collector.config.stash[SHARE] * len(report.result))
        report.result = report.result[first:] + report.result[:first]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All workers must have the same tests in the same order; first what takes longest."""
    items.sort(key=lambda item: (item.path.parent.name != "typing", item.path))
