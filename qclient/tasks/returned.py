"""What a task returns: read as its function's annotation says, where its result is kept."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, get_type_hints

from qclient.message import anything, decode_body, decoder


class Returned:
    """Of one function.

    The annotation is looked up when it is first needed, as those of `Arguments` are. Without one
    any JSON is right.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def read(self, raw: bytes, number: int) -> Any:
        """The value that a job's result holds.

        Raises:
            BadBody: it is not what is annotated.
        """
        return decode_body(self._decode, raw, f"{number}, its result,")

    def prepare(self) -> None:
        """Make the decoder now, so that an annotation nobody can read is told at the start.

        Raises:
            NameError: it names something that is not there.
            TypeError: no JSON can become what is annotated.
        """
        assert self._decode is not None

    @cached_property
    def _decode(self) -> Callable[[bytes], Any]:
        hints = get_type_hints(self._function, include_extras=True)
        return decoder(hints["return"]) if "return" in hints else anything
