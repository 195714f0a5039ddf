"""Options, numbers, durations, times and receipts of wrong shapes."""

from typing import Final

from tests.conformance.hostile_case import cases


def _receipts(count: int) -> str:
    return "ACK " + " ".join(["1.1"] * count)


OPTIONS: Final = [
    *cases("bad-request", ("PUT a colour=red 1", "GET a colour=red", "LIST colour=red"), "colour"),
    *cases(
        "bad-request",
        (
            "QUEUE a colour=red",
            "HELLO secret=x",
            "PAUSE a state=ready",
            "PROGRESS 1.1 a=1 1",
            "DONE 1.1 a=1 1",
            "RESULT 1 a=1",
        ),
        "no option",
    ),
    *cases("bad-request", ("GET a count=1 count=1", "GET a count=1 wait=0 count=2"), "twice"),
    *cases("bad-request", ("PUT a key=x key=y 1", "QUEUE a ttl=1 ttl=1"), "twice"),
    *cases("bad-request", ("GET a COUNT=1", "GET a Count=1", "PUT a KEY=x 1"), "lower case"),
    *cases("bad-request", ("GET a count", "GET a count =1", "GET a =1", "GET a count 1")),
    *cases("bad-request", ('PUT a key="x 1', 'PUT a key="x\\" 1', 'PUT a key=x"y 1'), "name=value"),
    *cases("bad-request", ('PUT a key="x"y 1', 'PUT a key="x"{}', 'PUT a key=""" 1'), "name=value"),
    *cases("bad-request", ("PUT a key= 1", 'PUT a key="" 1'), "empty"),
    *cases(
        "bad-request", ('PUT a key="\\x" 1', 'PUT a key="\\ud800" 1', 'PUT a key="\0" 1'), "text"
    ),
    *cases(
        "bad-request", (b"PUT a key=\xff 1", b'PUT a key="\xff" 1', b"HELLO client=\xed\xa0\x80")
    ),
    *cases("bad-request", ("GET count=1 a", "PUT a delay=1 at=1 1", "HELLO grace=5")),
    *cases("bad-request", ("NACK 1.1 dead=maybe", "NACK 1.1 dead=YES", "REDRIVE a dry=1"), "yes"),
    *cases("bad-request", ("QUEUE a requeue=side", "QUEUE a expired=", "LIST a state=gone")),
    *cases("bad-request", ("LIST a state=", "LIST a state=ready,", "PURGE a state=Ready"), "ready"),
    *cases(
        "bad-request",
        ("LIST a after=x", "LIST a after=-1", "LIST a after=1.5", "LEASES after=1.1"),
        "id",
    ),
    *cases("limit", (f"PUT a key={'x' * 257} 1", f"PUT a dedup={'é' * 129} 1"), "256", "25"),
    *cases("limit", (f"HELLO client={'x' * 300}", f'LIST a key="{"x" * 300}"'), "256", "300"),
    *cases("limit", (f"PUT a trace={'x' * 1025} 1",), "1024", "1025"),
    *cases("limit", (f'PROGRESS 1.1 "{"x" * 4095}"',), "4096", "4097"),
    *cases("limit", (f"NACK 1.1 reason={'x' * 4097}",), "4096", "4097"),
    *cases("OK", (f"PUT a key={'é' * 128} 1", 'PUT a key="\\u0000\\n" 1', "PUT a key=a=b 1")),
]

NUMBERS: Final = [
    *cases(
        "bad-request",
        (
            f"GET a count={count}"
            for count in (
                "-1",
                "0",
                "+1",
                "1e12",
                "1_0",
                "٣",
                "1.0",
                "",
                "0x10",
                "inf",
                "\uff11",
                '"1"',
            )
        ),
        "count",
    ),
    *cases("limit", ("GET a count=1001", "GET a count=1000000000000"), "count=1", "1000"),
    *cases(
        "limit",
        (
            f"GET a count={'9' * 100_000}",
            "LIST count=1001",
            "LIST a count=1001",
            "LEASES count=1001",
            "CLIENTS count=1001",
        ),
        "1000",
    ),
    *cases("bad-request", ("CLIENTS after=-1", "CLIENTS after=x", "CLIENTS count=x"), "whole"),
    *cases("limit", ("CLIENTS after=9999999999999999",), "after=", "1000000000000000"),
    *cases("limit", ("PUT a priority=10 1",), "priority=10", "9"),
    *cases("bad-request", ("PUT a priority=-1 1", "PUT a priority=high 1"), "priority"),
    *cases("limit", ("QUEUE a max_messages=9999999999999999",), "max_messages", "1000000000000000"),
    *cases("bad-request", ("QUEUE a max_bytes=1k", "QUEUE a max_failures=-1"), "whole number"),
    *cases("bad-request", ("QUEUE a backoff_factor=nan", "QUEUE a backoff_factor=1e1"), "decimal"),
    *cases("limit", ("QUEUE a backoff_factor=0.9",), "backoff_factor=0.9", "1"),
    *cases("limit", ("QUEUE a backoff_factor=100.1",), "backoff_factor=100.1", "100"),
    *cases(
        "bad-request",
        (
            f"GET a wait={wait}"
            for wait in (
                *(
                    "inf",
                    "nan",
                    "-1",
                    "-0",
                    "+1",
                    "1e3",
                    ".5",
                    "5.",
                    "5x",
                    "5S",
                    "5 s",
                    "1h1m",
                    "1_0",
                ),
                *(
                    "٣",
                    "",
                    '"5"',
                    "0x5",
                    "infinity",
                    "5ms5",
                    "1.0000000001",
                    "1" * 16,
                    "s",
                    "5\x0b",
                ),
            )
        ),
    ),
    *cases(
        "limit",
        ("GET a wait=3601", "GET a wait=61m", "GET a wait=999999999999999d", "RESULT 1 wait=3601"),
        "3600",
    ),
    *cases("limit", ("GET a lease=0", "GET a lease=49ms", "TOUCH 1.1 lease=0s"), "lease=", "0.05"),
    *cases("limit", ("GET a lease=12.1h", "QUEUE a lease=43201"), "lease=", "43200"),
    *cases("limit", ("HELLO session=a grace=61m",), "grace=61m", "3600"),
    *cases("limit", ("PUT a delay=36501d 1", "PUT a ttl=36501d 1"), "36501d", "3153600000"),
    *cases(
        "limit",
        (
            "NACK 1.1 delay=36501d",
            "RELEASE 1.1 delay=36501d",
            "QUEUE a retain=36501d",
            "DONE 1.1 retain=36501d 1",
        ),
        "36501d",
    ),
    *cases("OK", ("PUT a delay=36500d 1", "GET a lease=50ms", "GET a lease=12h", "QUEUE a ttl=0")),
]

