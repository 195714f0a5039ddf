"""The first real run, as README.md tells it: 7,900 messages, a consumer, a crash, an account."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pycountry
import pytest

from qclient import Consumer, Message, connect
from tests.e2e.process import PATIENCE_S, QServer, clean_environment

LEASED = 100


@pytest.fixture
def languages(tmp_path: Path) -> Path:
    """All language entries that pycountry ships, a JSON object a line."""
    file = tmp_path / "languages.jsonl"
    with file.open("w", encoding="utf-8") as lines:
        for language in pycountry.languages:
            lines.write(json.dumps(dict(language), ensure_ascii=False) + "\n")
    return file


def test_every_language_is_accounted_for_over_a_crash(tmp_path: Path, languages: Path) -> None:
    lines = languages.read_bytes().splitlines()
    assert len(lines) > 7000
    assert any(not line.isascii() for line in lines)
    received: list[bytes] = []

    with QServer(tmp_path / "data") as server:
        _put_with_the_command_line(server, languages)
        assert _look_with_netcat(server) == lines[:3]
        half = len(lines) // 2
        received += asyncio.run(_consume(server, half))
        leased = asyncio.run(_lease_and_vanish(server))
        server.kill()

    with QServer(tmp_path / "data") as server:
        listed = _list(server, "state=leased")
        assert [(row["id"], row["receipt"], row["body"]) for row in listed] == leased
        received += [body for _, _, body in leased]
        receipts = " ".join(receipt for _, receipt, _ in leased)
        assert server.ask(f"ACK {receipts}\n".encode()) == b"OK %d\n" % LEASED
        assert server.ask(f"ACK {receipts}\n".encode()).endswith(b"OK 0\n")
        received += asyncio.run(_consume(server, len(lines) - half - LEASED))
        assert _list(server, "count=1") == []
        assert b"languages ready=0 leased=0 delayed=0 dead=0" in server.ask(b"LIST\n")
        assert server.stop() == 0

    assert received == lines  # every one, once, in order, byte for byte


def _put_with_the_command_line(server: QServer, file: Path) -> None:
    with file.open("rb") as lines:
        result = subprocess.run(
            [sys.executable, "-m", "qclient", "put", "languages"],
            stdin=lines,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
            env=clean_environment(QCLIENT_URL=server.url),
        )
    assert result.returncode == 0, result.stderr


def _look_with_netcat(server: QServer) -> list[bytes]:
    shown = subprocess.run(
        f"printf 'LIST languages count=3\\nQUIT\\n' | nc 127.0.0.1 {server.port}",
        shell=True,
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
    ).stdout
    *rows, end, farewell = shown.splitlines()
    assert (end, farewell) == (b"OK 3 next=3", b"OK")
    return [_body(row) for row in rows]


def _body(row: bytes) -> bytes:
    return row[row.index(b" {") + 1 :]


async def _consume(server: QServer, count: int) -> list[bytes]:
    """Take and ack that many."""
    bodies: list[bytes] = []
    async with (
        connect(server.url) as client,
        Consumer(client, "languages", prefetch=50) as consumer,
    ):
        async for message in consumer:
            async with message:
                bodies.append(bytes(message.raw))
                assert message.deliveries in (1, 2)  # 2: released unread by the first consumer
            if len(bodies) == count:
                break
    return bodies


async def _lease_and_vanish(server: QServer) -> list[tuple[int, str, bytes]]:
    """Lease some and keep them."""
    async with connect(server.url) as client:
        messages: list[Message[Any]] = await client.get("languages", count=LEASED, lease=600)
        return [(message.id, message.receipt, bytes(message.raw)) for message in messages]


def _list(server: QServer, options: str) -> list[dict[str, Any]]:
    rows = []
    for line in server.ask(f"LIST languages {options}\n".encode()).splitlines()[:-1]:
        words = line[: line.index(b" {")].decode().split()
        fields = dict(word.split("=", 1) for word in words[3:])
        rows.append({"id": int(words[1]), "body": _body(line), **fields})
    return rows
