"""Which build runs: compiled to C, or plain Python.

`setup.py` compiles the pure rooms where it is told to, from the same sources. What they do is the
same, what a request costs is not: so whoever looks at figures can see which one they are of.
"""

from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from typing import Final

COMPILED: Final = "compiled"
PLAIN: Final = "plain"


def build_of(module: str) -> str:
    """How a module of that name is built: the rooms are compiled together, or none is."""
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    return COMPILED if spec.origin.endswith(tuple(EXTENSION_SUFFIXES)) else PLAIN


BUILD: Final = build_of("qserver.broker.broker")
"""The build of this process, as STATS and the banner say it."""
