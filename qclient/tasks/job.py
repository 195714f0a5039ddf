"""What putting a task gives back."""

from typing import Generic, TypeVar

import msgspec

R = TypeVar("R")


class Job(msgspec.Struct, Generic[R], frozen=True):
    """A task that was put.

    Attributes:
        id: the message's number, for `peek`.
        queue: where it was put.
        is_duplicate: nothing was stored, since one with this `dedup` key was put before; `id` is
            that one's.
    """

    id: int
    queue: str
    is_duplicate: bool = False
