"""A journal in a real directory: who may work there, and what is left alone."""

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from qserver.errors import Damaged, Locked, NewerFormat, StorageFailed
from qserver.storage.disk import RealDisk
from qserver.storage.file import FileJournal, open_directory
from tests.recovery.journals import record, store

HOLDER = """
import sys
from qserver.storage.file import open_directory
journal = open_directory(sys.argv[1])
list(journal.replay())
journal.append(b'{"n":1}\\n')
journal.commit(sync=False)
print("ready", flush=True)
sys.stdin.read()
"""


def started(directory: Path) -> tuple[FileJournal, bytes]:
    journal = open_directory(directory, segment_bytes_max=500)
    return journal, b"".join(records for _, records in journal.replay())


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.is_file()}


def test_the_directory_and_its_parents_are_created_for_the_owner_alone(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    journal, _ = started(directory)
    for _ in range(9):
        store(journal, record(0))
    journal.close()
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert (len(contents(directory)) > 2, modes) == (True, {0o600})


class SyncedNames(RealDisk):
    """A disk that notes where names were made durable; in one place they can't be."""

    def __init__(self, impossible: Path | None = None, error: int = 0) -> None:
        self.synced: list[Path] = []
        self._impossible = impossible
        self._error = error

    def sync_directory(self, path: Path) -> None:
        if path == self._impossible:
            raise OSError(self._error, os.strerror(self._error))
        self.synced.append(path)
        super().sync_directory(path)


def test_the_directory_is_durable_though_who_made_it_was_killed_before(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    directory.mkdir(parents=True)
    disk = SyncedNames()
    disk.make_directory(directory)
    assert disk.synced == [tmp_path / "a"]


@pytest.mark.parametrize("error", [errno.EACCES, errno.EINVAL])
def test_a_directory_in_one_that_can_not_be_synced_is_used_but_none_is_made_there(
    tmp_path: Path, error: int
) -> None:
    disk = SyncedNames(tmp_path, error)
    (tmp_path / "there").mkdir()
    open_directory(tmp_path / "there", disk=disk).close()
    with pytest.raises(StorageFailed, match="can't use the directory"):
        open_directory(tmp_path / "new", disk=disk)


def test_a_torn_end_is_kept_for_the_owner_alone(tmp_path: Path) -> None:
    journal, _ = started(tmp_path)
    store(journal, record(0))
    journal.close()
    path = tmp_path / "journal-000000000001.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b"a torn end")
    journal, found = started(tmp_path)
    journal.close()
    kept = tmp_path / f"torn-000000000001-{len(whole)}.bin"
    assert (found, path.read_bytes(), kept.read_bytes()) == (record(0), whole, b"a torn end")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_every_line_is_json(tmp_path: Path) -> None:
    journal, _ = started(tmp_path)
    for number in range(9):
        store(journal, record(number), record(number))
    journal.close()
    for path in tmp_path.glob("journal-*.jsonl"):
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        assert lines[0]["qserver"] == "journal"
        assert lines[0]["segment"] == lines[3]["seal"] == int(path.name[8:20])
        assert [line.get("records") for line in lines[3::3]] == [2] * ((len(lines) - 1) // 3)


def test_stray_files_are_neither_read_nor_touched(tmp_path: Path) -> None:
    journal, _ = started(tmp_path)
    store(journal, record(0))
    journal.close()
    names = (
        "journal-1.jsonl",
        "journal-0000000000002.jsonl",
        "journal-000000000002.jsonl~",
        "journal-000000000002.jsonl.tmp",
        "journal-00000000000\u0663.jsonl",
        ".journal-000000000002.jsonl",
        "torn-000000000001-5.bin",
        "notes",
    )
    strays = dict.fromkeys(names, b"not ours")
    for name, content in strays.items():
        (tmp_path / name).write_bytes(content)
    journal, found = started(tmp_path)
    assert found == record(0)
    while journal.stats()["segments"] != 2:
        store(journal, record(1))
    journal.drop_before(journal.segment)
    store(journal, record(2))
    journal.close()
    after = contents(tmp_path)
    assert {name: after[name] for name in strays} == strays


def test_a_directory_in_a_segments_place_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "journal-000000000001.jsonl").mkdir()
    journal = open_directory(tmp_path)
    with pytest.raises(StorageFailed, match="can't read the journal"):
        list(journal.replay())
    journal.close()


def test_a_file_in_the_directorys_place_is_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "journal").write_bytes(b"")
    with pytest.raises(StorageFailed, match="can't use the directory"):
        open_directory(tmp_path / "journal")


@pytest.mark.parametrize(
    ("line", "refusal"),
    [(b'{"qserver":"journal","format":2}\n', NewerFormat), (b"?" * 99, Damaged)],
)
def test_a_start_that_is_refused_leaves_every_file_as_it_was(
    tmp_path: Path, line: bytes, refusal: type[Exception]
) -> None:
    journal, _ = started(tmp_path)
    while journal.stats()["segments"] != 3:
        store(journal, record(0))
    journal.close()
    (tmp_path / "journal-000000000999.jsonl").write_bytes(line)
    before = contents(tmp_path)
    journal = open_directory(tmp_path)
    with pytest.raises(refusal):
        list(journal.replay())
    journal.close()
    assert contents(tmp_path) == before


def test_a_second_owner_is_told_who_the_first_is_and_a_killed_one_leaves_no_lock(
    tmp_path: Path,
) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        with pytest.raises(Locked) as refusal:
            open_directory(tmp_path)
        assert str(tmp_path) in str(refusal.value)
        assert f"process {holder.pid}" in str(refusal.value)
        holder.send_signal(signal.SIGKILL)
    journal, found = started(tmp_path)
    assert found == b'{"n":1}\n'
    journal.close()


def test_a_lock_file_without_a_process_id_is_no_riddle(tmp_path: Path) -> None:
    journal = open_directory(tmp_path)
    with pytest.raises(Locked, match=r"is in use by another server$"):
        open_directory(tmp_path)
    journal.close()


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - the names, while it lists them
    for _ in range(3):
        journal, _ = started(tmp_path)
        for number in range(9):
            store(journal, record(number))
        journal.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)  # noqa: PTH208 - as above