RECEIPTS: Final = [
    *cases(
        "bad-receipt",
        (
            f"ACK {receipt}"
            for receipt in (
                *(
                    "01.1",
                    "1.01",
                    "0.1",
                    "1.0",
                    "1",
                    "1.",
                    ".1",
                    ".",
                    "1.1.1",
                    "-1.1",
                    "1.-1",
                    "+1.1",
                ),
                *(f"{10**19}.1", f"1.{10**19}", "1" * 100_000, "1,1", "1. 1", "1 .1", "1.1,2.2"),
                *(
                    "\u0663.\u0661",
                    "1e1.1",
                    "0x1.1",
                    "a",
                    "*",
                    "1.1 x",
                    "x 1.1",
                    "1.1 lease=1",
                    '"1.1"',
                ),
                *("1.1\0", "1.1\r1.2", "1.1\x0b1.2", "1_0.1", "1.1 * 2.2", "\uff11.1"),
            )
        ),
        "<message id>.<lease number>",
    ),
    *cases("bad-receipt", ("NACK x", "RELEASE 1", "TOUCH 1", "TOUCH * 1.1", "TOUCH **"), "receipt"),
    *cases("bad-receipt", ("PROGRESS 1 0.5", "PROGRESS x=1 1", "PROGRESS {}", "PROGRESS * 1")),
    *cases("bad-receipt", ("DONE 1 0.5", "DONE retain=1 1", "DONE {}", "DONE * 1", "DONE 0.1 1")),
    *cases("bad-receipt", (b"ACK \xff", b"ACK 1.1 \xff.1", b"TOUCH \xff lease=1"), "receipt"),
    *cases(
        "bad-request",
        (
            "NACK reason=x 1.1",
            "NACK 1.1 reason=x 1.2",
            "TOUCH lease=1m 1.1",
            "RELEASE 1.1 reason=x",
        ),
    ),
    *cases("limit", (_receipts(1001), _receipts(200_000)), "count_max", "1000"),
]

TIMES: Final = [
    *cases(
        "bad-request",
        (
            f"PUT a at={time} 1"
            for time in (
                *("2027-01-31T09:30:00", "2027-01-31", "09:30:00Z", "now", "", "-1", "1e9", "inf"),
                *("10000-01-01T00:00:00Z", "+10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
                *("2027-01-31T24:00:00Z", "2027-01-31T23:60:00Z", "2027-01-31T23:59:61Z"),
                *("2027-13-01T00:00:00Z", "2027-02-30T00:00:00Z", "2027-00-01T00:00:00Z"),
                *(
                    "2027-01-31T09:30:00+24:00",
                    "2027-01-31T09:30:00+01",
                    "2027-01-31T09:30:00+0100",
                ),
                *("2027-01-31T09:30:00+01:60", "2027-01-31T09:30:00ZZ", "2027-01-31T09:30Z"),
                *("2027-W05-7T09:30:00Z", "2027-031T09:30:00Z", "20270131T093000Z", "٢٠٢٧"),
                *("2027-01-31T09:30:00,5Z", "2027-01-31T09:30:00.Z", "0001-01-01T00:00:00"),
                *("2027-01-31_09:30:00Z", "2027-01-31T09:30:00 Z", "2027-01-31T09:30:00-24:00"),
            )
        ),
    ),
    *cases("limit", ("PUT a at=2500-01-01T00:00:00Z 1", "PUT a at=99999999999 1"), "at=", "100 y"),
    *cases("limit", ("PUT a at=9999-12-31T23:59:59Z 1",), "at=9999-12-31T23:59:59.000Z", "100 y"),
    *cases("limit", ("PUT a at=999999999999999 1",), "at=999999999999999", "limit"),
    *cases("OK", ("PUT a at=1969-12-31T23:59:59Z 1", "PUT a at=0 1", "PUT a at=1 1")),
    *cases("OK", ("PUT a at=0001-01-01T00:00:00+23:59 1", "PUT a at=2100-02-28t23:59:59.123z 1")),
    *cases("OK", ("PUT a at=2100-02-28T23:59:59-00:00 1", "PUT a at=2100-01-01T00:00:00+14:00 1")),
]
