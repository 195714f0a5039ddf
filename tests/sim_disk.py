"""A disk in memory that knows what was synced.

It keeps two states: what a running process sees, and what the device holds. `sync` carries a
file's content over, `sync_directory` a directory's names; `crash` throws the first state away. So
what a test finds afterwards is what a power cut would leave.

    disk = SimDisk()
    disk.cut_power_at(7)              the 7th change from now raises PowerCut, and all after it
    disk.kill()                       the process is gone, and the machine goes on
    disk.crash()                      the machine is on again: what was not synced is lost
    disk.crash(survives=half)         … or survives in part: see `Survives`
    disk.fail("sync", EIO, after=2)   the third sync from now fails
    disk.write_bytes_max = 3          every write is short
    disk.room = 100                   files can grow by so many bytes before ENOSPC; what is removed
                                      makes room again
    disk.sync_s = 0.3                 how long a sync takes, on the disk's own clock

Changes are counted in `changes`, and listed by name in `log`, so that a test can first run a script
without faults, then once for each change with the power cut there. A write is cut in two: before
it, and with half of its bytes done.
"""

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random

Survives = Callable[[bytes, bytes], bytes]
"""From what the device surely holds of a file and what was written to it: what a crash leaves."""


PAGES_KEPT = 0.6
"""Chance of a page that was not synced."""


def until(event: threading.Event) -> Callable[[], None]:
    """What waits for the event: for `before_sync` and `before_unlink`."""

    def wait() -> None:
        assert event.wait(60), "it never came"

    return wait


class PowerCut(BaseException):
    """The machine is off: nothing catches this but the test."""


@dataclass
class _Fault:
    call: str
    error: int
    after: int
    times: int


class _File:
    def __init__(self) -> None:
        self.content = bytearray()
        self.durable = b""
        self.dropped = False  # a sync failed: the system takes for clean what was never stored
        self.locked_by: int | None = None


def nothing_unsynced(durable: bytes, written: bytes) -> bytes:
    """A crash that loses all it may."""
    del written
    return durable


def everything(durable: bytes, written: bytes) -> bytes:
    """A crash that loses nothing: the process alone was killed."""
    del durable
    return written


def some_pages(chance: Random, durable: bytes, written: bytes, page: int) -> bytes:
    """A crash that keeps pages of what was written, each by itself, as the device happens to.

    What a page that is lost shows is what the device held there; zeros, where that was nothing.
    """
    if durable == written:
        return durable
    length = chance.randint(*sorted((len(durable), len(written))))
    left = bytearray(durable[:length].ljust(length, b"\0"))
    for at in range(0, length, page):
        new = written[at : min(at + page, length)]
        if chance.random() < PAGES_KEPT:
            left[at : at + len(new)] = new
    return bytes(left)


def _copy(name: str, source: dict[str, _File], to: dict[str, _File]) -> None:
    """Make one name the same in both, present or absent."""
    if name in source:
        to[name] = source[name]
    else:
        del to[name]


