"""Fixtures for pytest, for the `conftest.py` at the top of the tests.

    pytest_plugins = ["qclient.testing.fixtures"]

    qserver_url       of a server with nothing in it: the same server for all tests
    qserver_process   that server
    qserver_alone     a server for one test, which may kill it

This is no plugin that pytest finds by itself: runs that need no server should not pay for it.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from qclient.testing.server import ServerProcess


@pytest.fixture(scope="session")
def qserver_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server for all tests of this process, started when the first one asks for it."""
    with ServerProcess(tmp_path_factory.mktemp("qserver")) as server:
        yield server


@pytest.fixture
def qserver_url(qserver_process: ServerProcess) -> str:
    """The address of `qserver_process`, of which all queues have been dropped before the test."""
    qserver_process.empty()
    return qserver_process.url


@pytest.fixture
def qserver_alone(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of its own for each test, which may kill, stop and restart it."""
    with ServerProcess(tmp_path / "qserver") as server:
        yield server
