r"""The bytes of a segment: a header line, then batches, each closed by a seal line.

    {"qserver":"journal","format":1,"segment":1,"prev":"00000000"}
    {"put":1}
    {"put":2}
    {"seal":1,"records":2,"synced":63,"oldest":1,"prev":"00000000","crc":"ecc3ac7b"}
    {"ack":1}
    {"seal":2,"records":1,"synced":164,"oldest":1,"prev":"ecc3ac7b","crc":"48e3356f"}

    seal      position of the batch. Grows; a batch that a repair gave up leaves a gap.
    records   how many lines it closes.
    synced    this many bytes of the segment were known to survive a power cut before the batch was
              written. What lies before that offset can't be torn; see `recovery.py`.
    oldest    the oldest segment that is still needed. Tells one that was dropped from one that
              somebody lost: a segment is unlinked only after a synced seal says so.
    prev      the checksum of the seal before, in the header that of the last seal of the segment
              before. So a missing, doubled or moved batch or segment breaks the chain.
    follows   in the header of a segment that a repair has begun, or begun anew, behind a gap: the
              checksum of the last seal before it that is left; `prev` is that of one that is lost.
              So a repair copies what is intact as it is, and the chain still shows what is missing.
    crc       CRC-32 of the batch's records and of the seal's own text up to here, started from
              `prev`. One checksum a batch: a checksum per record costs as much as the record.

Behind the last batch of the newest segment there may be blank lines, LF and nothing else, which
later batches are written over: see `segment.py`. They are no part of the journal; a batch never has
one, since a line holds a JSON value.

No record begins with `{"seal":` and none holds an LF, so `\n{"seal":` marks a seal and nothing
else, and `grep -v '^{"seal"'` leaves the records. The header needs no checksum of its own: but for
`prev` it follows from the file's name, and `prev` is what the first seal's checksum starts from.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

try:
    from zlib_ng.zlib_ng import crc32  # the same checksum in a tenth of the time, by an extra
except ImportError:
    from zlib import crc32

FORMAT: Final = 1
"""The version that this code writes, and the highest that it reads."""

SEAL_BYTES_MAX: Final = 192
"""More than any seal takes, and the LF before it."""

RUN_BYTES_MIN: Final = 1 << 20
"""Batches are given back joined to runs of about this size, so a reader decodes many at once."""

BLANK: Final = b"\n"
"""A blank line."""

_AFTER_CRC: Final = len(b'01234567"}\n')
_MARK: Final = b'\n{"seal":'
_KEYS: Final = (
    b'{"seal":',
    b',"records":',
    b',"synced":',
    b',"oldest":',
    b',"prev":"',
    b',"crc":"',
)
_SEAL: Final = re.compile(
    rb'\{"seal":([0-9]{1,18}),"records":([0-9]{1,18}),"synced":([0-9]{1,18}),"oldest":([0-9]{1,18})'
    rb',"prev":"([0-9a-f]{8})","crc":"([0-9a-f]{8})"\}\n'
)
_HEADER: Final = re.compile(
    rb'\{"qserver":"journal","format":1,"segment":([0-9]{1,18}),"prev":"([0-9a-f]{8})"'
    rb'(?:,"follows":"([0-9a-f]{8})")?\}\n'
)
_JOINED: Final = re.compile(rb'\{"(?:seal|qserver)":[^{}\n]*\}[^\n]')
"""A seal or header whose LF has become something else, so that a record goes on in its line."""

_HEADER_FORMAT: Final = re.compile(rb'\{"qserver":"journal","format":([0-9]{1,9})[,}]')


class Chain:
    """Where a walk along the seals stands: after its last good batch.

    Attributes:
        position: position of that batch; 0 before the first.
        crc: its checksum, which the next seal must name as `prev`.
        oldest: the oldest segment it says is needed.
        at: offset in the segment's bytes right behind its seal.
    """

    __slots__ = ("at", "crc", "oldest", "position")

    def __init__(self) -> None:
        self.position = 0
        self.crc = 0
        self.oldest = 1
        self.at = 0


def header(segment: int, prev: int, follows: int | None = None) -> bytes:
    """First line of a segment; `prev` is the checksum of the last seal before it."""
    bridge = b"" if follows is None else b',"follows":"%08x"' % follows
    return b'{"qserver":"journal","format":%d,"segment":%d,"prev":"%08x"%b}\n' % (
        FORMAT,
        segment,
        prev,
        bridge,
    )


def header_format(content: bytes) -> int:
    """The format's version that a segment claims, 0 if it claims none."""
    found = _HEADER_FORMAT.match(content)
    return int(found[1]) if found else 0


class Header(NamedTuple):
    """What a segment's first line says.

    Attributes:
        prev: what the first batch's checksum starts from.
        follows: the checksum of the last batch before; the same but behind a repair.
        length: of the line.
    """

    prev: int
    follows: int
    length: int


def read_header(content: bytes, segment: int) -> Header | None:
    """The first line of a segment; None if it is not that segment's header."""
    found = _HEADER.match(content)
    if not found or found[1] != b"%d" % segment:
        return None
    return Header(int(found[2], 16), int(found[3] or found[2], 16), found.end())


