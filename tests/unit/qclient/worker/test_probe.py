"""What a probe is told: a file's age, an answer to HTTP."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from qclient.errors import PortTaken
from qclient.worker import Settings
from qclient.worker.health import Health
from qclient.worker.membership import settings_of
from qclient.worker.probe import is_fresh, probing, sick


class Patient:
    """Stands for a worker's health."""

    def __init__(self, *, is_well: bool = True) -> None:
        self.well = is_well

    def is_well(self, now: float) -> bool:
        return self.well


def health(*, is_well: bool = True) -> Health:
    return cast("Health", Patient(is_well=is_well))


@asynccontextmanager
async def asking(
    patient: Health,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with probing(patient, port=0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer
        writer.transport.abort()  # what was not taken will not be
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def test_the_file_is_there_while_all_is_well_and_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "well"
    async with probing(health(), path):
        await asyncio.sleep(0)
        assert path.exists()
    assert not path.exists()


async def test_who_is_not_well_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "well"
    async with probing(health(is_well=False), path):
        await asyncio.sleep(0)
        assert not path.exists()


@pytest.mark.parametrize(
    ("is_well", "status"),
    [(True, b"HTTP/1.1 200 OK"), (False, b"HTTP/1.1 503 Service Unavailable")],
)
async def test_the_port_answers_any_request(is_well: bool, status: bytes) -> None:  # noqa: FBT001
    for request in (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"HEAD / HTTP/1.0\r\n\r\n"):
        async with asking(health(is_well=is_well)) as (reader, writer):
            writer.write(request[:5])
            await writer.drain()
            writer.write(request[5:])
            answer = await reader.read()
            head, _, body = answer.partition(b"\r\n\r\n")
            first, *options = head.split(b"\r\n")
            assert first == status
            assert b"Content-Length: %d" % len(body) in options


async def test_an_endless_request_is_answered_with_nothing() -> None:
    async with asking(health()) as (reader, writer):
        writer.write(b"x" * 100_000)
        assert await reader.read() == b""


async def test_a_port_that_is_taken_is_said() -> None:
    async with probing(health(), port=0) as port:
        with pytest.raises(PortTaken, match=f"port {port} can't"):
            async with probing(health(), port=port):
                pass


def test_a_file_is_fresh_for_a_minute(tmp_path: Path) -> None:
    path = tmp_path / "well"
    assert not is_fresh(path, 1000)
    path.touch()
    os.utime(path, (1000, 1000))
    assert [is_fresh(path, wall) for wall in (1000, 1060, 1060.1)] == [True, True, False]


def test_each_of_several_has_its_own_file_and_port(tmp_path: Path) -> None:
    path = str(tmp_path / "well")
    both = Settings(health_file=path, health_port=8080)
    second = settings_of(both, 2, 3)
    assert (second.health_file, second.health_port) == (f"{path}.2", 8081)
    assert settings_of(both, 1, 1) == both
    assert settings_of(Settings(), 2, 3) == Settings()
    assert sick(path, 1) == [path]
    Path(path).touch()
    assert sick(path, 1) == []
    Path(f"{path}.2").touch()
    assert sick(path, 3) == [f"{path}.1", f"{path}.3"]
