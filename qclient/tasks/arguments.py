"""A function's arguments: checked before they are sent, read as it annotates them.

Each parameter has a decoder, made once from its annotation by msgspec: Structs, dataclasses, dates,
enums, UUIDs, `Annotated[int, Meta(ge=0)]` … A parameter without annotation takes any JSON.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, get_type_hints

import msgspec

from qclient.message import anything, decoder
from qclient.tasks.control import Reject

Decode = Callable[[Any], Any]

NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
PLACED: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arguments:
    """Of one function.

    Attributes:
        takes_none: it can be called without any.

    Annotations are looked up when they are first needed, so that a function may name what its
    module defines later.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._signature = inspect.signature(function)
        parameters = list(self._signature.parameters.values())
        must = [each for each in parameters if each.default is each.empty]
        must = [each for each in must if each.kind in (*PLACED, *NAMED)]
        self.takes_none: Final = not must
        placed = [each for each in parameters if each.kind in PLACED]
        self._names: list[tuple[frozenset[str], frozenset[str]]] = []
        for count in range(len(placed) + 1):
            taken = placed[:count]
            needed = frozenset(each.name for each in must if each not in taken)
            others = [each for each in parameters if each not in taken and each.kind in NAMED]
            self._names.append((needed, frozenset(each.name for each in others)))

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raises TypeError when the function can't be called so."""
        if len(args) < len(self._names):
            needed, allowed = self._names[len(args)]
            if needed <= kwargs.keys() <= allowed:
                return  # nearly always; a tenth of what binding takes
        self._signature.bind(*args, **kwargs)

    def read(
        self, args: Sequence[msgspec.Raw], kwargs: Mapping[str, msgspec.Raw]
    ) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """The values to call the function with.

        Raises:
            Reject: they don't fit.
        """
        try:
            self.check(args, kwargs)
        except TypeError as error:
            raise Reject(f"bad arguments: {error}") from None
        if args:
            args = [self._read(at, raw) for at, raw in enumerate(args)]
        if kwargs:
            kwargs = {name: self._read(name, raw) for name, raw in kwargs.items()}
        return args, kwargs

    def _read(self, which: int | str, raw: msgspec.Raw) -> Any:
        _, decode = self._decoders.get(which) or self._rest(which)
        try:
            return decode(raw)
        except (msgspec.DecodeError, RecursionError) as error:
            name, _ = self._decoders.get(which) or self._rest(which)
            raise Reject(f"bad argument {name}: {error}") from None

    def _rest(self, which: int | str) -> tuple[str, Decode]:
        """Of a value that `*args` or `**kwargs` takes."""
        return self._decoders["*" if isinstance(which, int) else "**"]

    @cached_property
    def _decoders(self) -> dict[int | str, tuple[str, Decode]]:
        """Name and decoder by position and by name; `*` and `**` are for the rest."""
        hints = get_type_hints(self._function, include_extras=True)
        found: dict[int | str, tuple[str, Decode]] = {}
        for at, (name, parameter) in enumerate(self._signature.parameters.items()):
            entry = (name, decoder(hints[name]) if name in hints else anything)
            if parameter.kind in PLACED:
                found[at] = entry
            if parameter.kind in NAMED:
                found[name] = entry
            if parameter.kind is parameter.VAR_POSITIONAL:
                found["*"] = entry
            if parameter.kind is parameter.VAR_KEYWORD:
                found["**"] = entry
        return found

    def prepare(self) -> None:
        """Make the decoders now, so that an annotation nobody can read is told at the start.

        Raises:
            NameError: an annotation names something that is not there.
            TypeError: no JSON can become what is annotated.
        """
        assert self._decoders is not None
