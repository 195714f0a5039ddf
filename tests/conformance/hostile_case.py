"""A row of the table of what nobody should send.

`code` is that of the one ERR line; `OK` where the thing is unusual but right. `says` is what the
text has to name. Where it `closes`, nothing behind it is read.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

LINE_MAX: Final = 1 << 20


class Case(NamedTuple):
    """One thing that is sent."""

    name: str
    sent: bytes
    code: str
    says: tuple[str, ...] = ()
    closes: bool = False


def cases(code: str, lines: Iterable[str | bytes], *says: str, closes: bool = False) -> list[Case]:
    """A case for each line: with these words in the answer, named by its beginning."""
    found = []
    for line in lines:
        sent = line.encode() if isinstance(line, str) else line
        name = sent[:60].decode("ascii", "backslashreplace") + ("…" if len(sent) > 60 else "")
        found.append(Case(name, sent + b"\n", code, says, closes))
    return found
