"""The bytes of a segment."""

import subprocess
import sys
from zlib import crc32

from hypothesis import given
from hypothesis import strategies as st

from qserver.storage import seal

checksum = seal.crc32  # type: ignore[attr-defined]


def segment_of(batches: list[list[bytes]]) -> bytes:
    parts, prev = [seal.header(1, 0)], 0
    for position, records in enumerate(batches, 1):
        joined = b"".join(records)
        line, prev = seal.seal(prev, position, [joined], len(records), synced=0, oldest=1)
        parts += [joined, line]
    return b"".join(parts)


def chain_at_header() -> seal.Chain:
    chain = seal.Chain()
    chain.at = len(seal.header(1, 0))
    return chain


def test_the_documented_segment_is_one() -> None:
    text = seal.__doc__ or ""
    lines = [line.strip() for line in text.splitlines() if line.startswith("    {")]
    content = "".join(line + "\n" for line in lines).encode()
    chain = chain_at_header()
    assert b"".join(seal.walk(content, chain)) == b'{"put":1}\n{"put":2}\n{"ack":1}\n'
    assert (chain.at, chain.position) == (len(content), 2)
    assert content.startswith(seal.header(1, 0))
    records = b'{"put":1}\n{"put":2}\n'
    line, _ = seal.seal(0, 1, [records], 2, synced=len(seal.header(1, 0)), oldest=1)
    assert seal.header(1, 0) + records + line == content[: content.index(b'{"ack"')]


@given(st.binary(max_size=10_000), st.integers(0, 2**32 - 1))
def test_the_checksum_is_the_one_of_zlib_with_and_without_the_extra(part: bytes, prev: int) -> None:
    assert checksum(part, prev) == crc32(part, prev)
    assert checksum(memoryview(part)[1:], prev) == crc32(part[1:], prev)


def test_without_the_extra_the_checksum_comes_from_zlib() -> None:
    hidden = "import sys; sys.modules['zlib_ng'] = None\n"
    told = subprocess.run(
        [sys.executable, "-c", hidden + "from qserver.storage import seal; print(seal.crc32)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == f"{crc32}\n"


def test_no_seal_is_longer_than_its_bound() -> None:
    most = 10**18 - 1
    line, _ = seal.seal(2**32 - 1, most, [], most, synced=most, oldest=most)
    assert len(line) + 1 <= seal.SEAL_BYTES_MAX
    assert seal.ends_sealed(line)


@given(st.lists(st.lists(st.binary(max_size=50).map(lambda b: b.replace(b"\n", b"") + b"\n"))))
def test_a_walk_gives_back_the_records_and_ends_at_the_end(batches: list[list[bytes]]) -> None:
    batches = [[b"-" + one for one in records] for records in batches]
    content = segment_of(batches)
    chain = chain_at_header()
    assert b"".join(seal.walk(content, chain)) == b"".join(map(b"".join, batches))
    assert (chain.at, chain.position) == (len(content), len(batches))


def test_small_batches_come_in_runs_of_about_a_mib() -> None:
    batches = [[b"x" * 1000 + b"\n"]] * 5000
    runs = list(seal.walk(segment_of(batches), chain_at_header()))
    assert b"".join(runs) == b"".join(map(b"".join, batches))
    assert len(runs) == 6
    assert all(run.endswith(b"\n") for run in runs)


def test_a_walk_can_be_left_and_taken_up_again_at_any_batch() -> None:
    batches = [[b"x" * 1000 + b"\n"]] * 3000
    content = segment_of(batches)
    chain = chain_at_header()
    first = next(seal.walk(content, chain))
    assert first + b"".join(seal.walk(content, chain)) == b"".join(map(b"".join, batches))


def test_a_seal_that_counts_backwards_is_not_accepted() -> None:
    line, _ = seal.seal(0, 7, [], 0, synced=0, oldest=1)
    chain = chain_at_header()
    chain.position = 7
    assert list(seal.walk(seal.header(1, 0) + line, chain)) == []
    assert chain.at == len(seal.header(1, 0))


def test_a_seal_with_a_right_checksum_and_other_fields_is_not_accepted() -> None:
    text = b'{"seal":1,"something":"else","crc":"'
    content = seal.header(1, 0) + b'%b%08x"}\n' % (text, crc32(text))
    chain = chain_at_header()
    assert list(seal.walk(content, chain)) == []
    assert chain.at == len(seal.header(1, 0))


def test_the_largest_claim_of_a_sync_counts_whatever_else_is_broken() -> None:
    a, _ = seal.seal(0, 1, [], 0, synced=500, oldest=1)
    b, _ = seal.seal(9, 9, [], 0, synced=70, oldest=1)
    broken = a.replace(b"500", b"5oo")
    assert seal.synced_claimed(b"\n" + a + b"garbage\n" + b + broken, 0) == 500
    assert seal.synced_claimed(b"\n" + broken + b, 0) == 70
    assert seal.synced_claimed(b"", 0) == 0


def test_a_header_is_its_own_segments_only() -> None:
    header = seal.header(12, 0xABC)
    assert seal.read_header(header, 12) == (0xABC, 0xABC, len(header))
    assert seal.read_header(header, 13) is None
    assert seal.read_header(header[:-1], 12) is None


def test_a_header_behind_a_gap_names_both_ends() -> None:
    header = seal.header(12, 0xABC, 0xDEF)
    assert seal.read_header(header + b"more", 12) == (0xABC, 0xDEF, len(header))
    assert seal.header_format(header) == seal.FORMAT
    assert seal.header_format(b"") == 0