class SimDisk:
    """A `Disk`; see this module's text."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.changes = 0
        self.write_bytes_max: int | None = None
        self._capacity: int | None = None
        self.disk_bytes = 1 << 50
        self.sync_s = 0.0
        self.clock_s = 0.0
        self.before_sync: Callable[[], None] = lambda: None
        self.before_unlink: Callable[[], None] = lambda: None
        self._power_cut_at: int | None = None
        self._faults: list[_Fault] = []
        self._directories: dict[Path, dict[str, _File]] = {}
        self._directories_durable: dict[Path, dict[str, _File]] = {}
        self._open: dict[int, _File] = {}
        self._handle = 100

    # What a test does to it.

    def cut_power_at(self, change: int) -> None:
        """Let so many more changes happen, less one, and then nothing any more."""
        self._power_cut_at = self.changes + change

    def crash(
        self,
        survives: Survives = nothing_unsynced,
        *,
        names_survive: Callable[[], bool] = lambda: False,
    ) -> None:
        """Turn the machine off and on. Every open file and lock is gone.

        Args:
            survives: what is left of each file.
            names_survive: asked for each name that was added or removed and not synced.
        """
        self.kill()
        self._power_cut_at = None
        self._faults.clear()
        for path, durable in self._directories_durable.items():
            written = self._directories[path]
            for name in sorted(durable.keys() | written.keys()):
                if durable.get(name) is not written.get(name) and not names_survive():
                    _copy(name, durable, written)
        for names in self._directories.values():
            for file in names.values():
                left = survives(file.durable, bytes(file.content))
                file.content, file.durable, file.dropped = bytearray(left), left, False
        self._directories_durable = {path: dict(n) for path, n in self._directories.items()}

    def kill(self) -> None:
        """End the process that has files open here, and with it its locks."""
        self._open.clear()

    def fail(self, call: str, error: int, *, after: int = 0, times: int = 1) -> None:
        """Make calls of that name fail, once `after` of them have gone well."""
        self._faults.append(_Fault(call, error, after, times))

    def heal(self) -> None:
        """Nothing that was planned goes wrong any more."""
        self._power_cut_at = None
        self._faults.clear()
        self.write_bytes_max = None
        self.room = None

    def files(self) -> dict[str, bytes]:
        """Every file by path, as a running process sees it."""
        return {
            str(path / name): bytes(file.content)
            for path, names in self._directories.items()
            for name, file in names.items()
        }

    def put(self, path: Path, content: bytes) -> None:
        """A file that is there, durably."""
        file = _File()
        file.content, file.durable = bytearray(content), content
        self._directories[path.parent][path.name] = file
        self._directories_durable[path.parent][path.name] = file

    @property
    def room(self) -> int | None:
        """What is left; None is without end."""
        return None if self._capacity is None else max(self._capacity - self._used(), 0)

    @room.setter
    def room(self, room: int | None) -> None:
        self._capacity = None if room is None else room + self._used()

    def _used(self) -> int:
        files = {file for names in self._directories.values() for file in names.values()}
        return sum(len(file.content) for file in files)

    @property
    def open_files(self) -> int:
        """How many are open: none is left by a journal that was closed."""
        return len(self._open)

    # What the driver does with it.

    def now(self) -> float:
        return self.clock_s

    def thread(self, name: str) -> Executor:
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def make_directory(self, path: Path) -> None:
        if path not in self._directories:
            self._change("make_directory", path)
            self._directories[path] = {}
            self._directories_durable[path] = {}

    def lock(self, path: Path) -> int:
        self._fault("lock")
        names = self._directories[path.parent]
        file = names.setdefault(path.name, _File())
        if file.locked_by in self._open:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        file.locked_by = self._opened(file)
        return file.locked_by

    def names(self, directory: Path) -> list[str]:
        self._fault("names")
        return list(self._directories[directory])

    def size(self, path: Path) -> int:
        return len(self._at(path).content)

    def create(self, path: Path) -> int:
        self._change("create", path)
        names = self._directories[path.parent]
        if path.name in names:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        names[path.name] = _File()
        return self._opened(names[path.name])

    def open(self, path: Path) -> int:
        self._fault("open")
        return self._opened(self._at(path))

    def read(self, path: Path) -> bytes:
        self._fault("read")
        return bytes(self._at(path).content)

    def write(self, file: int, content: bytes | memoryview, offset: int, /) -> int:
        held = self._open[file].content
        assert offset <= len(held), "a hole"
        taken = bytes(content[: self.write_bytes_max])
        room = self.room
        if room is not None:
            taken = taken[: len(held) - offset + room]
            if content and not taken:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._change("write")
        half = len(taken) // 2
        held[offset : offset + half] = taken[:half]
        self._change("write the rest")
        held[offset + half : offset + len(taken)] = taken[half:]
        return len(taken)

    def write_pieces(self, file: int, pieces: list[bytes], offset: int, /) -> int:
        return self.write(file, b"".join(pieces), offset)

    def truncate(self, file: int, length: int, /) -> None:
        self._change("truncate")
        del self._open[file].content[length:]

    def allocate(self, file: int, length: int) -> None:
        held = self._open[file].content
        more = max(length - len(held), 0)
        room = self.room
        if room is not None and more > room:
            held += bytes(room)  # as far as it goes, as some file systems do
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._change("allocate")
        held += bytes(more)

    def space(self, path: Path) -> tuple[int, int]:
        self._fault("space")
        return self.disk_bytes if self.room is None else self.room, self.disk_bytes

    def is_linked(self, file: int) -> bool:
        return any(self._open[file] in names.values() for names in self._directories.values())

    def sync(self, file: int, /) -> None:
        self.before_sync()
        self.clock_s += self.sync_s
        held = self._open[file]
        try:
            self._change("sync")
        except OSError:
            held.dropped = True
            raise
        if not held.dropped:
            held.durable = bytes(held.content)

    def sync_directory(self, path: Path) -> None:
        self._change("sync_directory", path)
        self._directories_durable[path] = dict(self._directories[path])

    def forget_cached(self, file: int) -> None:
        """After a failed sync, memory and device differ: here the difference comes to light."""
        held = self._open[file]
        held.content, held.dropped = bytearray(held.durable), False

    def unlink(self, path: Path) -> None:
        self.before_unlink()
        self._at(path)
        self._change("unlink", path)
        del self._directories[path.parent][path.name]

    def rename(self, path: Path, to: Path) -> None:
        file = self._at(path)
        self._change("rename", path)
        del self._directories[path.parent][path.name]
        self._directories[to.parent][to.name] = file

    def close(self, file: int, /) -> None:
        del self._open[file]

    def _opened(self, file: _File) -> int:
        self._handle += 1
        self._open[self._handle] = file
        return self._handle

    def _at(self, path: Path) -> _File:
        try:
            return self._directories[path.parent][path.name]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None

    def _change(self, call: str, path: Path | None = None) -> None:
        self.changes += 1
        if self._power_cut_at is not None and self.changes >= self._power_cut_at:
            raise PowerCut(call)
        self._fault(call)
        self.log.append(f"{call} {path.name}" if path else call)

    def _fault(self, call: str) -> None:
        for fault in self._faults:
            if fault.call == call and fault.times:
                if fault.after:
                    fault.after -= 1
                    return
                fault.times -= 1
                raise OSError(fault.error, os.strerror(fault.error))
