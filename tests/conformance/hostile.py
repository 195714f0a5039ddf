"""What nobody should send, and what it is answered: the whole table."""

from typing import Final

from tests.conformance import hostile_syntax as syntax
from tests.conformance import hostile_values as values
from tests.conformance.hostile_case import LINE_MAX, Case

__all__ = ["CASES", "LINE_MAX", "Case"]

CASES: Final = [
    *syntax.FRAMING,
    *syntax.VERBS,
    *syntax.ARGUMENTS,
    *syntax.BODIES,
    *syntax.NAMES,
    *syntax.HTTP,
    *values.OPTIONS,
    *values.NUMBERS,
    *values.RECEIPTS,
    *values.TIMES,
]
