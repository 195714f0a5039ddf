"""The message of a task, as anyone can write it.

    PUT mail {"task":"send","args":[3],"kwargs":{"subject":"hello"}}

`args` and `kwargs` may be left out, and so may `due_ms`: when it could begin at the earliest, in
milliseconds since 1970, for those that measure how long it waited. What else is in the object is
passed over, for newer ones.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from qclient.tasks.control import Reject


class Envelope(msgspec.Struct, omit_defaults=True):
    """A call on its way out."""

    task: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = {}
    due_ms: int = 0


class Arrived(msgspec.Struct):
    """A call that came: each argument is still JSON, for the task to read as it is annotated."""

    task: str
    args: tuple[msgspec.Raw, ...] = ()
    kwargs: dict[str, msgspec.Raw] = {}
    due_ms: float = 0


_decode: Final[Callable[[bytes], Arrived]] = msgspec.json.Decoder(Arrived).decode


def arrived(raw: bytes) -> Arrived:
    """The call that a message's body holds.

    Raises:
        Reject: it holds none.
    """
    try:
        return _decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Reject(f'not a task, like {{"task":"name","args":[…]}}: {error}') from None
