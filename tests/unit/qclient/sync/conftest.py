"""What a client gives back as it goes has a second to arrive; a slow machine gets more."""

import pytest


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qclient.sync.link.PART_S", 60.0)
