"""What the file driver asks of the file system, and the real one.

Everything that can fail or be lost goes through here, with the clock that times it and the threads
that wait for it. So a test can put a disk in its place that forgets what was not synced, fills up,
or tears a write in two. Every call raises `OSError` as the operating system does.
"""

import errno
import fcntl
import os
import resource
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Protocol

NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"""Errors that go away when room is made. A limit on a file's length (EFBIG) does not."""

SPACE_UNKNOWN: Final = 1 << 62
"""The room on a file system that doesn't tell."""

_ZEROS: Final = bytes(1 << 16)


PIECES_MAX: Final = 1000
"""POSIX promises 16, Linux, macOS and FreeBSD take 1,024."""


class Disk(Protocol):
    """A file system with directories, locks and a clock."""

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def thread(self, name: str) -> Executor:
        """One that does what it is given, one after the other."""
        ...

    def make_directory(self, path: Path) -> None:
        """Have it, for its owner alone if it is new, with its parents; and its name durable."""
        ...

    def lock(self, path: Path) -> int:
        """Open, or create, and lock a file until it is closed; `BlockingIOError` if it is held."""
        ...

    def names(self, directory: Path) -> list[str]:
        """What the directory lists, in any order."""
        ...

    def size(self, path: Path) -> int:
        """Length of a file in bytes."""
        ...

    def create(self, path: Path) -> int:
        """A new, empty file for its owner alone, open for writing; it must not exist."""
        ...

    def open(self, path: Path) -> int:
        """An existing file, open for writing."""
        ...

    def read(self, path: Path) -> bytes:
        """All of a file."""
        ...

    def write(self, file: int, content: bytes | memoryview, offset: int, /) -> int:
        """Write at an offset; answers how many bytes were taken, which may be fewer."""
        ...

    def write_pieces(self, file: int, pieces: list[bytes], offset: int, /) -> int:
        """As `write`, one piece behind the other: up to `PIECES_MAX`."""
        ...

    def truncate(self, file: int, length: int, /) -> None:
        """Cut the file to a length."""
        ...

    def allocate(self, file: int, length: int) -> None:
        """Give the file at least that length, of room that nobody else can take."""
        ...

    def space(self, path: Path) -> tuple[int, int]:
        """Bytes that can still be written where the path is, and the size of that disk."""
        ...

    def is_linked(self, file: int) -> bool:
        """Whether an open file still has a name in any directory."""
        ...

    def sync(self, file: int, /) -> None:
        """Make the content and the length of a file survive a power cut."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory survive a power cut."""
        ...

    def forget_cached(self, file: int) -> None:
        """Have the next read of a synced file come from the device, not from memory."""
        ...

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        ...

    def rename(self, path: Path, to: Path) -> None:
        """Give a file another name, which may be that of a file that then is gone."""
        ...

    def close(self, file: int, /) -> None:
        """Close a file; gives up its lock."""
        ...


class RealDisk:
    """The operating system's."""

    now = staticmethod(time.monotonic)
    write = staticmethod(os.pwrite)
    write_pieces = staticmethod(os.pwritev)
    # fdatasync also persists a new length: POSIX asks for what is needed to read the data back.
    sync = staticmethod(os.fdatasync)
    truncate = staticmethod(os.ftruncate)
    close = staticmethod(os.close)

    def thread(self, name: str) -> Executor:
        """Begun with the first work."""
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def allocate(self, file: int, length: int) -> None:
        """Where the file system can't set blocks aside, zeros are written."""
        try:
            os.posix_fallocate(file, 0, length)
        except (AttributeError, OSError) as error:
            if getattr(error, "errno", errno.EINVAL) not in (errno.EINVAL, errno.EOPNOTSUPP):
                raise
            for offset in range(0, length, len(_ZEROS)):
                os.pwrite(file, _ZEROS[: length - offset], offset)

    def space(self, path: Path) -> tuple[int, int]:
        """Root may use what is kept for it; a limit on files' length counts as a disk so large."""
        figures = os.statvfs(path)
        if not figures.f_blocks:
            return SPACE_UNKNOWN, SPACE_UNKNOWN
        free = figures.f_bfree if os.geteuid() == 0 else figures.f_bavail
        size = figures.f_blocks * figures.f_frsize
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        return free * figures.f_frsize, size if limit == resource.RLIM_INFINITY else min(
            size, limit
        )

    def make_directory(self, path: Path) -> None:
        """Each level is made durable in the one above it before the next is made.

        One that exists too, if that can be: whoever made it may have been killed in between. But it
        may be mounted there, and what is above it may be forbidden or know no sync.
        """
        is_new = not path.is_dir()
        if is_new:
            self.make_directory(path.parent)
            path.mkdir(mode=0o700, exist_ok=True)
        try:
            self.sync_directory(path.parent)
        except OSError:
            if is_new:
                raise

    def lock(self, path: Path) -> int:
        """The kernel gives such a lock up when its process ends, however it ends."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise
        return file

    def names(self, directory: Path) -> list[str]:
        """Hidden ones too."""
        return [path.name for path in directory.iterdir()]

    def size(self, path: Path) -> int:
        """From its inode."""
        return path.stat().st_size

    def create(self, path: Path) -> int:
        """`O_EXCL`: nothing is ever overwritten."""
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def open(self, path: Path) -> int:
        """Not created if absent."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def read(self, path: Path) -> bytes:
        """In one piece: a segment is bounded."""
        return path.read_bytes()

    def is_linked(self, file: int) -> bool:
        """By the kernel's own list of open files: about a microsecond.

        Not from its inode where that can be helped. Whoever asks for an inode's times, as fstat
        does, has the next write change them for certain, and the sync of such a write takes half as
        long again, on Linux from 6.13 on.
        """
        try:
            # In bytes, which take half as long as text, and text half as long as a Path.
            name = os.readlink(b"/proc/self/fd/%d" % file)  # noqa: PTH115
            return not name.endswith(b" (deleted)")
        except OSError:  # no Linux, or no /proc
            return os.fstat(file).st_nlink > 0

    def sync_directory(self, path: Path) -> None:
        """A directory is synced through a descriptor of its own."""
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def forget_cached(self, file: int) -> None:
        """Where the system has no such call, reads come from memory."""
        if hasattr(os, "posix_fadvise"):  # pragma: no branch - not on macOS
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)

    def unlink(self, path: Path) -> None:
        """Must exist."""
        path.unlink()

    def rename(self, path: Path, to: Path) -> None:
        """At once: a crash leaves one or the other."""
        path.rename(to)


def write_all(disk: Disk, file: int, content: bytes, offset: int) -> None:
    """Write all of it at an offset, in as many calls as the system wants."""
    _write_rest(disk, file, content, offset, disk.write(file, content, offset))


def write_all_pieces(disk: Disk, file: int, pieces: list[bytes], offset: int) -> None:
    """The same for pieces that stand one behind the other."""
    size = sum(map(len, pieces))
    written = disk.write_pieces(file, pieces, offset)
    if written < size:
        _write_rest(disk, file, b"".join(pieces), offset, written)


def _write_rest(disk: Disk, file: int, content: bytes, offset: int, written: int) -> None:
    while written < len(content):
        more = disk.write(file, memoryview(content)[written:], offset + written)
        if not more:
            raise OSError(errno.EIO, "the system took no more bytes of a write")
        written += more
