"""What damaged bytes can still tell of what was lost with them.

Their checksum is wrong, so nothing of it is certain: it is for people, who may know better. A
record whose line can't be read is searched for ids.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from qserver.storage.disk import Disk

_DAMAGED: Final = re.compile(r"damaged-.*\.bin")
_IDS: Final = re.compile(rb'"ids?":\[?([0-9]{1,18}(?:,[0-9]{1,18})*)')


@dataclass
class Loss:
    """What is lost, as far as can be told.

    Attributes:
        records: how many records can be made out, by what they say.
        unreadable: lines that are no record.
        messages: queue of each message whose own record is lost; empty if that can't be read.
        facts: ids of messages of which something later is lost: they may be in an older state.
    """

    records: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    messages: dict[int, str] = field(default_factory=dict)
    facts: set[int] = field(default_factory=set)

    def read(self, part: bytes) -> None:
        """Add what these bytes tell."""
        for line in part.splitlines():
            if line and not line.startswith((b'{"seal":', b'{"qserver":')):
                self._read_line(line)

    def _read_line(self, line: bytes) -> None:
        try:
            record = msgspec.json.decode(line, type=dict[str, Any])
            op, ids = str(record["op"]), _ids_of(record)
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError):
            self.unreadable += 1
            for found in _IDS.findall(line):
                ids = [int(number) for number in found.split(b",")]
                if b'"body":' in line:
                    self.messages.update(dict.fromkeys(ids, ""))
                else:
                    self.facts.update(ids)
            return
        self.records[op] += 1
        if "body" in record:
            self.messages.update(dict.fromkeys(ids, str(record.get("queue", ""))))
        elif op not in ("sequence", "stop"):
            self.facts.update(ids)


def _ids_of(record: dict[str, Any]) -> list[int]:
    ids = record.get("ids", [record["id"]] if "id" in record else [])
    return [number for number in ids if isinstance(number, int)]


def kept_of_damage(disk: Disk, directory: Path) -> tuple[int, int]:
    """How many records, as far as can be told, and bytes the repairs of a journal have given up."""
    loss, size = Loss(), 0
    for name in filter(_DAMAGED.fullmatch, disk.names(directory)):
        part = disk.read(directory / name)
        loss.read(part)
        size += len(part)
    return loss.records.total() + loss.unreadable, size
