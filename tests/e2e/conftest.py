"""A server for whoever needs no own; and promises about short times get more than one chance."""

from collections.abc import Iterator

import pytest

from tests.e2e.process import QServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that is marked as hasty fails when it has failed three times, all from the start."""
    for item in items:
        if item.get_closest_marker("hasty") is not None:
            item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(scope="session")
def lasting_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QServer]:
    """One for all tests of a process: to start one takes longer than most tests."""
    with QServer(tmp_path_factory.mktemp("lasting") / "data") as running:
        yield running


@pytest.fixture
def server(lasting_server: QServer) -> QServer:
    """One without queues, whose ids go on. Who ends it, or knows its ids, starts one of its own."""
    lasting_server.empty()
    return lasting_server
