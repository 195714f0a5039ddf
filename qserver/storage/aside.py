"""What is cut out of a journal is copied to a file of its own first, durably: `<name>.bin`.

On a full disk the reserve makes room for the copy; a server that starts makes it again.
"""

from pathlib import Path

from qserver.storage.disk import NO_ROOM, Disk, write_all
from qserver.storage.room import RESERVE_NAME


def set_aside(disk: Disk, directory: Path, name: str, content: bytes) -> Path:
    """Copy bytes to a new file, and answer its path. A copy that is there already will do.

    Raises:
        OSError: nothing was left of it.
    """
    path, is_there = _place(disk, directory, name, content)
    if is_there:
        _sync(disk, directory, path)
        return path
    try:
        _write(disk, path, content)
    except OSError as error:
        if error.errno not in NO_ROOM or RESERVE_NAME not in disk.names(directory):
            raise
        disk.unlink(directory / RESERVE_NAME)
        _write(disk, path, content)
    disk.sync_directory(directory)
    return path


def _place(disk: Disk, directory: Path, name: str, content: bytes) -> tuple[Path, bool]:
    """Where the copy goes, and whether it is there."""
    taken = set(disk.names(directory))
    path, again = directory / f"{name}.bin", 1
    while path.name in taken:
        if disk.read(path) == content:
            return path, True
        again += 1
        path = directory / f"{name}-{again}.bin"
    return path, False


def _write(disk: Disk, path: Path, content: bytes) -> None:
    file = disk.create(path)
    try:
        write_all(disk, file, content, 0)
        disk.sync(file)
    except OSError:
        disk.unlink(path)
        raise
    finally:
        disk.close(file)


def _sync(disk: Disk, directory: Path, path: Path) -> None:
    """Whoever made the copy may have been killed before it was durable."""
    file = disk.open(path)
    try:
        disk.sync(file)
    finally:
        disk.close(file)
    disk.sync_directory(directory)
