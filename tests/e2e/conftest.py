"""Promises about short times are given more than one chance: a machine may stand still."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that is marked as hasty fails when it has failed three times, all from the start."""
    for item in items:
        if item.get_closest_marker("hasty") is not None:
            item.add_marker(pytest.mark.flaky(reruns=2))
