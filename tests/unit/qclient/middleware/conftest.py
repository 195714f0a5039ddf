"""Time that stands, for tests of durations and latencies."""

import pytest

from tests.unit.qclient.middleware.chains import TIME


@pytest.fixture
def time_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Durations and latencies are measured by `TIME`."""
    monkeypatch.setattr("qclient.middleware.measures.time", TIME)
