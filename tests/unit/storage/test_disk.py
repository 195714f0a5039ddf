"""The real disk does what the simulated one is believed to show."""

import errno
import os
import resource
from pathlib import Path

import pytest

from qserver.storage.disk import SPACE_UNKNOWN, Disk, RealDisk

DISK: Disk = RealDisk()


def test_each_new_directory_is_made_durable_in_the_one_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(RealDisk, "sync_directory", lambda _, path: synced.append(path))
    DISK.make_directory(tmp_path / "a" / "b")
    assert synced[-2:] == [tmp_path, tmp_path / "a"]


def test_creating_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"kept")
    with pytest.raises(FileExistsError):
        DISK.create(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"kept"


def test_a_file_is_written_cut_synced_and_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    DISK.close(DISK.create(path))
    file = DISK.open(path)
    assert DISK.write(file, b"abcdef", 0) == 6
    assert DISK.write(file, memoryview(b"XY"), 2) == 2
    DISK.truncate(file, 5)
    assert DISK.write_pieces(file, [b"f", b"", b"gh"], 5) == 3
    DISK.sync(file)
    DISK.forget_cached(file)
    DISK.sync_directory(tmp_path)
    DISK.close(file)
    assert (DISK.read(path), DISK.size(path), DISK.names(tmp_path)) == (b"abXYefgh", 8, ["a"])
    DISK.unlink(path)
    assert DISK.names(tmp_path) == []


def test_a_file_that_is_absent_is_an_error(tmp_path: Path) -> None:
    for call in (DISK.open, DISK.read, DISK.size, DISK.unlink):
        with pytest.raises(FileNotFoundError):
            call(tmp_path / "absent")


def test_no_child_process_inherits_a_file(tmp_path: Path) -> None:
    files = [DISK.lock(tmp_path / "lock"), DISK.create(tmp_path / "a"), DISK.open(tmp_path / "a")]
    assert [os.get_inheritable(file) for file in files] == [False] * 3
    for file in files:
        DISK.close(file)


def test_a_lock_is_held_until_it_is_closed(tmp_path: Path) -> None:
    held = DISK.lock(tmp_path / "lock")
    with pytest.raises(BlockingIOError):
        DISK.lock(tmp_path / "lock")
    DISK.close(held)
    DISK.close(DISK.lock(tmp_path / "lock"))


@pytest.mark.parametrize("error", [None, errno.EOPNOTSUPP, errno.EINVAL, "absent"])
def test_room_that_was_allocated_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int | str | None
) -> None:
    """Zeros are written where the file system can't set blocks aside, or the system can't ask."""

    def refuse(*_: int) -> None:
        raise OSError(error, "refused")

    if error == "absent":
        monkeypatch.delattr(os, "posix_fallocate")
    elif error is not None:
        monkeypatch.setattr(os, "posix_fallocate", refuse)
    file = DISK.create(tmp_path / "a")
    DISK.allocate(file, 200_000)
    DISK.close(file)
    status = (tmp_path / "a").stat()
    assert (status.st_size, status.st_blocks * 512 >= 200_000) == (200_000, True)


def test_a_file_is_linked_until_its_last_name_is_removed_wherever_that_is(tmp_path: Path) -> None:
    directory = tmp_path / "a"
    directory.mkdir()
    file = DISK.create(directory / "segment")
    assert DISK.is_linked(file)
    directory.rename(tmp_path / "elsewhere")
    assert DISK.is_linked(file)
    DISK.rename(tmp_path / "elsewhere" / "segment", tmp_path / "other")
    assert DISK.is_linked(file)
    DISK.unlink(tmp_path / "other")
    DISK.close(DISK.create(tmp_path / "other"))
    assert not DISK.is_linked(file)
    DISK.close(file)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only where there is a /proc")
def test_the_times_of_a_file_are_not_asked_for_to_see_whether_it_is_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or its next sync takes longer."""
    file = DISK.create(tmp_path / "a")
    for call in ("stat", "fstat", "lstat"):
        monkeypatch.setattr(os, call, lambda *_, **__: pytest.fail("asked"))
    assert DISK.is_linked(file)
    monkeypatch.undo()
    DISK.close(file)


def test_without_a_proc_the_inode_tells_whether_a_file_is_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: str) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(os, "readlink", refuse)
    file = DISK.create(tmp_path / "a")
    assert DISK.is_linked(file)
    DISK.unlink(tmp_path / "a")
    assert not DISK.is_linked(file)
    DISK.close(file)


def test_room_that_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = DISK.create(tmp_path / "a")
    with pytest.raises(OSError, match=r"No space left|too large"):
        DISK.allocate(file, 1 << 60)
    DISK.close(file)


def test_space_is_told_as_the_system_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = os.statvfs(tmp_path)
    free, size = DISK.space(tmp_path)
    assert 0 < free < size
    assert size == figures.f_blocks * figures.f_frsize

    class Figures:
        f_blocks, f_bfree, f_bavail, f_frsize = 100, 50, 40, 4096

    monkeypatch.setattr(os, "statvfs", lambda _: Figures)
    for user, blocks in ((0, 50), (1000, 40)):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        assert DISK.space(tmp_path) == (blocks * 4096, 100 * 4096)
    limits = (10_000, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    assert DISK.space(tmp_path)[1] == 10_000
    Figures.f_blocks = 0
    assert DISK.space(tmp_path) == (SPACE_UNKNOWN, SPACE_UNKNOWN)
