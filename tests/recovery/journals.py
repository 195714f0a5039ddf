"""Small journals on a simulated disk, to be broken."""

from pathlib import Path

from qserver.storage.file import FileJournal, open_directory
from qserver.storage.recovery import Torn, segment_path
from tests.sim_disk import SimDisk

DIRECTORY = Path("/journal")
FIRST = segment_path(DIRECTORY, 1)
RESERVE = DIRECTORY / "reserve"


def record(number: int) -> bytes:
    return b'{"n":%d,"body":"ab c"}\n' % number


def started(disk: SimDisk, segment_bytes_max: int = 1 << 20) -> tuple[FileJournal, list[bytes]]:
    """A journal that is ready, and the records it had. Closed if it can't be."""
    journal = open_directory(DIRECTORY, disk=disk, segment_bytes_max=segment_bytes_max)
    try:
        stored = b"".join(records for _, records in journal.replay())
    except Exception:
        journal.close()
        raise
    return journal, stored.splitlines(keepends=True)


def stored(disk: SimDisk) -> list[bytes]:
    """The records, by a start and a stop."""
    journal, records = started(disk)
    journal.close()
    return records


def repaired(disk: SimDisk) -> tuple[list[bytes], Torn | None]:
    """The same, and what was cut."""
    journal, records = started(disk)
    journal.close()
    return records, journal.torn


def store(journal: FileJournal, *records: bytes, sync: bool = True) -> None:
    for one in records:
        journal.append(one)
    assert journal.commit(sync=sync) is None


def journal_of(
    *batches: int, sync: bool = True, segment_bytes_max: int = 1 << 20
) -> tuple[SimDisk, list[bytes]]:
    """A disk with batches of so many records each, and the records."""
    disk = SimDisk()
    journal, _ = started(disk, segment_bytes_max)
    records: list[bytes] = []
    for count in batches:
        new = [record(len(records) + number) for number in range(count)]
        store(journal, *new, sync=sync)
        records += new
    if sync:
        journal.close()
    else:
        disk.crash(lambda durable, written: written, names_survive=lambda: True)
    return disk, records


def disk_with(files: dict[Path, bytes]) -> SimDisk:
    """A disk that holds just these files."""
    disk = SimDisk()
    disk.make_directory(DIRECTORY)
    for path, content in files.items():
        disk.put(path, content)
    return disk


def segments_of(disk: SimDisk) -> dict[Path, bytes]:
    """The segments on a disk, oldest first."""
    files = {Path(path): content for path, content in disk.files().items()}
    return {path: files[path] for path in sorted(files) if path.name.startswith("journal-")}
