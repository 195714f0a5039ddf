"""Every failure with a name, as a tree.

    Exception
    └── Error               what this package raises on purpose
        ├── RequestError        the client's fault: answered `ERR <word> <text>`
        │   └── FramingError    … and then closed, since what follows can't be told apart
        └── StorageError        the world's fault
            ├── StorageFailed   a write or an fsync failed: what waited for it may be stored or not
            ├── StorageFull     no room: nothing was written, the batch is kept to be tried again
            ├── Damaged         the journal holds bytes that were not written so
            ├── Locked          another server works in this directory
            ├── NewerFormat     a later version wrote this journal
            └── Fenced          another owner took over the journal; this one must stop

Our own faults are assertions: the process stops and recovers from its journal.
"""

from typing import Final


class Error(Exception):
    """The root of what this package raises on purpose."""


class RequestError(Error):
    """A request that can't be carried out; `word` is stable, the text is for people."""

    def __init__(self, word: str, text: str) -> None:
        super().__init__(text)
        self.word: Final = word


class FramingError(RequestError):
    """A request after which the connection must be closed."""


class StorageError(Error):
    """The journal can't do what was asked."""


class StorageFailed(StorageError):
    """A write or an fsync failed; whether the batch is stored is unknown."""


class StorageFull(StorageError):
    """There is no room for the batch: nothing of it was stored, the next commit tries it again."""


class Damaged(StorageError):
    """The journal's inside is not what was written: where, and what it touches.

    Attributes:
        file: path of the segment.
        offset: byte offset of the damage in it.
    """

    def __init__(self, text: str, *, file: str, offset: int) -> None:
        super().__init__(f"{file}, byte {offset}: {text}")
        self.file: Final = file
        self.offset: Final = offset


class Locked(StorageError):
    """Another process holds the directory."""


class NewerFormat(StorageError):
    """The journal was written by a later version of this program."""


class Fenced(StorageError):
    """Another owner appended to the journal; this process owns it no longer."""