def seal(
    prev: int, position: int, pieces: Iterable[bytes], count: int, *, synced: int, oldest: int
) -> tuple[bytes, int]:
    """The line that closes a batch after the seal whose checksum is `prev`, and its checksum."""
    text = b'{"seal":%d,"records":%d,"synced":%d,"oldest":%d,"prev":"%08x","crc":"' % (
        position,
        count,
        synced,
        oldest,
        prev,
    )
    crc = prev
    for piece in pieces:
        crc = crc32(piece, crc)
    crc = crc32(text, crc)
    return b'%b%08x"}\n' % (text, crc), crc


def walk(content: bytes, chain: Chain) -> Iterator[bytes]:
    """Verify a segment's batches from `chain.at` on; yields their records in runs.

    Ends at the first batch that is not what was written there, or at the end: `chain.at` tells.
    Takes about a microsecond a batch and 0.3 ms a MiB.
    """
    find, view = content.find, memoryview(content)
    at, crc, seal_last = chain.at, chain.crc, 0
    run: list[bytes] = []
    while True:
        mark = find(_MARK, at - 1)
        end = find(b"\n", mark + 1) + 1 if mark >= 0 else 0
        grown = crc32(view[at : end - _AFTER_CRC], crc) if end else 0
        # The checksum covers the seal's fields and starts from that of the seal before. Two starts
        # never give the same end, so with the checksum `prev` and the order are verified too.
        good = content[end - _AFTER_CRC : end] == b'%08x"}\n' % grown
        if good:
            run.append(content[at : mark + 1])
            at, crc, seal_last = end, grown, mark + 1
        if run and (not good or at - chain.at >= RUN_BYTES_MIN):
            last = _SEAL.match(content, seal_last)
            if last is None or int(last[1]) <= chain.position:
                return
            chain.at, chain.crc = at, crc
            chain.position, chain.oldest = int(last[1]), int(last[4])
            if records := b"".join(run):
                yield records
            run.clear()
        if not good:
            return


class Batch(NamedTuple):
    """A batch as it stands in a segment: from `start` to `end`, the seal from `seal_at` on."""

    start: int
    seal_at: int
    end: int
    position: int
    records: int
    oldest: int
    prev: int
    crc: int


def intact_batches(content: bytes) -> Iterator[Batch]:
    """Every batch that verifies by itself, wherever it stands, whatever stands around it.

    A seal says how many lines it closes and what its checksum starts from, so no other need be
    intact for that.
    """
    view = memoryview(content)
    mark = -1
    end = 0
    while (mark := content.find(_MARK, mark + 1)) >= 0:
        found = _SEAL.match(content, mark + 1)
        if found is None:
            continue
        records, prev, crc = int(found[2]), int(found[5], 16), int(found[6], 16)
        start = _lines_back(content, mark + 1, records, end)
        joined = _JOINED.match(content, start) if start >= 0 else None
        if joined is not None:
            start = joined.end()
        if start >= 0 and crc32(view[start : found.end() - _AFTER_CRC], prev) == crc:
            end = found.end()
            yield Batch(start, mark + 1, end, int(found[1]), records, int(found[4]), prev, crc)


def _lines_back(content: bytes, at: int, lines: int, floor: int) -> int:
    """Where the line begins that is so many before the one at the offset; -1 if none does."""
    if content.count(b"\n", floor, at) == lines:
        return floor
    for _ in range(lines):
        if at <= floor:
            return -1
        at = content.rfind(b"\n", floor, at - 1) + 1 or floor
    return at


def synced_claimed(content: bytes, at: int) -> int:
    """The largest `synced` of any seal that can be read from `at` on, whole batch or not."""
    claimed = 0
    while (mark := content.find(_MARK, max(at - 1, 0))) >= 0:
        found = _SEAL.match(content, mark + 1)
        claimed = max(claimed, int(found[3]) if found else 0)
        at = mark + len(_MARK)
    return claimed


def seals_after(content: bytes, at: int) -> int:
    """How many seals there are from `at` on."""
    return content.count(_MARK, max(at - 1, 0))


def without_blanks(tail: bytes) -> bytes:
    """What is left without the blank lines at its end: empty, or up to an LF if there is one."""
    written = tail.rstrip(BLANK)
    return tail[: len(written) + 1] if written else b""


def ends_sealed(tail: bytes) -> bool:
    """Whether a batch that does not verify was once written to its end.

    True if the last thing in it, but for blank lines, is a seal, up to a byte or two, and nothing
    was zeroed or left blank.
    """
    tail = without_blanks(tail)
    if tail[-1:] == b"\0" or tail.count(b"\0") > 1:
        return False
    if tail.startswith(BLANK) or b"\n\n" in tail:
        return False
    # Where the seal's own LF has changed, the one that is left is a blank line's.
    return _is_seal(tail) or _is_seal(tail.removesuffix(BLANK))


def _is_seal(tail: bytes) -> bool:
    """Whether the end is a seal's, up to a byte or two."""
    end = tail[-SEAL_BYTES_MAX:]
    if end[-3:] != b'"}\n' and end[-_AFTER_CRC - len(_KEYS[-1]) : -_AFTER_CRC] != _KEYS[-1]:
        return False
    return sum(key in end for key in _KEYS) >= len(_KEYS) - 1
