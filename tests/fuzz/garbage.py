"""Requests, right ones and ruined ones, from a seed."""

from random import Random
from typing import Final

REQUESTS: Final = (
    b'PUT jobs {"n":1}',
    b'PUT jobs delay=2 priority=7 ttl=30 dedup=d dedup_window=1h key="a b" trace=t [1,"x"]',
    b"PUT jobs at=2027-01-15T08:00:05Z true",
    b"PUT other 1",
    b"GET jobs",
    b"GET jobs,other count=3 lease=2",
    b"GET other wait=1",
    b"ACK 1.1",
    b"ACK 2.2 3.3 4.4",
    b'NACK 1.1 5.5 delay=1 reason="no \\u00e4 luck"',
    b"NACK 2.2 dead=yes",
    b"RELEASE 3.3",
    b"RELEASE 3.3 delay=1s",
    b"TOUCH 4.4 lease=1m",
    b"TOUCH *",
    b'PROGRESS 1.1 {"at":1}',
    b"PROGRESS 2.2 0.5",
    b'DONE 1.1 retain=1m {"sum":3}',
    b"DONE 2.2 null",
    b"RESULT 1",
    b"RESULT 2 wait=2",
    b"LEASES count=1 after=1",
    b"PEEK 1",
    b"LIST",
    b"LIST count=1 after=a",
    b"LIST jobs state=ready,dead key=k count=2 after=1",
    b"QUEUE jobs max_failures=2 backoff=0 requeue=back retain=5 expired=dead ttl=9",
    b"PAUSE other",
    b"RESUME other",
    b"PURGE jobs state=done",
    b"DROP other",
    b"REDRIVE jobs reason=*luck to=other count=1",
    b"HELLO client=c session=s grace=2",
    b"CLIENTS count=2 after=1",
    b"STATS",
    b"PING",
    b"HELP GET",
    b"# a comment",
    b"",
)

TOKENS: Final = (
    *(b" ", b"\t", b"  ", b"\r", b"\0", b"\x0b", b'"', b"\\", b"=", b",", b".", b"*", b"#", b"-"),
    *(
        b"\xff",
        b"\xc3\xa4",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xe2\x80\xae",
        b"[",
        b"{",
        b"}",
        b"]",
    ),
    *(b"NaN", b"1e999", b"-0", b"00", b"9" * 25, b"1_0", b"\xd9\xa3", b"inf", b"0.0000000001"),
    *(b"count=", b"wait=", b"key=", b'key="', b"lease=5", b"dry=yes", b"at=9999-12-31T00:00:00Z"),
    *(
        b"\\ud800",
        b"\\u0000",
        b"x" * 130,
        b"[" * 140,
        b" HTTP/1.1",
        b"Host:",
        b"PUT ",
        b"1.1 ",
        b"../",
    ),
)


def request(random: Random) -> bytes:
    """A request without its LF: every second one is ruined in a few places."""
    line = random.choice(REQUESTS)
    if random.random() < 0.5:
        return line
    for _ in range(random.randint(1, 4)):
        line = _ruined(random, line)
    return line.replace(b"\n", b"")


def _ruined(random: Random, line: bytes) -> bytes:
    at = random.randint(0, len(line))
    end = min(len(line), at + random.randint(0, 6))
    how = random.randint(0, 5)
    if how == 0:
        return line[:at] + random.choice(TOKENS) + line[at:]
    if how == 1:
        return line[:at] + line[end:]
    if how == 2:
        return line[:at] + random.randbytes(end - at) + line[end:]
    if how == 3:
        return line[:at] + line[at:end] * random.randint(2, 40) + line[end:]
    if how == 4:
        words = line.split(b" ")
        random.shuffle(words)
        return b" ".join(words)
    return line[:at] + random.choice(REQUESTS)[at:]


def talk(seed: int, lines: int) -> list[bytes]:
    """Lines without their LF."""
    random = Random(seed)
    return [request(random) for _ in range(lines)]


def noise(seed: int, size: int) -> bytes:
    """Random bytes, with LFs enough among them."""
    random = Random(seed)
    return b"".join(
        random.choice((random.randbytes(random.randint(0, 20)), b"\n", random.choice(TOKENS)))
        for _ in range(size // 10)
    )


def pieces(seed: int, data: bytes) -> list[bytes]:
    """The data in pieces of random sizes."""
    random = Random(seed)
    found = []
    while data:
        size = random.choice((1, 1, 2, 3, 7, 20, 100, 1000))
        found.append(data[:size])
        data = data[size:]
    return found
