"""Small journals of PUTs, and what is left of them when they were damaged and repaired."""

from pathlib import Path

from qserver.errors import Damaged, NewerFormat
from qserver.server import offline
from qserver.storage.seal import intact_batches
from tests.recovery.journals import (
    DIRECTORY,
    segments_of,
    started,
    store,
    stored,
)
from tests.sim_disk import SimDisk

SEGMENT_BYTES_MAX = 600


def put(number: int) -> bytes:
    return b'{"op":"put","id":%d,"queue":"q","at_ms":1000,"body":{"n":%d}}\n' % (number, number)


def journal_of_puts(
    *batches: int, segment_bytes_max: int = 1 << 20
) -> tuple[dict[Path, bytes], list[list[bytes]]]:
    """Files with batches of so many PUTs each, and the records by batch."""
    disk = SimDisk()
    journal, _ = started(disk, segment_bytes_max)
    stored_batches: list[list[bytes]] = []
    number = 0
    for count in batches:
        records = [put(number + one) for one in range(1, count + 1)]
        number += count
        store(journal, *records)
        stored_batches.append(records)
    journal.close()
    return segments_of(disk), stored_batches


def flat(batches: list[list[bytes]]) -> list[bytes]:
    return [record for batch in batches for record in batch]


def flipped(content: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return bytes(changed)


def refuses(disk: SimDisk) -> bool:
    try:
        stored(disk)
    except (Damaged, NewerFormat):
        return True
    return False


def repaired(disk: SimDisk) -> list[bytes]:
    """Repair; the records but for the one that the repair adds."""
    offline.repair(DIRECTORY, disk)
    after = offline.check(DIRECTORY, disk)
    assert after.found.is_whole
    records = stored(disk)
    assert records[-1].startswith(b'{"op":"sequence"')
    return records[:-1]


def intact_of(files: dict[Path, bytes], damaged: dict[Path, bytes]) -> list[bytes]:
    """The records of the batches that no changed byte is in."""
    records: list[bytes] = []
    for path, content in files.items():
        for batch in intact_batches(content):
            if damaged[path][batch.start : batch.end] == content[batch.start : batch.end]:
                part = content[batch.start : batch.seal_at]
                records += part.splitlines(keepends=True)
    return records
